"""When people are there: the opening hours of the configuration, minus holidays.

mon-fri: "08:00-12:00, 14:00-18:00"
sat: ["09:00-13:00"]
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOK_AHEAD = 370  # days; a company that is closed for a year is closed
_SPAN = re.compile(r"\s*(\d{1,2}):(\d{2})\s*[-\u2013]\s*(\d{1,2}):(\d{2})\s*")


@dataclass(frozen=True, order=True)
class Span:
    """From `start` until just before `end`, in minutes after midnight; 1440 is the day's end."""

    start: int
    end: int


Week = tuple[tuple[Span, ...], ...]
"""Seven days from Monday, each with its spans in order."""


@dataclass(frozen=True)
class Hours:
    """Opening hours with their time zone and holidays."""

    week: Week
    timezone: ZoneInfo
    is_holiday: Callable[[date], bool]

    def spans(self, day: date) -> tuple[Span, ...]:
        """When people are there on that day."""
        return () if self.is_holiday(day) else self.week[day.weekday()]


def parse_week(given: Mapping[str, str | list[str]]) -> Week:
    """Read the hours of config.yaml. Raises ValueError that names the entry and the remedy."""
    week: list[tuple[Span, ...]] = [()] * len(DAYS)
    named: set[int] = set()
    for key, value in given.items():
        days, spans = _parse_days(key), _parse_spans(key, value)
        for day in days:
            if day in named:
                raise ValueError(f"{key}: {DAYS[day]} has its hours already; name each day once, ranges with a comma")
            named.add(day)
            week[day] = spans
    return tuple(week)


def open_at(hours: Hours, now: datetime) -> bool:
    """Whether people are there at that (aware) moment."""
    local = now.astimezone(hours.timezone)
    minute = local.hour * 60 + local.minute
    return any(span.start <= minute < span.end for span in hours.spans(local.date()))


def next_open(hours: Hours, now: datetime) -> datetime | None:
    """When people are there next, in the company's time zone: `now` itself if they are; None if never."""
    local = now.astimezone(hours.timezone)
    if open_at(hours, now):
        return local
    for ahead in range(LOOK_AHEAD):
        day = local.date() + timedelta(ahead)
        for span in hours.spans(day):
            opens = _at(day, span.start, hours.timezone)
            if opens > local:
                return opens
    return None


def open_between(hours: Hours, start: datetime, end: datetime) -> timedelta:
    """For how long people were there between two (aware) moments."""
    begins, ends = start.astimezone(hours.timezone), end.astimezone(hours.timezone)
    total = timedelta(0)
    for ahead in range((ends.date() - begins.date()).days + 1):
        day = begins.date() + timedelta(ahead)
        for span in hours.spans(day):
            after, minute = divmod(span.end, 24 * 60)  # the day's end is the start of the next
            opens, closes = _at(day, span.start, hours.timezone), _at(day + timedelta(after), minute, hours.timezone)
            total += max(min(closes, end).astimezone(UTC) - max(opens, start).astimezone(UTC), timedelta(0))
    return total


def _at(day: date, minute: int, timezone: ZoneInfo) -> datetime:
    """A wall clock time; one that a change of clocks leaves out becomes the hour that follows it."""
    wall = datetime.combine(day, time(*divmod(minute, 60)), timezone)
    return wall.astimezone(UTC).astimezone(timezone)


def _parse_days(key: str) -> list[int]:
    days: list[int] = []
    for part in key.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"{key}: not a day; write {', '.join(DAYS)}, a range (mon-fri) or a list (mon,wed)")
        start, end = DAYS.index(first), DAYS.index(last or first)
        if end < start:
            raise ValueError(f"{key}: a range goes forward in the week; write it in two entries")
        days.extend(range(start, end + 1))
    return days


def _parse_spans(key: str, value: str | list[str]) -> tuple[Span, ...]:
    texts = [text for one in ([value] if isinstance(value, str) else value) for text in one.split(",") if text.strip()]
    spans = sorted(_parse_span(key, text) for text in texts)
    if any(a.end > b.start for a, b in pairwise(spans)):
        raise ValueError(f"{key}: two ranges overlap; join them")
    return tuple(spans)


def _parse_span(key: str, text: str) -> Span:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f'{key}: {text.strip()!r} is not a range of hours; write "08:00-18:00"')
    hours, minutes = (int(match[1]), int(match[3])), (int(match[2]), int(match[4]))
    span = Span(hours[0] * 60 + minutes[0], hours[1] * 60 + minutes[1])
    if max(minutes) > 59 or span.end > 24 * 60:
        raise ValueError(f'{key}: {text.strip()!r} is no time of day; a day goes from "00:00" to "24:00"')
    if span.start >= span.end:
        raise ValueError(f"{key}: {text.strip()!r} ends before it starts; put what is past midnight on the next day")
    return span
