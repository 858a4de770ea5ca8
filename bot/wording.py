"""Put what is to be said into words: blanks that only the database, the calendar or the company know."""

from collections.abc import Sequence

from bot import dates
from bot.dialogue import effects as fx
from bot.parts import Parts
from bot.writing import say
from storage.tables import Case

_DATED = {"legal": "due", "internal": "target", "none": "undated"}


def facts(parts: Parts, case: Case | None, language: str, link: str | None = None) -> dict[str, str]:
    """Everything that a line may state of the case and the company, in the person's language."""
    found = {"hours": dates.hours_in_words(parts.company.hours, language), "link": link or ""}
    if case is not None:
        found |= {
            "code": case.code,
            "opened_at": dates.moment(case.opened_at, language, parts.company.timezone),
            "due_date": dates.day(case.due, language) if case.due else "",
            "since": dates.day(case.updated_at.astimezone(parts.timezone).date(), language),
        }
    return found


def answer(parts: Parts, said: Sequence[fx.Say], case: Case | None, language: str, link: str | None = None) -> str:
    """All that was said in one turn, as one text; a paragraph that two events asked for is said once."""
    blanks = facts(parts, case, language, link)
    paragraphs: list[str] = []
    for one in said:
        own = {name: _blank(parts, value, language) for name, value in one.blanks.items()}
        line = f"{one.line}.{_DATED[case.due_kind if case else 'none']}" if one.dated else one.line
        paragraph = say(parts, line, language, {**blanks, **own})
        if paragraph not in paragraphs:
            paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def _blank(parts: Parts, value: fx.Blank, language: str) -> str:
    match value:
        case fx.Word(line):
            return say(parts, line, language)
        case fx.Bullets(items):
            return "\n".join(f"• {say(parts, label, language)}: {said}" for label, said in items)
        case str():
            return value


def kind(lines: Sequence[str], *, news: bool) -> str:
    """What the outgoing row is: receipts and closings matter more than answers."""
    if any(line.startswith("receipt") for line in lines):
        return "receipt"
    if any(line.startswith("closing_question") for line in lines):
        return "closing"
    return "update" if news else "answer"
