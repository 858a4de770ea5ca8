"""Working days of a country: weekends, its holidays, and the days that the company adds."""

from collections.abc import Callable, Collection
from datetime import date, timedelta
from functools import cache, lru_cache
from importlib import metadata

import holidays

SATURDAY, SUNDAY = 5, 6
MAX_STEPS = 4000  # days; more than ten years without enough working days is a fault of the calendar


class UnknownCalendar(Exception):
    """The country or region has no calendar."""


class Workdays:
    """Which days count. `saturday`: Saturdays count too, unless they are holidays."""

    def __init__(
        self, country: str, region: str | None = None, extra: Collection[date] = (), *, saturday: bool = False
    ) -> None:
        self._holidays = _calendar(country, region)
        self._extra = frozenset(extra)
        self._free = {SUNDAY} if saturday else {SATURDAY, SUNDAY}

    def is_holiday(self, day: date) -> bool:
        """Whether the law or the company makes this day free, whatever day of the week it is."""
        return day in self._extra or day in self._holidays

    def is_working(self, day: date) -> bool:
        """Whether work is done on that day."""
        return day.weekday() not in self._free and not self.is_holiday(day)

    def after(self, day: date, count: int) -> date:
        """The `count`-th working day after `day`, which itself is not counted. `count` is at least 1."""
        if count < 1:
            raise ValueError("count at least one day")
        return self._walk(day, count, self.is_working)

    def skipped(self, day: date, until: date) -> list[date]:
        """The holidays after `day` and up to `until` that were not weekend days anyway."""
        days = (day + timedelta(n) for n in range(1, (until - day).days + 1))
        return [d for d in days if d.weekday() not in self._free and self.is_holiday(d)]

    def between(self, day: date, until: date) -> int:
        """Working days after `day` up to `until`; negative when `until` is past."""
        if until < day:
            return -self.between(until, day)
        return sum(self.is_working(day + timedelta(n)) for n in range(1, (until - day).days + 1))

    @staticmethod
    def _walk(day: date, count: int, counts: Callable[[date], bool]) -> date:
        for _ in range(MAX_STEPS):
            day += timedelta(1)
            if counts(day):
                count -= 1
                if count == 0:
                    return day
        raise UnknownCalendar("this calendar has no working days")


@cache
def version() -> str:
    """The calendar package and its version, to be stored beside every date that was counted with it."""
    return f"holidays {metadata.version('holidays')}"


def regions(country: str) -> tuple[str, ...]:
    """The codes of the regions that have holidays of their own. Raises UnknownCalendar."""
    return tuple(_calendar(country, None).subdivisions)


@lru_cache(maxsize=32)
def _calendar(country: str, region: str | None) -> holidays.HolidayBase:
    try:
        return holidays.country_holidays(country, subdiv=region)
    except NotImplementedError as error:
        raise UnknownCalendar(str(error)) from None
