"""The way to a person: at any turn, at once, without conditions; and silence while a person speaks."""

from bot.dialogue import numbers, words
from bot.dialogue.answers import absorb, facts_of, merged
from bot.dialogue.effects import AddContact, CallPerson, Choice, Flag, OptOut, StopTimer
from bot.dialogue.events import AgentGaveBack, AgentTook, Said
from bot.dialogue.forms import SEVERITIES
from bot.dialogue.gathering import keep, say_contact, wants_contact
from bot.dialogue.opening import Report, begin, forget_held, open_case, say_receipt
from bot.dialogue.reach import phone_in
from bot.dialogue.reply import Reply
from bot.dialogue.state import Facts

PERSON = Choice("button_person", "person")


def hand_over(reply: Reply, said: Said, *, reason: str = "asked") -> None:
    """Call a person and say when they come. What came along is kept; a report among it becomes a case."""
    if reply.talk.speaker == "waiting":
        _reassure(reply, said)
    else:
        reply.do(CallPerson(reason))
        _say_when(reply, said)
    reply.remember(speaker="waiting")
    if not reply.has_open_case and said.type != "otro" and words.words_of_content(said.text) > 3:
        open_case(reply, Report.of(said))
        say_receipt(reply)
    elif reply.has_open_case:
        if said.facts or said.files or words.words_of_content(said.text) > 6:  # the mere wish is no fact of the case
            keep_quietly(reply, said)
    elif not said.people_online:
        reply.say("handover_meanwhile")
    reply.rest()
    if not said.people_online and wants_contact(reply):
        say_contact(reply)
        reply.remember(pending=("contact",))


def _say_when(reply: Reply, said: Said) -> None:
    if said.people_online:
        reply.say("handover")
    elif said.back_at:
        reply.say("handover_later", blanks={"back_at": said.back_at})
    else:
        reply.say("handover_unknown")


def _reassure(reply: Reply, said: Said) -> None:
    """They ask again while they wait: an answer, once; outside hours they hear again when people are back."""
    if not said.people_online:
        _say_when(reply, said)
    elif not reply.talk.reassured:
        reply.say("still_waiting")
    reply.remember(reassured=True)


def wait(reply: Reply, said: Said) -> None:
    """A person was called and has not come yet: nothing is lost, and the bot asks nothing."""
    if said.act == "human":
        hand_over(reply, said)
    elif not reply.has_open_case and starts_case(said) and not reply.talk.safety:
        open_case(reply, Report.of(said))
        say_receipt(reply)
    else:
        keep_quietly(reply, said)


def reassure_once(reply: Reply, said: Said) -> None:
    """After an alarm only people speak; but whoever asks where they are hears once that they know."""
    asks = words.impatient(said.text) or said.act == "human"
    if asks and not reply.talk.reassured and reply.talk.speaker == "waiting":
        reply.say("still_waiting")
        reply.remember(reassured=True)


def starts_case(said: Said) -> bool:
    """Whether these words bring a case of their own."""
    content = words.words_of_content(said.text)
    if said.act == "report":
        return said.type != "otro" or (not said.sure and content >= 2)
    return said.act in ("provide", "thanks") and said.type != "otro" and said.sure and content >= 3


def keep_quietly(reply: Reply, said: Said) -> None:
    """Every fact goes to the case without a word; without a case the words are held for one."""
    phone = (phone_in(said) or numbers.phone_like(said.text)) if "callback" in reply.talk.pending else None
    if phone:
        reply.do(AddContact("phone", phone))
        reply.remember(pending=())
        reply.say("callback_noted", blanks={"phone": phone})  # whoever is hurt must know that the number arrived
    if reply.has_open_case:
        keep(reply, absorb(reply.the_case, (), said), said)
    elif starts_case(said) or said.facts or said.files:
        hold(reply, said)


def keep_facts(reply: Reply, said: Said) -> None:
    """Whatever road a message took: each fact of it is in the case, or held for one."""
    if reply.case is not None:
        kept = {value for values in reply.case.facts.values() for value in values}
        facts: Facts = reply.case.facts
        for fact in said.facts:
            if not any(fact.value in value for value in kept):
                facts = merged(facts, {fact.kind: (fact.value,)})
        reply.update(facts=facts)
    else:
        picked = {kind: values for kind, values in facts_of(said).items() if kind != "evidence"}
        reply.remember(held_facts=merged(reply.talk.held_facts, picked))


def hold(reply: Reply, said: Said) -> None:
    """Keep a report until it can become a case."""
    talk = reply.talk
    likely = said.likely if said.likely != "otro" else talk.held_type
    reply.remember(
        held="\n".join(part for part in (talk.held, said.text.strip()) if part) or None,
        held_type=likely,
        held_facts=merged(talk.held_facts, facts_of(said)),
        held_severity=max(talk.held_severity, said.severity, key=SEVERITIES.index),
    )


def held_report(reply: Reply) -> Report:
    """What was held, as a report; nothing stays held."""
    talk = reply.talk
    report = Report(
        text=talk.held or "",
        type=talk.held_type or "otro",
        facts=talk.held_facts,
        doubt=talk.held_type is None,
        severity=talk.held_severity,
        source="held",
    )
    forget_held(reply)
    return report


def held_into_case(reply: Reply) -> None:
    """It belongs to the case that we have."""
    talk = reply.talk
    if talk.held or talk.held_facts:
        extra = {"more": (talk.held,)} if talk.held else {}
        severity = max(reply.the_case.severity, talk.held_severity, key=SEVERITIES.index)
        reply.update(facts=merged(merged(reply.the_case.facts, talk.held_facts), extra), severity=severity)
        forget_held(reply)


def took(reply: Reply, event: AgentTook) -> None:
    """A person speaks from here on."""
    reply.remember(speaker="person", pending=tuple(one for one in reply.talk.pending if one in ("closing", "callback")))
    reply.do(StopTimer("silence"))
    reply.say("agent_joined", blanks={"agent": event.name}, notice=True)


def spoke(reply: Reply) -> None:
    """An agent wrote: what the customer says next answers them, and no question of ours."""
    reply.remember(pending=tuple(question for question in reply.talk.pending if question == "callback"))


def gave_back(reply: Reply, event: AgentGaveBack) -> None:
    """The bot may speak again; a report that came in between gets its case now."""
    reply.remember(speaker="bot", safety=False, reassured=False)
    reply.say("agent_left", blanks={"agent": event.name}, notice=True)
    if reply.has_open_case:
        held_into_case(reply)
    elif reply.talk.held_type is not None or words.words_of_content(reply.talk.held or "") >= 4:
        begin(reply, held_report(reply))  # rather a case in doubt than a report that gets lost


def listen(reply: Reply, said: Said) -> None:
    """A person speaks: the bot says nothing, whatever is said, and loses nothing."""
    if said.act == "stop":
        reply.know(opted_out=True)
        reply.do(OptOut())
    if said.severity == "critical" or said.human_now:
        reply.do(Flag("harm"))
    keep_quietly(reply, said)
