"""A channel without a network: the double that tests use, and the one behind a chat in the terminal."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar

from channels.channel import (
    Address,
    Arrival,
    Blocked,
    ChannelError,
    Cursor,
    DeliveryReport,
    Edited,
    Features,
    Health,
    Ignored,
    Inbound,
    Media,
    Outbound,
    Undeliverable,
)

_Kind = TypeVar("_Kind", Inbound, Edited, DeliveryReport, Blocked, Ignored)


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Memory:
    """Keeps what is sent in `sent`, and brings what `write` or `put` was told.

    `show` is called with every message that is sent (a terminal prints it). `confirmed` is the number of arrivals
    that the listener's caller has committed. `files` holds what `fetch` gives for a `Media.ref`.
    """

    def __init__(
        self,
        name: str = "memory",
        *,
        features: Features | None = None,
        now: Callable[[], datetime] = _wall_clock,
        show: Callable[[Outbound], None] | None = None,
    ) -> None:
        self.name = name
        self.features = features or Features(buttons=8)
        self.sent: list[Outbound] = []
        self.settled: list[Inbound] = []
        self.files: dict[str, bytes] = {}
        self.confirmed = 0
        self._now = now
        self._show = show
        self._ids = count(1)
        self._keys = count(1)
        self._failures: list[ChannelError] = []
        self._arrivals: list[Arrival] = []
        self._changed = asyncio.Event()
        self._closed = False

    def write(self, sender: str, text: str, **fields: Any) -> Inbound:
        """Let a person write. `fields` are those of Inbound; a key is made unless one is given (twice: a duplicate)."""
        given = {"key": f"in-{next(self._keys)}", "sent_at": self._now(), **fields}
        return self.put(Inbound(sender=Address(self.name, sender), text=text, **given))

    def put(self, arrival: _Kind) -> _Kind:
        """Let anything arrive: an edit, a delivery report, a block. Gives it back with its cursor."""
        placed = replace(arrival, cursor={"number": len(self._arrivals) + 1})
        self._arrivals.append(placed)
        self._changed.set()
        return placed

    def fail(self, error: ChannelError, times: int = 1) -> None:
        """Let the next sends fail with this error; more calls queue up behind."""
        self._failures.extend([error] * times)

    async def send(self, message: Outbound) -> str:
        """Keep the message, or raise what `fail` was told."""
        if self._failures:
            raise self._failures.pop(0)
        self.sent.append(message)
        if self._show:
            self._show(message)
        return f"{self.name}:{next(self._ids)}"

    async def listen(self, since: Cursor | None) -> AsyncIterator[Arrival]:
        """Yield what arrived after the cursor, then wait for more; ends when the channel is closed."""
        number = int(since["number"]) if since else 0
        while not self._closed:
            self.confirmed = max(self.confirmed, number)
            if number < len(self._arrivals):
                number += 1
                yield self._arrivals[number - 1]
            else:
                self._changed.clear()
                await self._changed.wait()

    async def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """Give the bytes that `files` holds, in pieces."""
        content = self.files.get(media.ref or "")
        if content is None:
            raise Undeliverable(f"{self.name}: no such file")
        for piece in _pieces(content):
            yield piece

    async def settle(self, inbound: Inbound) -> None:
        """Remember that the button was answered."""
        self.settled.append(inbound)

    async def check(self) -> Health:
        """Always well."""
        return Health(ok=True, detail="in memory")

    async def close(self) -> None:
        """End the listener."""
        self._closed = True
        self._changed.set()


def _pieces(content: bytes, size: int = 65536) -> Iterable[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))
