"""The timeline as it is drawn: days, bursts of one voice under one header, notes and events between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from bot.views import Entry
from console.desk.pages import Tell

BURST = timedelta(minutes=5)  # what one voice says within it stands under one header
QUIET = frozenset({"updated", "preferred"})  # events that need no line when they say nothing


@dataclass
class Block:
    """One piece of the timeline. kind: day | in | mail | out | note | event."""

    id: str
    kind: str
    entries: list[Entry] = field(default_factory=list)
    day: str = ""

    @property
    def first(self) -> Entry:
        """Its header is made of this."""
        return self.entries[0]

    @property
    def last(self) -> Entry:
        """Its foot is made of this."""
        return self.entries[-1]

    @property
    def understanding(self) -> Any:
        """What was understood of the burst; it is kept with one of its messages."""
        found = [one.understanding for one in self.entries if one.understanding and "type" in one.understanding]
        return found[-1] if found else None

    @property
    def triggers(self) -> list[str]:
        """The words that raised an alarm."""
        return [trigger["text"] for trigger in (self.understanding or {}).get("triggers", ())]


def blocks(entries: Sequence[Entry], tell: Tell) -> list[Block]:
    """In the order of the conversation."""
    found: list[Block] = []
    day: date | None = None
    for entry in entries:
        if entry.kind == "event" and entry.event in QUIET and not _says_something(entry):
            continue
        at = tell.local_day(entry.at)
        if at != day:
            day = at
            found.append(Block(f"day-{entry.id}", "day", day=tell.day_of(entry.at)))
        if found and _goes_on(found[-1], entry):
            found[-1].entries.append(entry)
        else:
            mail = entry.kind == "in" and entry.channel == "email"
            found.append(Block(f"e-{entry.id}", "mail" if mail else entry.kind, [entry]))
    return found


def _goes_on(block: Block, entry: Entry) -> bool:
    if block.kind not in ("in", "out") or entry.kind != block.kind:
        return False
    last = block.last
    if entry.kind == "in" and entry.channel == "email":
        return False
    alike = (last.author, last.who, last.channel, last.address) == (
        entry.author,
        entry.who,
        entry.channel,
        entry.address,
    )
    understood = block.understanding is not None and entry.kind == "in"
    return alike and not understood and entry.at - last.at < BURST and last.state not in ("failed", "uncertain")


def _says_something(entry: Entry) -> bool:
    data = entry.data or {}
    return any(key in data for key in ("type", "severity", "facts", "channel")) or data.get("stage") == "filed"
