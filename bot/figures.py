"""Managers' figures, with the periods and days of the company; each can open the list of what it counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from bot.parts import Parts
from bot.satisfaction import Satisfaction
from storage.counted import CasesCounted, CountedCase, CountedMessage, CountedWait
from storage.inbox import Filter
from storage.reports import ChannelDay, Standing, TypeCount, UnderstoodWeek, Wait

__all__ = [
    "CasesCounted",
    "ChannelDay",
    "CountedCase",
    "CountedMessage",
    "CountedWait",
    "Figures",
    "Filter",
    "Listing",
    "Overview",
    "Period",
    "Satisfaction",
    "Standing",
    "TypeCount",
    "UnderstoodWeek",
    "Wait",
]
DEFAULT_DAYS = 14
LONGEST = 366  # days
PAGE = 50
WAITS = ("ack", "answer", "human")
Row = TypeVar("Row")


@dataclass(frozen=True)
class Period:
    """Whole days of the company, both ends included."""

    first: date
    last: date

    def days(self) -> list[date]:
        """Every day of it."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    def before(self) -> "Period":
        """As many days, just before it."""
        return Period(self.first - timedelta(days=len(self.days())), self.first - timedelta(days=1))


@dataclass(frozen=True)
class Overview:
    """Everything that a manager's page shows, of one moment."""

    period: Period
    mix: Sequence[ChannelDay]
    mix_before: Sequence[ChannelDay]  # of the same number of days before
    types: Sequence[TypeCount]
    waits: Sequence[Wait]
    standing: Standing
    understood: Sequence[UnderstoodWeek]
    satisfaction: Satisfaction  # of the cases that were called solved in the period


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """A page of what a figure counted; `next` is what to pass as `before` for the page below."""

    rows: Sequence[Row]
    total: int
    next: str | None


class Figures:
    """The numbers of a period, and the lists behind them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def period(self, first: date | None = None, last: date | None = None, days: int = DEFAULT_DAYS) -> Period:
        """The wished days, at most a year. Without a first day so many `days`; without a last one up to today."""
        last = last or self._parts.today()
        first = first or last - timedelta(days=days - 1)
        if first > last:
            first, last = last, first
        return Period(max(first, last - timedelta(days=LONGEST - 1)), last)

    def bounds(self, period: Period) -> tuple[datetime, datetime]:
        """The moments between which the period lies; the end is excluded."""
        start = datetime.combine(period.first, time(), self._parts.timezone)
        end = datetime.combine(period.last + timedelta(days=1), time(), self._parts.timezone)
        return start, end

    async def overview(self, period: Period) -> Overview:
        """Five queries."""
        start, end = self.bounds(period)
        earlier, _ = self.bounds(period.before())
        async with self._parts.database.transaction() as tx:
            mix = await tx.reports.channel_mix(earlier, end, self._parts.company.timezone)
            standing = await tx.reports.standing(start, end, self._parts.today())
            return Overview(
                period=period,
                mix=[one for one in mix if one.day >= period.first],
                mix_before=[one for one in mix if one.day < period.first],
                types=await tx.reports.by_type(start, end),
                waits=await tx.reports.waits(start, end),
                standing=standing,
                satisfaction=Satisfaction.of(
                    standing.surveys, asked_again=standing.asked_again, won_back=standing.won_back
                ),
                understood=await tx.reports.understood(start, end, self._parts.company.timezone),
            )

    async def cases(self, which: CasesCounted, before: str | None = None) -> Listing[CountedCase]:
        """The cases that a figure counted, newest first. Two queries."""
        async with self._parts.database.transaction() as tx:
            rows, total = await tx.reports.counted.cases(which, _moment(before), PAGE + 1)
        return _page(rows, total, [(row.opened_at.isoformat(), row.id) for row in rows])

    async def messages(
        self, period: Period, account: str | None = None, before: str | None = None
    ) -> Listing[CountedMessage]:
        """The messages of people that a figure counted, newest first. Two queries."""
        start, end = self.bounds(period)
        async with self._parts.database.transaction() as tx:
            rows, total = await tx.reports.counted.messages(start, end, account, _moment(before), PAGE + 1)
        return _page(rows, total, [(row.received_at.isoformat(), row.id) for row in rows])

    async def waits(
        self, kind: str, period: Period, account: str | None = None, before: str | None = None
    ) -> Listing[CountedWait]:
        """The waits that were measured (ack | answer | human), the longest first. Two queries."""
        start, end = self.bounds(period)
        async with self._parts.database.transaction() as tx:
            rows, total = await tx.reports.counted.waits(kind, start, end, account, _seconds(before), PAGE + 1)
        return _page(rows, total, [(repr(row.seconds), row.id) for row in rows])


def _page(rows: Sequence[Row], total: int, places: Sequence[tuple[str, UUID]]) -> Listing[Row]:
    more = len(rows) > PAGE
    return Listing(rows[:PAGE], total, "|".join(map(str, places[PAGE - 1])) if more else None)


def _moment(before: str | None) -> tuple[datetime, UUID] | None:
    """The place in a list that a link carries; a broken one begins at the top."""
    at, _, row_id = (before or "").partition("|")
    try:
        return datetime.fromisoformat(at), UUID(row_id)
    except ValueError:
        return None


def _seconds(before: str | None) -> tuple[float, UUID] | None:
    seconds, _, row_id = (before or "").partition("|")
    try:
        return float(seconds), UUID(row_id)
    except ValueError:
        return None
