"""A report becomes a case at once, with its Receipt, so that nothing gets lost when the person leaves."""

from dataclasses import dataclass

from bot.dialogue import words
from bot.dialogue.answers import facts_of, merged
from bot.dialogue.effects import Choice, Flag, LeaveCase, OpenCase, Word
from bot.dialogue.events import Said
from bot.dialogue.forms import FAILED, TO_THE_AGENTS, TYPES
from bot.dialogue.gathering import ask, go_on, next_slots
from bot.dialogue.reply import Reply
from bot.dialogue.state import CaseFacts, Facts

TYPE_CHOICES = tuple(Choice(f"button_type_{name}", f"type:{name}") for name in TYPES)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a case is opened with."""

    text: str
    type: str
    facts: Facts
    confidence: float = 1.0
    doubt: bool = False
    severity: str = "low"
    second_type: str | None = None
    alarms: tuple[str, ...] = ()
    source: str = "person"

    @classmethod
    def of(cls, said: Said) -> "Report":
        """The report of a message."""
        return cls(
            text=said.text.strip(),
            type=said.likely,
            facts=facts_of(said),
            confidence=said.type_confidence,
            doubt=not said.sure or said.type == "otro",
            severity=said.severity,
            second_type=said.second_type if said.likely == said.type else said.type,
            alarms=said.alarms,
            source=said.source,
        )


def open_case(reply: Reply, report: Report) -> CaseFacts:
    """Open it; what was held back until now goes into it. A case that we had stays what it is."""
    if reply.case is not None:
        reply.do(LeaveCase())
    held = merged(reply.talk.held_facts, {"more": (reply.talk.held,)} if reply.talk.held else {})
    facts = merged(held, report.facts)
    if report.text and words.words_of_content(report.text) >= 2:
        facts = merged({"what": (report.text,)}, facts)
    elif report.text:
        facts = merged(facts, {"more": (report.text,)})
    case = CaseFacts(
        type=report.type,
        doubt=report.doubt,
        severity=report.severity,
        facts=facts,
        asked=("contact",) if reply.talk.contact_asked else (),
    )
    reply.open(
        case,
        OpenCase(
            type=report.type,
            severity=report.severity,
            facts=facts,
            type_confidence=report.confidence,
            doubt=report.doubt,
            second_type=report.second_type,
            alarms=report.alarms,
            source=report.source,
        ),
    )
    forget_held(reply)
    reply.remember(pending=(), apologised=False, thanked=False, reminded=False)
    for alarm in report.alarms:
        if alarm in TO_THE_AGENTS:
            reply.do(Flag(alarm))
    return case


def forget_held(reply: Reply) -> None:
    """What was held back has found its place."""
    reply.remember(held=None, held_type=None, held_facts={}, held_severity="low")


def say_receipt(reply: Reply, *, short: bool = False) -> None:
    """Code, date and hour, type as understood, date of the decision, next step."""
    kind = reply.the_case.type
    blanks = {"type": Word(f"type_{kind}")}
    if short:
        reply.say("receipt_short", blanks=blanks, dated=True)
    else:
        reply.say("receipt", blanks={**blanks, "next": Word(f"next_{kind}")}, dated=True)


def begin(reply: Reply, report: Report) -> None:
    """The first Answer to a report: a word of sympathy, the Receipt, the first questions."""
    case = open_case(reply, report)
    _say_opener(reply, case, failed=case.type in FAILED)
    say_receipt(reply)
    either = case.type in FAILED and report.second_type in FAILED  # something failed: whoever reads it decides which
    if case.doubt and not either:
        ask_type(reply)
    else:
        go_on(reply)


def _say_opener(reply: Reply, case: CaseFacts, *, failed: bool) -> None:
    if failed:
        reply.say("apology")
        reply.remember(apologised=True)
    else:
        reply.say("opener_otro" if case.doubt else f"opener_{case.type}")


def ask_type(reply: Reply) -> None:
    """The one clarifying question; it does not count."""
    reply.say("ask_type", *TYPE_CHOICES)
    if reply.case is not None and "contact" in next_slots(reply):
        ask(reply, ("contact",))
    reply.await_answer("type", *(slot for slot in reply.talk.pending if slot == "contact"))


def chosen_type(said: Said) -> str | None:
    """The type that the answer names: the button, its number, its words, or a report that leaves no doubt."""
    if said.pressed and said.pressed.startswith("type:"):
        return said.pressed.removeprefix("type:")
    plain = said.text.strip().rstrip(".)")
    if plain.isdecimal() and len(plain) == 1 and 1 <= int(plain) <= len(TYPES):
        return TYPES[int(plain) - 1]
    named = words.named_type(said.text)
    return named or (said.type if said.sure and said.type != "otro" else None)


def settle_type(reply: Reply, said: Said) -> None:
    """The answer to the clarifying question. It is asked once: without an answer the case goes on in doubt."""
    case = reply.the_case
    kind = chosen_type(said)
    bare_address = words.words_of_content(said.text) <= 4 and any(one.kind in ("email", "phone") for one in said.facts)
    if said.pressed is None:  # what is told beside the answer is not asked in the next breath
        facts = merged(case.facts, facts_of(said))
        if words.words_of_content(said.text) > 2 and not bare_address:
            facts = merged(facts, {"more" if case.facts.get("what") else "what": (said.text.strip(),)})
        reply.update(facts=facts)
    if kind is not None:
        reply.update(type=kind, doubt=False)
    if reply.the_case.type in FAILED and not reply.talk.apologised:
        _say_opener(reply, reply.the_case, failed=True)
    elif kind is not None:
        changed = kind != case.type  # the date that the Receipt named was that of another type
        line = "type_changed" if changed else "type_settled"
        reply.say(line, blanks={"type": Word(f"type_{kind}")}, dated=changed)
    else:
        reply.say("noted")
    go_on(reply)
