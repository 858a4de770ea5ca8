"""The numbers of the channel chart in the form that its specification wants, and the tables for other programs."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from console.desk.board import Board
from console.desk.numbers import Numbers
from console.desk.pages import Tell
from console.desk.signs import SEVERITIES
from console.desk.words import Words

NARROW = 60  # days; beyond, columns are too thin for white lines
TICKS = 7  # dates below the columns, at most
ROOM = 0.09  # of the height that a name needs
_STEPS = (1, 2, 2.5, 5, 10)


def datasets(board: Board, words: Words, numbers: Numbers, tell: Tell, peak: date | None) -> dict[str, Any]:
    """Rows for the specification of `charts.mix`."""
    days = board.period.days()
    return {
        "bars": list(_bars(board, days, words, numbers, tell)),
        "names": names(board, days[-1], axis_top(board)),
        "ticks": [{"day": day.isoformat(), "text": tell.short_day(day)} for day in spaced(days, TICKS)],
        "peak": [_peak(board, peak, words, numbers, tell)] if peak and len(days) > 1 else [],
    }


def values(board: Board) -> dict[str, float]:
    """Parameters of the specification of `charts.mix`."""
    return {"top": axis_top(board), "gap": 0 if len(board.period.days()) > NARROW else 1}


def axis_top(board: Board) -> float:
    """The end of the axis: a round number, a little above the highest column."""
    most = max((board.on(day) for day in board.period.days()), default=0)
    if most <= 4:
        return 4
    power = 10.0 ** math.floor(math.log10(most / 4))
    return next(4 * step * power for step in _STEPS if 4 * step * power >= most)


def spaced(days: Sequence[date], most: int) -> list[date]:
    """Evenly chosen days, the first among them."""
    return list(days[:: math.ceil(len(days) / most)])


def names(board: Board, last: date, top: float) -> list[dict[str, Any]]:
    """Where each channel's name stands: beside its piece of the last column, and never over another name."""
    rows: list[dict[str, Any]] = []
    height = 0
    for one in board.used():
        n = board.number(last, one.account)
        rows.append({"name": one.name, "kind": one.kind, "middle": height + n / 2})
        height += n
    room = top * min(ROOM, 1 / max(1, len(rows)))
    at = -room
    for row in rows:  # upwards, each at least its room above the one below
        at = row["at"] = max(row["middle"], at + room, room / 3)
    ceiling = top
    for row in reversed(rows):  # and back down from the upper edge
        row["at"] = min(row["at"], ceiling)
        ceiling = row["at"] - room
    return rows


def _bars(board: Board, days: Sequence[date], words: Words, numbers: Numbers, tell: Tell) -> Iterable[dict[str, Any]]:
    for day in days:
        for rank, one in enumerate(board.series):
            n = board.number(day, one.account)
            if n or rank == 0:  # an empty day keeps its place
                tip = words("tip", day=tell.short_day(day), name=one.name, n=numbers.count(n))
                yield {
                    "day": day.isoformat(),
                    "series": one.account,
                    "kind": one.kind,
                    "rank": rank,
                    "n": n,
                    "tip": tip,
                    "href": board.day_link(day, one.account),
                }


def _peak(board: Board, day: date, words: Words, numbers: Numbers, tell: Tell) -> dict[str, Any]:
    n = board.on(day)
    return {"day": day.isoformat(), "n": n, "text": words("peak", day=tell.short_day(day), n=numbers.count(n))}


def mix_table(board: Board, mix: Any, words: Words) -> list[list[object]]:
    """Day, channel, messages, cases: a row for each day and channel."""
    counts = {(one.day, one.account): (one.messages, one.cases) for one in mix}
    head: list[object] = [words("day"), words("channel"), words("messages"), words("cases")]
    return [head] + [
        [day.isoformat(), one.name, *counts.get((day, one.account), (0, 0))]
        for day in board.period.days()
        for one in board.series
    ]


def types_table(board: Board, words: Words, desk: Words) -> list[list[object]]:
    """Type, severity, cases: a row for each pair."""
    head: list[object] = [words("type"), words("severity"), words("cases")]
    return [head] + [
        [desk.of("type", type), desk.of("severity", severity), cell.n]
        for type, cells, _ in board.types()
        for severity, cell in zip(SEVERITIES, cells, strict=True)
    ]


def waits_table(board: Board, words: Words) -> list[list[object]]:
    """Wait, channel, n, median and P95 in seconds; nothing measured is an empty field."""
    head: list[object] = [words("csv_kind"), words("channel"), "n", words("csv_p50"), words("csv_p95")]
    rows = [head]
    for series, measures in board.waits():
        for row in measures:
            p50, p95 = (row.wait.p50, row.wait.p95) if row.wait else (None, None)
            name = series.name if series else words("csv_all")
            rows.append([words(f"wait_{row.kind}"), name, row.count.n, p50, p95])
    return rows


def understood_table(board: Board, words: Words) -> list[list[object]]:
    """Week, cases, in doubt, corrected, without the model."""
    head: list[object] = [words(name) for name in ("week", "cases", "doubtful", "corrected", "by_rules")]
    return [head] + [
        [week.week.isoformat(), week.cases, week.doubtful, week.corrected, week.by_rules] for week in board.understood
    ]


def as_csv(table: Sequence[Sequence[object]], language: str) -> bytes:
    """A file that a double click opens right: Excel in Spanish and Portuguese wants semicolons and decimal commas.

    The mark at the beginning tells it that this is UTF-8.
    """
    comma = language in ("es", "pt")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";" if comma else ",", lineterminator="\r\n")
    for row in table:
        writer.writerow([_written(value, comma) for value in row])
    return text.getvalue().encode("utf-8-sig")


def _written(value: object, comma: bool) -> object:
    if isinstance(value, float):
        text = f"{value:.3f}"
        return text.replace(".", ",") if comma else text
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return "'" + value  # a spreadsheet must not run what somebody chose as a name
    return value
