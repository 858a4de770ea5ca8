"""Gather what a case needs: at most two questions a turn and six in all, nothing that is known, each with a reason."""

from dataclasses import replace

from bot.dialogue import numbers, words
from bot.dialogue.answers import Absorbed, absorb
from bot.dialogue.effects import Bullets, Choice
from bot.dialogue.events import Said
from bot.dialogue.forms import (
    CONFIRMED,
    FAILED,
    FORMS,
    FREE_TEXT,
    MOST_IN_ALL,
    MOST_OF_ONE,
    MOST_PER_TURN,
    NUMBERS,
    SEVERITIES,
    SHOWN,
    WORTH_A_SECOND_ASKING,
    known,
)
from bot.dialogue.reply import Reply

_LONGEST = {"what": 16, "more": 12, "correction": 12}
_YES_NO = {
    "share": (Choice("button_share_yes", "share:yes"), Choice("button_share_no", "share:no")),
    "feedback": (Choice("button_feedback_yes", "feedback:yes"), Choice("button_feedback_no", "feedback:no")),
}
_OTHERS = ("email", "telegram", "whatsapp", "sms")  # kinds of channel by which news can be had
CONFIRM = (Choice("button_confirm_yes", "confirm:yes"), Choice("button_confirm_no", "confirm:no"))


def go_on(reply: Reply) -> None:
    """Ask for what is missing; show the summary or file the case when nothing is."""
    slots = next_slots(reply)
    if slots:
        ask(reply, slots)
    elif reply.the_case.type in CONFIRMED:
        summarise(reply)
    else:
        file(reply)


def next_slots(reply: Reply) -> tuple[str, ...]:
    """The questions of this turn."""
    case = reply.the_case
    unknown = case.facts.get("unknown", ())
    wanted = [
        slot for slot in FORMS[case.type] if not known(case, slot) and slot not in unknown and _may_ask(reply, slot)
    ]
    if "what" in wanted:  # without it no other question makes sense
        wanted = ["what"]
    if wants_contact(reply):  # before the second Answer: the window may be closed by then
        wanted.insert(1, "contact")
    return tuple(wanted[: max(0, min(MOST_PER_TURN, MOST_IN_ALL - len(case.asked)))])


def _may_ask(reply: Reply, slot: str) -> bool:
    times = reply.the_case.asked.count(slot)
    return times == 0 or (times == 1 and slot in WORTH_A_SECOND_ASKING)


def wants_contact(reply: Reply) -> bool:
    """Nothing is known by which this person could be written to, and nobody asked yet."""
    elsewhere = {"email", "telegram", "sms"} & set(reply.talk.channels)  # else we could write nowhere, and do not ask
    return bool(elsewhere) and not (reply.talk.reachable or reply.talk.contact_asked or reply.talk.proving)


def ask(reply: Reply, slots: tuple[str, ...]) -> None:
    """Ask these questions now."""
    for slot in slots:
        if slot == "contact":
            say_contact(reply)
        else:
            again = "_again" if slot == "solution" and slot in reply.the_case.asked else ""
            reply.say(f"ask_{slot}{again}", *_YES_NO.get(slot, ()))
    reply.update(asked=(*reply.the_case.asked, *slots))
    reply.await_answer(*slots)


def say_contact(reply: Reply) -> None:
    """Ask by which address we can write outside this window."""
    links = [kind for kind in ("telegram", "whatsapp") if kind in reply.talk.channels and kind != reply.talk.channel]
    if "sms" in reply.talk.channels:
        line = "ask_contact_any" if "email" in reply.talk.channels else "ask_contact_number"
    else:
        line = "ask_contact" if "telegram" in links else "ask_contact_email"
    reply.say(line, *(Choice(f"button_{kind}", f"channel:{kind}") for kind in links))
    reply.remember(contact_asked=True)


def ask_again(reply: Reply) -> None:
    """After a digression: the open question once more, if there is room for it. Nothing is asked a third time."""
    case, pending = reply.case, reply.talk.pending
    if "confirm" in pending and case is not None:
        if "again" not in pending:
            summarise(reply)
            reply.await_answer("confirm", "again")
    elif case is not None and case.stage == "gathering" and len(case.asked) < MOST_IN_ALL:
        open_slots = [slot for slot in pending if slot in FORMS[case.type] and not known(case, slot)]
        slots = tuple(slot for slot in open_slots if case.asked.count(slot) < MOST_OF_ONE)[:1]
        if slots:
            ask(reply, slots)


def answered(reply: Reply, said: Said) -> None:
    """The person wrote while questions of the form were open (or wrote on, with none)."""
    absorbed = absorb(reply.the_case, reply.talk.pending, said)
    if absorbed.facts.get("what") != reply.the_case.facts.get("what") and said.sure and said.type in FAILED:
        reply.update(type=said.type)  # only now do we hear what it is about
    keep(reply, absorbed, said)
    if absorbed.question:
        reply.say("side_question")
        ask_again(reply)
        return
    if said.files and not said.text.strip():
        reply.say("voice_added" if said.voice else "file_added")
        absorbed = replace(absorbed, new=False)
    acknowledge(reply, absorbed)
    go_on(reply)


