"""When a person may be written to, by country and purpose; news of a case may go at any hour.

Colombia has a law of its own (Ley 2300); where the law is silent, surveys and advertising rest at night and on Sundays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from bot import hours
from bot.company import Company
from bot.consent import PURPOSES
from bot.shipped import shipped

DATA = Path(__file__).parent / "contact_hours.yaml"
SILENT = "silent"


@dataclass(frozen=True)
class Rule:
    """What a country's law allows, or we where it is silent."""

    purposes: frozenset[str]
    week: hours.Week
    holidays: bool  # whether it may be done on them
    source: str


@cache
def rules(path: Path = DATA) -> Mapping[str, Rule]:
    """By country; SILENT is the rule of all others. Raises ValueError for a purpose or hours that nobody knows."""
    told = shipped(path)
    found = {}
    for country, facts in {SILENT: told["silent"], **told["countries"]}.items():
        purposes = frozenset(facts["purposes"])
        if unknown := purposes - set(PURPOSES):
            raise ValueError(f"{country}: no such purpose: {', '.join(sorted(unknown))}")
        found[country] = Rule(purposes, hours.parse_week(facts["hours"]), facts["holidays"], facts["src"])
    return found


def allowed_at(company: Company, purpose: str, now: datetime) -> datetime:
    """The first moment from `now` (aware) on at which a message for this purpose may leave."""
    known = rules()
    rule = known.get(company.country, known[SILENT])
    if purpose not in rule.purposes:
        return now
    calendar = company.hours_calendar()
    is_holiday = (lambda _: False) if rule.holidays else calendar.is_holiday
    opens = hours.next_open(hours.Hours(rule.week, calendar.timezone, is_holiday), now)
    return opens or now
