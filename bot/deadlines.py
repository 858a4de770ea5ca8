"""By when a case must be answered: the law's term where it sets one, the company's own where it does not.

Day 0, the day of reception in the company's time zone, is not counted. The terms are data (bot/terms.py).
"""

import calendar
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from bot import dates, workdays
from bot.terms import Law, Profile, Term, law
from bot.workdays import Workdays

WITHOUT_TERM = frozenset({"felicitacion", "otro"})  # nothing is decided, so nothing is awaited


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """When the answer is due, why, and what it was counted with. Store all of it with the case."""

    kind: str  # legal | internal | none
    due: date | None = None  # in the company's time zone
    due_at: datetime | None = None  # only where the term is in hours
    target: date | None = None  # the day to aim at, inside the term
    days: int | None = None  # how many of `unit`
    unit: str | None = None  # wd | cd | mo | h
    profile: str | None = None
    reason: Mapping[str, Any] = field(default_factory=dict)  # JSON values: why, law, sure, start, skipped, extension
    calendar_version: str = ""

    def as_json(self) -> dict[str, Any]:
        """All but `due` and `kind`, as JSON values to be stored beside them."""
        return {
            **self.reason,
            "profile": self.profile,
            "days": self.days,
            "unit": self.unit,
            "target": self.target.isoformat() if self.target else None,
            "due_at": self.due_at.isoformat() if self.due_at else None,
            "calendar": self.calendar_version,
        }

    @classmethod
    def stored(cls, kind: str, due: date | None, told: Mapping[str, Any]) -> "Deadline":
        """The deadline again from what was stored of it: the inverse of `as_json`."""
        own = ("profile", "days", "unit", "target", "due_at", "calendar")
        return cls(
            kind=kind,
            due=due,
            due_at=datetime.fromisoformat(told["due_at"]) if told.get("due_at") else None,
            target=date.fromisoformat(told["target"]) if told.get("target") else None,
            days=told.get("days"),
            unit=told.get("unit"),
            profile=told.get("profile"),
            reason={name: value for name, value in told.items() if name not in own},
            calendar_version=told.get("calendar", ""),
        )


def decide(
    received: datetime,
    *,
    country: str,
    region: str | None,
    type: str,
    subtype: str | None = None,
    timezone: str,
    extra_holidays: Collection[date] = (),
    sector: str | None = None,
    answer_terms: Mapping[str, str] | None = None,
    book: Law | None = None,
) -> Deadline:
    """By when a report must be answered that was received then (an aware moment).

    subtype: documentos, informacion, consulta, datos, facturacion, … (deadlines.yaml). answer_terms: the company's own,
    by type, where the law is silent (`{sugerencia: 10wd}`). A suggestion has a date only if the company names one.
    """
    if received.tzinfo is None:
        raise ValueError("the moment of reception needs its time zone")
    book = book or law()
    if type in WITHOUT_TERM:
        return Deadline(kind="none", reason={"why": "no_decision"}, calendar_version=workdays.version())
    local = received.astimezone(ZoneInfo(timezone))
    day = local.date()
    if book.cutoff_hour is not None and local.hour >= book.cutoff_hour:
        day += timedelta(1)
    profile = book.find(country, _keys(type, subtype), sector)
    choice = _choose(book, profile, type, day, answer_terms or {})
    if choice is None:
        return Deadline(kind="none", reason={"why": "no_term"}, calendar_version=workdays.version())
    term, why = choice
    days = Workdays(country, region, extra_holidays, saturday=book.saturday)
    due_at = received + timedelta(hours=term.count) if term.unit == "h" else None
    due = due_at.astimezone(ZoneInfo(timezone)).date() if due_at else _count(days, day, term)
    return Deadline(
        kind="legal" if why == "law" else "internal",
        due=due,
        due_at=due_at,
        target=_target(days, day, term, book.target),
        days=term.count,
        unit=term.unit,
        profile=profile.name if profile and why != "company" else None,
        reason=_reason(book, profile, why, term, days, day, due),
        calendar_version=workdays.version(),
    )


