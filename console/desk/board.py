"""The manager's page as rows and cells: each number with its text and the address of the list behind it."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from bot.figures import WAITS, ChannelDay, Overview, Period, Wait
from console.desk.charts import KINDS
from console.desk.numbers import Numbers
from console.desk.signs import SEVERITIES, TYPES
from console.desk.words import Words

LISTS = "/desk/figures/list"
FEW = 30  # measurements
DARKEST, LIGHTEST = 48, 8  # percent of ink in a cell, so that text stays text
SCALE = (("1 s", 1), ("10 s", 10), ("1 min", 60), ("10 min", 600), ("1 h", 3600), ("1 d", 86_400))
STRIP = 160  # width of a strip, in its own units
MARGIN = 12


@dataclass(frozen=True)
class Series:
    """One account as a channel of the page. kind: one of KINDS."""

    account: str
    kind: str
    name: str


@dataclass(frozen=True)
class Cell:
    """A number; zero opens nothing."""

    n: int
    text: str
    href: str | None
    shade: int = 0


@dataclass(frozen=True)
class ChannelRow:
    """A channel in the period. change: difference of its share to the days before, None without any before."""

    series: Series
    cases: Cell
    messages: Cell
    share: float | None
    change: float | None


@dataclass(frozen=True)
class WaitRow:
    """Something that people waited for; `series` None: on all channels."""

    kind: str
    series: Series | None
    wait: Wait | None
    count: Cell

    @property
    def few(self) -> bool:
        """Whether the number is to be taken with care."""
        return self.wait is not None and self.wait.count < FEW

    @property
    def ends(self) -> tuple[float, float]:
        """Where the median and the P95 stand on the strip."""
        assert self.wait is not None
        return place(self.wait.p50), place(self.wait.p95)


def place(seconds: float) -> float:
    """The place of a wait on the strip's logarithmic scale; below a second and above a day it stands at the end."""
    share = math.log(max(seconds, 1)) / math.log(SCALE[-1][1])
    return round(MARGIN + min(1.0, share) * (STRIP - 2 * MARGIN), 1)


def all_series(kinds: Mapping[str, str], seen: Iterable[str], words: Words) -> list[Series]:
    """Configured accounts and those that still have numbers, in the stacking order; two of a kind show which."""
    accounts = [*kinds, *sorted(set(seen) - set(kinds))]
    known = {account: kinds.get(account, account) for account in accounts}
    twice = {kind for kind, count in Counter(known.values()).items() if count > 1}
    order = {kind: rank for rank, kind in enumerate(KINDS)}
    found = []
    for account, kind in sorted(known.items(), key=lambda one: (order.get(one[1], len(KINDS)), one[0])):
        name = words.of("channel", kind)
        named = f"{name} ({account})" if kind in twice else name
        found.append(Series(account, kind if kind in order else "webchat", named))
    return found


