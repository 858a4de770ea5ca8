"""Tell open pages that something changed: one LISTEN connection per process, any number of subscribers.

A ring carries a topic (`conversation:<id>`, `desk`) and no content: whoever is woken reads the tables.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from storage.connect import connect, spoken
from storage.direct import Statement

EVERYTHING = "*"
"""The topic of whoever wants to be woken by every ring."""

_CHANNEL = "acuse"
_RING = "SELECT pg_notify(%s, topic) FROM unnest(%s::text[]) AS topic"


def ring(*topics: str) -> Statement:
    """What wakes the topics' subscribers in every process when its transaction commits. At most 7,999 bytes each."""
    return _RING, (_CHANNEL, list(topics))


class Subscription:
    """What a subscriber waits on. A ring that comes while nobody waits is kept; many are one."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def wake(self) -> None:
        """End the wait, this one or the next."""
        self._rung.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Whether the topic was rung within `timeout` seconds. Read the tables after this and never before."""
        try:
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class Bell:
    """Hears what is rung anywhere. Somebody must keep `run()` going; subscribers survive its restarts."""

    def __init__(self, url: str, *, check_every: float = 15.0) -> None:
        self._url = url
        self._check_every = check_every
        self._subscriptions: defaultdict[str, set[Subscription]] = defaultdict(set)

    @asynccontextmanager
    async def subscribe(self, topic: str) -> AsyncIterator[Subscription]:
        """Be woken by the topic while the block lasts."""
        subscription = Subscription()
        self._subscriptions[topic].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[topic].discard(subscription)
            if not self._subscriptions[topic]:
                del self._subscriptions[topic]

    @property
    def subscribers(self) -> int:
        """How many wait at this moment, over all topics."""
        return sum(map(len, self._subscriptions.values()))

    async def run(self) -> None:
        """Listen until cancelled. Raises psycopg.OperationalError or TimeoutError when the database went away."""
        async with await connect(self._url, "bell") as connection:
            await connection.execute(f"LISTEN {_CHANNEL}")
            self._wake_everybody()  # something may have been rung while nobody listened
            while True:
                await self._hear(connection)
                # a connection that died without a word is noticed only by whoever speaks
                async with asyncio.timeout(self._check_every):
                    await connection.execute("SELECT 1")

    async def _hear(self, connection: AsyncConnection[TupleRow]) -> None:
        while True:
            # first what came with the answer to the last check: nothing more is said of it
            async for notice in connection.notifies(timeout=0):
                for topic in (notice.payload, EVERYTHING):
                    for subscription in self._subscriptions.get(topic, ()):
                        subscription.wake()
            if not await spoken(connection, self._check_every):
                return

    def _wake_everybody(self) -> None:
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.wake()