def first_to_end(terms: Iterable[Deadline]) -> Deadline:
    """The term that ends first, of cases that are answered as one: no date that was promised becomes a later one.

    On the same day a moment comes before the day's end, and the law's term before our own. Without any: no date.
    """

    def end(term: Deadline) -> tuple[date, bool, datetime, bool]:
        at = term.due_at or datetime.max.replace(tzinfo=UTC)
        return term.due or date.max, term.due_at is None, at, term.kind != "legal"

    return min(terms, key=end)


def explain(deadline: Deadline, language: str, book: Law | None = None) -> str:
    """One line that says how the date was found, for the person who asks why."""
    words = (book or law()).words[language]
    if deadline.due is None or deadline.days is None or deadline.unit is None:
        return str(words["none"])
    reason = deadline.reason
    start = date.fromisoformat(reason["start"])
    why = words["silent"]
    if reason["why"] == "company":
        why = words["company"]
    elif reason["why"] == "not_in_force":
        why = words["not_yet"].format(day=dates.day(date.fromisoformat(reason["from"]), language, start))
    line: str = words["legal" if deadline.kind == "legal" else "internal"].format(
        term=_many(words[deadline.unit], deadline.days),
        start=dates.day(start, language),
        skipped=_skipped(words, reason["skipped"], language, start),
        law=reason.get("law", ""),
        why=why,
    )
    return line


def _keys(type: str, subtype: str | None) -> list[str]:
    """The names that a profile may know this report by, the closest first."""
    if subtype is None:
        return [type]
    keys = [f"{type}/{subtype}", subtype, type]
    if subtype == "datos":
        keys.insert(0, "datos/reclamo" if type in ("reclamo", "queja") else "datos/consulta")
    return keys


def _choose(
    book: Law, profile: Profile | None, type: str, day: date, answer_terms: Mapping[str, str]
) -> tuple[Term, str] | None:
    """The term and why: law | not_in_force | company | silent."""
    in_force = profile is not None and (profile.since is None or day >= profile.since)
    if profile is not None and profile.legal and in_force:
        return profile.term, "law"
    if type in answer_terms:
        return Term.parse(answer_terms[type]), "company"
    if profile is not None:
        return profile.term, "silent" if in_force else "not_in_force"
    return None if type == "sugerencia" else (book.silent, "silent")


def _count(days: Workdays, day: date, term: Term) -> date:
    match term.unit:
        case "wd":
            return days.after(day, term.count)
        case "cd":
            return day + timedelta(term.count)
        case _:
            months = day.month - 1 + term.count
            year, month = day.year + months // 12, months % 12 + 1
            return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def _target(days: Workdays, day: date, term: Term, share: float) -> date | None:
    """The day to aim at: this share of the term, at least one day."""
    if term.unit == "h":
        return None
    whole = term.count if term.unit != "mo" else (_count(days, day, term) - day).days
    return _count(days, day, Term(max(1, ceil(whole * share - 1e-9)), "wd" if term.unit == "wd" else "cd"))


def _reason(
    book: Law, profile: Profile | None, why: str, term: Term, days: Workdays, day: date, due: date
) -> dict[str, Any]:
    """What a sentence about this date needs, as JSON values."""
    reason: dict[str, Any] = {
        "why": why,
        "start": _start(days, day, term).isoformat(),
        "skipped": [d.isoformat() for d in days.skipped(day, due)] if term.unit == "wd" else [],
        "terms": book.version,
    }
    if why in ("law", "not_in_force") and profile is not None:
        reason |= {"law": profile.facts["src"], "sure": profile.facts["v"], "extension": profile.facts.get("ext")}
    if why == "not_in_force" and profile is not None and profile.since is not None:
        reason["from"] = profile.since.isoformat()
    return reason


def _start(days: Workdays, day: date, term: Term) -> date:
    """The first day that is counted."""
    if term.unit == "h":
        return day
    return days.after(day, 1) if term.unit == "wd" else day + timedelta(1)


def _skipped(words: Mapping[str, Any], skipped: Iterable[str], language: str, start: date) -> str:
    days = [dates.short_day(date.fromisoformat(d), language, start) for d in skipped]
    if not days:
        return ""
    listed = words["and"].join([", ".join(days[:-1]), days[-1]]) if len(days) > 1 else days[0]
    return str(words["skipped"]["one" if len(days) == 1 else "many"]).format(days=listed)


def _many(words: Mapping[str, str], count: int) -> str:
    return words["one"] if count == 1 else words["many"].format(n=count)
