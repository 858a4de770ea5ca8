"""Put what is to be said into words: blanks that only the database, the calendar or the company know."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from bot import dates, states
from bot.catalogue import Catalogue, Rendered
from bot.dialogue import effects as fx
from bot.parts import Parts
from storage.tables import Case, Outgoing

_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
_AMOUNT = re.compile(r"\d+(\.\d+)? [A-Z]{3}")


def company_facts(parts: Parts, language: str) -> dict[str, str]:
    """What every line may state of the company."""
    return {
        "company": parts.company.name,
        "bot_name": parts.company.bot_name,
        "privacy_url": parts.company.privacy_url or "",
        "emergency_number": parts.company.emergency_number,
        "hours": dates.hours_in_words(parts.company.hours, language),
    }


def case_facts(parts: Parts, case: Case | None, language: str) -> dict[str, str]:
    """What a line may state of a case."""
    if case is None:
        return {}
    return {
        "code": case.code,
        "opened_at": dates.moment(case.opened_at, language, parts.company.timezone),
        "due_date": dates.day(case.due, language, parts.today()) if case.due else "",
        "since": dates.day(case.updated_at.astimezone(parts.timezone).date(), language, parts.today()),
    }


def progress(catalogue: Catalogue, row: Outgoing, case: Case | None) -> dict[str, str]:
    """What a provider's template may state of a row of news: the state that its text tells, and what follows.

    Nothing where the text says more than that: then only a template that carries the text will do. `note`: it holds
    a colleague's own words, which must not be lost; `answer`: they are the answer to the case.
    """
    if case is None:
        return {}
    if any(line.endswith("_note") for line in row.lines):
        answer = _answer_of(catalogue, row, case)
        return {"answer": answer} if answer else {"note": row.text}
    if row.lines != ["update"]:
        return {}
    words = {state: catalogue.line(f"status_{state}", row.language) for state in states.CaseState}
    said = (  # the case may have gone on since
        state
        for state, word in words.items()
        for treatment in ("tu", "usted")
        if catalogue.render("update", row.language, treatment, {"code": case.code, "status": word}) == row.text
    )
    state = next(said, states.CaseState(case.status))
    if state in states.CLOSED:
        return {"status": words[state]}
    return {"status": words[state], "next": catalogue.line(f"step_{state}", row.language)}


def _answer_of(catalogue: Catalogue, row: Outgoing, case: Case) -> str:
    """A colleague's own words in news that the answer was sent; empty where the row says anything else."""
    if row.lines != ["update_note"]:
        return ""
    blanks = {"code": case.code, "status": catalogue.line(f"status_{states.S.COMUNICADO}", row.language), "note": ""}
    begins = (catalogue.render("update_note", row.language, treatment, blanks) for treatment in ("tu", "usted"))
    return next((row.text.removeprefix(one).strip() for one in begins if row.text.startswith(one)), "")


def of_case(parts: Parts, say: fx.Say, case: Case, language: str) -> fx.Say:
    """A line that speaks of this case, whichever case the rest of the Answer is about."""
    line = parts.catalogue.name_of(say, case.due_kind)
    return replace(say, line=line, dated=False, blanks={**case_facts(parts, case, language), **say.blanks})


def answer(
    parts: Parts, said: Sequence[fx.Say], case: Case | None, language: str, link: str | None = None, treatment: str = ""
) -> Rendered:
    """All that was said in one turn, as one text with its buttons. `treatment`: the person's own, where it is known."""
    facts = company_facts(parts, language) | case_facts(parts, case, language) | {"link": link or ""}
    unique = list(dict.fromkeys(map(_Once, said)))
    says = [replace(one.say, blanks=_in_words(parts, one.say.blanks, language)) for one in unique]
    return parts.catalogue.answer(says, language, parts.treatment(treatment), facts, case.due_kind if case else "none")


def _in_words(parts: Parts, blanks: Mapping[str, fx.Blank], language: str) -> dict[str, fx.Blank]:
    """Dates and amounts as people write them; the facts themselves keep their normal form."""
    return {
        name: fx.Bullets(tuple((label, _fact_in_words(parts, said, language)) for label, said in value.items))
        if isinstance(value, fx.Bullets)
        else (_fact_in_words(parts, value, language) if isinstance(value, str) else value)
        for name, value in blanks.items()
    }


def _fact_in_words(parts: Parts, said: str, language: str) -> str:
    several = re.split(r"([;,] )", said)
    if len(several) > 1 and all(_DATE.fullmatch(one) or _AMOUNT.fullmatch(one) for one in several[::2]):
        return "".join(_fact_in_words(parts, one, language) if at % 2 == 0 else one for at, one in enumerate(several))
    if _DATE.fullmatch(said):
        try:
            return dates.day(date.fromisoformat(said), language, parts.today())
        except ValueError:  # somebody wrote the 30th of February
            return said
    return dates.amount(said, language, parts.company.country) if _AMOUNT.fullmatch(said) else said


class _Once:
    """A paragraph that two events of one turn asked for is said once."""

    def __init__(self, say: fx.Say) -> None:
        self.say = say

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and self.say == other.say

    def __hash__(self) -> int:
        return hash(self.say.line)


def kind(lines: Sequence[str], *, news: bool) -> str:
    """What the outgoing row is: receipts and closings matter more than answers."""
    if any(line.startswith("receipt") for line in lines):
        return "receipt"
    if any(line.startswith("closing_question") for line in lines):
        return "closing"
    return "update" if news else "answer"
