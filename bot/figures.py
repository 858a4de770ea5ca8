"""Managers' figures, with the periods and days of the company."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from bot.parts import Parts
from storage.inbox import Filter
from storage.reports import ChannelDay, Standing, TypeCount, Waits

__all__ = ["ChannelDay", "Figures", "Filter", "Period", "Standing", "TypeCount", "Waits"]


@dataclass(frozen=True)
class Period:
    """Whole days of the company, both ends included."""

    first: date
    last: date

    def days(self) -> list[date]:
        """Every day of it."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


@dataclass(frozen=True)
class Overview:
    """Everything that a manager's page shows, of one moment."""

    mix: list[ChannelDay]
    types: list[TypeCount]
    waits: Waits
    standing: Standing


class Figures:
    """Each figure can open the list of what it counts: see `behind`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def period(self, first: date | None = None, last: date | None = None) -> Period:
        """The wished days, at most a year; fourteen days up to today by default."""
        last = last or self._parts.today()
        first = first or last - timedelta(days=13)
        if first > last:
            first, last = last, first
        return Period(max(first, last - timedelta(days=366)), last)

    def bounds(self, period: Period) -> tuple[datetime, datetime]:
        """The moments between which the period lies; the end is excluded."""
        start = datetime.combine(period.first, time(), self._parts.timezone)
        end = datetime.combine(period.last + timedelta(days=1), time(), self._parts.timezone)
        return start, end

    async def overview(self, period: Period) -> Overview:
        """Four queries."""
        start, end = self.bounds(period)
        async with self._parts.database.transaction() as tx:
            return Overview(
                mix=await tx.reports.channel_mix(start, end, self._parts.company.timezone),
                types=await tx.reports.by_type(start, end),
                waits=await tx.reports.waits(start, end),
                standing=await tx.reports.standing(start, end, self._parts.today()),
            )

    def behind(
        self,
        period: Period,
        *,
        account: str | None = None,
        type: str | None = None,
        severity: str | None = None,
        counted: str = "cases",
    ) -> Filter:
        """The filter that lists what a figure counts: cases opened in the period, or messages received."""
        start, end = self.bounds(period)
        if counted == "messages":
            return Filter(account=account, received_from=start, received_to=end)
        return Filter(account=account, type=type, severity=severity, opened_from=start, opened_to=end)