class Board:
    """Everything that the page shows, for one counted thing (cases | messages)."""

    def __init__(self, overview: Overview, series: Sequence[Series], counted: str, numbers: Numbers) -> None:
        self.period = overview.period
        self.standing = overview.standing
        self.understood = overview.understood
        self.satisfaction = overview.satisfaction
        self.counted = counted
        self.series = series
        self.mix = overview.mix
        self._overview = overview
        self._numbers = numbers
        self._by_day = {(one.day, one.account): self._counts(one) for one in overview.mix}

    def number(self, day: date, account: str) -> int:
        """How many on a day."""
        return self._by_day.get((day, account), 0)

    def on(self, day: date) -> int:
        """How many on a day, on all channels."""
        return sum(self.number(day, one.account) for one in self.series)

    @property
    def total(self) -> int:
        """How many in the period."""
        return sum(self._counts(one) for one in self._overview.mix)

    @property
    def total_before(self) -> int:
        """How many in as many days before."""
        return sum(self._counts(one) for one in self._overview.mix_before)

    @property
    def opened_before(self) -> int:
        """Cases opened in as many days before."""
        return sum(one.cases for one in self._overview.mix_before)

    def used(self) -> list[Series]:
        """Channels that brought anything."""
        some = {one.account for one in self._overview.mix if self._counts(one)}
        return [one for one in self.series if one.account in some]

    def cell(self, n: int, shade: int = 0, period: Period | None = None, **only: str | None) -> Cell:
        """A number and its list."""
        return Cell(n, self._numbers.count(n), self.link(period, **only) if n else None, shade)

    def link(self, period: Period | None = None, **asked: str | None) -> str:
        """The list behind a number of the period; what is None does not filter."""
        days = period or self.period
        only = {name: value for name, value in asked.items() if value is not None}
        return f"{LISTS}?{urlencode(only | {'from': days.first.isoformat(), 'to': days.last.isoformat()})}"

    def channels(self) -> list[ChannelRow]:
        """A row for each channel, the first at the foot of the columns."""
        now, before = _sums(self._overview.mix), _sums(self._overview.mix_before)
        which = 0 if self.counted == "cases" else 1
        rows = []
        for one in self.series:
            share = self._share(now[one.account][which], self.total)
            was = self._share(before[one.account][which], self.total_before)
            rows.append(
                ChannelRow(
                    one,
                    self.cell(now[one.account][0], counted="cases", account=one.account),
                    self.cell(now[one.account][1], counted="messages", account=one.account),
                    share,
                    share - was if share is not None and was is not None else None,
                )
            )
        return rows

    def all_channels(self) -> tuple[Cell, Cell]:
        """Cases and messages of all channels."""
        cases = sum(one.cases for one in self._overview.mix)
        messages = sum(one.messages for one in self._overview.mix)
        return self.cell(cases, counted="cases"), self.cell(messages, counted="messages")

    def days(self) -> list[tuple[date, list[Cell], Cell]]:
        """A row for each day, newest first: a cell for each channel that was used, and all of them."""
        rows = []
        for day in reversed(self.period.days()):
            only = Period(day, day)
            cells = [
                self.cell(self.number(day, one.account), period=only, counted=self.counted, account=one.account)
                for one in self.used()
            ]
            rows.append((day, cells, self.cell(self.on(day), period=only, counted=self.counted)))
        return rows

    def day_link(self, day: date, account: str) -> str:
        """The list behind a piece of a column."""
        return self.link(Period(day, day), counted=self.counted, account=account)

    def types(self) -> list[tuple[str, list[Cell], Cell]]:
        """A row for each type: a cell for each severity, and all of them."""
        counts = {(one.type, one.severity): one.cases for one in self._overview.types}
        most = max(counts.values(), default=1)
        names = [*TYPES, *sorted({one.type for one in self._overview.types} - set(TYPES))]
        rows = []
        for type in names:
            cells = []
            for severity in SEVERITIES:
                n = counts.get((type, severity), 0)
                cells.append(self.cell(n, _shade(n, most), counted="cases", type=type, severity=severity))
            rows.append((type, cells, self.cell(sum(cell.n for cell in cells), counted="cases", type=type)))
        return rows

    def severities(self) -> list[Cell]:
        """All types, by severity."""
        sums = Counter[str]()
        for one in self._overview.types:
            sums[one.severity] += one.cases
        return [self.cell(sums[severity], counted="cases", severity=severity) for severity in SEVERITIES]

    def waits(self) -> list[tuple[Series | None, list[WaitRow]]]:
        """Ack, answer and first person: on all channels, then a row for each where there is more than one."""
        found = {(one.kind, one.account): one for one in self._overview.waits}
        rows: list[tuple[Series | None, list[WaitRow]]] = [
            (None, [self._wait(kind, None, found.get((kind, None))) for kind in WAITS])
        ]
        measured = [one for one in self.series if any((kind, one.account) in found for kind in WAITS)]
        if len(measured) > 1:
            for one in measured:
                rows.append((one, [self._wait(kind, one, found.get((kind, one.account))) for kind in WAITS]))
        return rows

    def _wait(self, kind: str, series: Series | None, wait: Wait | None) -> WaitRow:
        account = series.account if series else None
        return WaitRow(kind, series, wait, self.cell(wait.count if wait else 0, counted=kind, account=account))

    def _counts(self, one: ChannelDay) -> int:
        return one.cases if self.counted == "cases" else one.messages

    @staticmethod
    def _share(part: int, whole: int) -> float | None:
        return part / whole if whole else None


def _sums(mix: Iterable[ChannelDay]) -> dict[str, tuple[int, int]]:
    sums: dict[str, tuple[int, int]] = _Zeros()
    for one in mix:
        cases, messages = sums[one.account]
        sums[one.account] = cases + one.cases, messages + one.messages
    return sums


class _Zeros(dict[str, tuple[int, int]]):
    def __missing__(self, key: str) -> tuple[int, int]:
        return 0, 0


def _shade(n: int, most: int) -> int:
    """Percent of ink by the root of the number, in steps of four: the stylesheet has a class for each."""
    if not n:
        return 0
    return max(LIGHTEST, 4 * round(DARKEST * math.sqrt(n / most) / 4))