def keep(reply: Reply, absorbed: Absorbed, said: Said) -> None:
    """Write the facts to the case; what is more severe than before raises the case."""
    reply.update(facts=absorbed.facts, severity=max(reply.the_case.severity, said.severity, key=SEVERITIES.index))


def acknowledge(reply: Reply, absorbed: Absorbed) -> None:
    """A word for what was given. In a complaint the person is thanked, once, for telling us."""
    if absorbed.corrected:
        reply.say("corrected", blanks={"value": ", ".join(absorbed.corrected)})
    elif absorbed.none:
        reply.say("without_it")
    elif reply.the_case.type in FAILED and not reply.talk.thanked:
        reply.say("thanks_for_telling")
        reply.remember(thanked=True)
    elif absorbed.new and (reply.the_case.type in CONFIRMED or next_slots(reply)):
        reply.say("noted")  # else the last word says it


def summarise(reply: Reply) -> None:
    """Show what was understood and ask whether it is right."""
    facts = reply.the_case.facts
    told = " ".join((_short("what", _gist(facts.get("what", ()))), *facts.get("solution", ())))
    shown = {slot: tuple(one for one in facts.get(slot, ()) if slot != "wish" or one not in told) for slot in SHOWN}
    shown["what"] = (_gist(shown["what"]),)
    above = {value for slot in NUMBERS for value in facts.get(slot, ())}
    shown["more"] = tuple(one for one in shown["more"] if not any(value in one for value in above))
    items = tuple((f"label_{slot}", _short(slot, "; ".join(said))) for slot, said in shown.items() if said)
    reply.say("summary", *CONFIRM, blanks={"items": Bullets(items)})
    reply.update(stage="confirming")
    reply.await_answer("confirm")


def _gist(told: tuple[str, ...]) -> str:
    """What happened, without the greeting before it."""
    parts = [part for one in told for part in words.sentences(one)]
    return " ".join([part for part in parts if words.words_of_content(part) >= 2] or parts)


def _short(slot: str, text: str) -> str:
    shown = text.split()
    most = _LONGEST.get(slot, 14)
    return " ".join(shown) if len(shown) <= most else " ".join(shown[:most]) + "…"


def confirmed(reply: Reply, said: Said) -> None:
    """The answer to the summary: yes, no, or the correction itself."""
    more = bool(said.facts) or numbers.number_in(said.text) is not None
    yes = said.pressed == "confirm:yes" or (said.act == "affirm" and not (words.corrects(said.text) and more))
    content = words.words_of_content(said.text) > 2 or more or words.wishes(said.text)
    if words.unknown(said.text) and not said.pressed:
        file(reply)  # they cannot say whether it is right: it is kept as it is
        return
    if said.pressed == "confirm:no" or (not yes and not content):
        reply.say("ask_correction")
        reply.await_answer("correct")
        return
    if content and not said.pressed:
        corrected(reply, said, again=not yes)
    if yes:
        file(reply)


def corrected(reply: Reply, said: Said, *, again: bool = True) -> None:
    """Take the correction in and show the summary once more."""
    case, late = reply.the_case, "again" in reply.talk.pending
    wanted = () if words.corrects(said.text) else tuple(slot for slot in FORMS[case.type] if not known(case, slot))
    taken_back = "correct" in reply.talk.pending or words.corrects(said.text)
    absorbed = absorb(case, tuple(slot for slot in wanted if slot in FREE_TEXT), said, correcting=again and taken_back)
    keep(reply, absorbed, said)
    if not again:
        return
    if absorbed.corrected:
        acknowledge(reply, absorbed)
    elif late:
        reply.say("noted")
    if late and not taken_back:  # shown twice already: it is complete with this
        file(reply)
        return
    summarise(reply)
    reply.await_answer("confirm", "again")


def file(reply: Reply) -> None:
    """All that we could learn is there: say what happens next and by which channel we write."""
    case = reply.the_case
    reply.update(stage="filed")
    reply.rest()
    if case.type == "felicitacion":
        reply.say("praise_done" if case.facts.get("share") == ("yes",) else "praise_private")
    elif case.type == "sugerencia":
        reply.say("suggestion_noted")
    else:
        reply.say("next_steps", dated=True)
        ask_channel(reply)


def ask_channel(reply: Reply) -> None:
    """By which channel they want the news, unless we know or there is but one."""
    talk = reply.talk
    others = [kind for kind in talk.channels if kind in _OTHERS and kind != talk.channel]
    if not others or reply.profile.preferred or talk.proving:
        return
    here = Choice("button_here", "channel:here")
    reply.say("ask_channel", here, *(Choice(f"button_{kind}", f"channel:{kind}") for kind in others))
    reply.await_answer("channel")
