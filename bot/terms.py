"""The terms of deadlines.yaml: how long the law of each country gives to answer what kind of report."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from bot.shipped import parsed

DATA = Path(__file__).with_name("deadlines.yaml")


@dataclass(frozen=True)
class Term:
    """A length of time to answer in: `10wd` working days, `7cd` calendar days, `1mo`, `2h`."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> "Term":
        """Read `10wd`. Raises ValueError with the remedy."""
        match = re.fullmatch(r"\s*([1-9]\d{0,2})\s*(wd|cd|mo|h)\s*", str(text))
        if match is None:
            raise ValueError(f"{text!r} is not a term: write 10wd (working days), 7cd (calendar days), 1mo or 2h")
        return cls(int(match[1]), match[2])


@dataclass(frozen=True)
class Profile:
    """One term of one law."""

    name: str
    country: str
    term: Term
    legal: bool  # False: the law names no term, this is a usual one
    applies: frozenset[str]  # empty: to every report of the sector
    sector: str | None
    since: date | None
    facts: Mapping[str, Any]

    def rank(self, keys: list[str], sector: str | None) -> tuple[int, ...] | None:
        """How closely this fits a case, larger is closer; None: not at all. A subtype is closer than a sector."""
        if self.sector is not None and self.sector != sector:
            return None
        applies = next((len(keys) - n for n, key in enumerate(keys) if key in self.applies), None)
        if applies is None and self.applies and "all" not in self.applies:
            return None
        subtype = applies is not None and applies > 1
        return (int(subtype), int(self.sector is not None), applies or 0, -(len(self.applies) or 99))


@dataclass(frozen=True)
class Law:
    """Everything that deadlines.yaml says."""

    version: str
    profiles: tuple[Profile, ...]
    silent: Term
    target: float
    cutoff_hour: int | None
    saturday: bool
    union: frozenset[str]
    words: Mapping[str, Mapping[str, Any]]

    def find(self, country: str, keys: list[str], sector: str | None) -> Profile | None:
        """The profile that fits best."""
        countries = {country, "EU"} if country in self.union else {country}
        ranked = [(rank, p) for p in self.profiles if p.country in countries and (rank := p.rank(keys, sector))]
        return max(ranked, key=lambda pair: pair[0])[1] if ranked else None


@cache
def law(path: Path = DATA) -> Law:
    """Read the terms, once."""
    return read(path.read_text(encoding="utf-8"))


def read(text: str) -> Law:
    """Read the terms of a text in the form of deadlines.yaml."""
    raw = parsed(text)
    defaults = raw["defaults"]
    return Law(
        version=str(raw["version"]),
        profiles=tuple(p for name, facts in raw["profiles"].items() if (p := _profile(name, facts)) is not None),
        silent=Term.parse(raw["silent"]),
        target=defaults["internal_target"],
        cutoff_hour=defaults["cutoff_hour"],
        saturday=defaults["sat"],
        union=frozenset(raw["eu"]),
        words=raw["words"],
    )


def _profile(name: str, facts: Mapping[str, Any]) -> Profile | None:
    """None for rows without a term to answer the customer in: a duty to an authority, a rule on the first message."""
    if "to" in facts or "term" not in facts:
        return None
    legal = facts["term"] is not None
    return Profile(
        name=name,
        country=facts["country"],
        term=Term(facts["term"], facts["unit"]) if legal else Term.parse(facts["internal_default"]),
        legal=legal,
        applies=frozenset(facts.get("applies", ())),
        sector=facts.get("sector"),
        since=facts.get("from"),
        facts=facts,
    )
