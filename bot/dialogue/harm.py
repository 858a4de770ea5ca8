"""Severe harm: safety first, a person at once, in one turn; then only people speak."""

from bot.dialogue.answers import absorb
from bot.dialogue.effects import CallPerson
from bot.dialogue.events import Said
from bot.dialogue.forms import BODILY
from bot.dialogue.gathering import keep
from bot.dialogue.opening import Report, open_case, say_receipt
from bot.dialogue.people import held_into_case
from bot.dialogue.reach import ASK_PHONE, PHONES, phone_in
from bot.dialogue.reply import Reply

_ADVICE = ("electric", "gas", "food", "medicine", "suicide")  # alarms with a sentence of their own


def is_severe(said: Said) -> bool:
    """A person must be alerted at once. Rules see to it that no model decides this alone."""
    bodily = bool(BODILY & set(said.alarms)) and said.severity in ("high", "critical")
    return said.severity == "critical" or said.human_now or bodily


def alert(reply: Reply, said: Said) -> None:
    """One turn: the safety line, the alert, the case, the number to call back. Nothing else is asked."""
    bodily = [alarm for alarm in said.alarms if alarm in BODILY]
    body = bool(bodily) or (said.severity == "critical" and not said.alarms)
    reply.do(CallPerson("harm" if body else "urgent", urgent=True))
    reply.say("harm_safety" if body else "urgent_opener")
    for advice in [alarm for alarm in _ADVICE if alarm in bodily][:1]:
        reply.say(f"advice_{advice}")
    if said.people_online or not said.back_at:
        reply.say("person_alerted")
    else:
        reply.say("person_alerted_later", blanks={"back_at": said.back_at})
    opened = not reply.has_open_case
    if opened:
        open_case(reply, Report.of(said))
    else:
        held_into_case(reply)
        keep(reply, absorb(reply.the_case, (), said), said)
        reply.update(stage="filed")
    known_phone = phone_in(said) or any(reply.profile.contacts.get(kind) for kind in PHONES)
    reply.rest()
    if not known_phone:
        reply.say("ask_callback", *((ASK_PHONE,) if reply.talk.proves_phone else ()))
        reply.remember(pending=("callback",))
    if opened:
        say_receipt(reply, short=True)
    reply.remember(speaker="waiting", safety=True)
