"""Leases: of all processes on all machines, one does a thing that must be done by one (read a mailbox, poll Telegram).

A lease is an advisory lock on a connection of its own. The server ends that connection when it has heard nothing for
`Terms.lifetime`, so that a process that froze does not keep the lock for ever; a process that wakes from such a sleep
finds by its own clock that it may no longer act, before it does anything else.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from types import TracebackType, coroutine
from typing import Any, Self

from psycopg import AsyncConnection, OperationalError, sql
from psycopg.rows import TupleRow

from storage.connect import connect, spoken


class LeaseLost(Exception):
    """Somebody else may do it now."""


@dataclass(frozen=True)
class Terms:
    """Seconds."""

    lifetime: float = 15.0  # silence after which the server gives the lease to the next
    beat: float = 5.0
    retry: float = 1.0  # between two attempts to get it


def _awake() -> float:
    # this clock goes on while the machine sleeps, where the usual one may stand still
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """`async with Lease(url, name) as lease:` waits until it is ours. `lease.lost` is set when it no longer is."""

    def __init__(self, url: str, name: str, *, terms: Terms | None = None, clock: Callable[[], float] = _awake) -> None:
        self.name = name
        self.lost = asyncio.Event()
        self._url = url
        self._terms = terms or Terms()
        self._clock = clock
        self._heard_at = 0.0
        self._connection: AsyncConnection[TupleRow] | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether we may act at this very moment; reads only the clock, so ask as often as you like."""
        if self._connection is not None and not self.lost.is_set() and self._clock() > self._ends_at:
            self.lost.set()
        return self._connection is not None and not self.lost.is_set()

    @property
    def _ends_at(self) -> float:
        # counted from before the question, and a tenth early: the server must never be ahead of us
        return self._heard_at + self._terms.lifetime * 0.9

    async def acquire(self) -> None:
        """Wait until it is ours. Raises psycopg.OperationalError when the database cannot be reached."""
        connection = await connect(self._url, f"lease {self.name}")
        try:
            lifetime = sql.Literal(f"{self._terms.lifetime * 1000:.0f}ms")
            await connection.execute(sql.SQL("SET idle_session_timeout = {}").format(lifetime))
            await self._ask_until_free(connection)
        except BaseException:
            await connection.close()
            raise
        self.lost.clear()
        self._connection = connection
        self._beating = asyncio.create_task(self._beat(connection))

    async def release(self) -> None:
        """Give it to the next."""
        beating, connection = self._beating, self._connection
        self._beating = self._connection = None
        if beating is not None:
            beating.cancel()
            await asyncio.wait([beating])
        if connection is not None:
            await connection.close()

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()

    async def _ask_until_free(self, connection: AsyncConnection[TupleRow]) -> None:
        # again and again: one statement that waits for days would keep the server from cleaning up
        while True:
            if await self._ask(connection):
                return
            await asyncio.sleep(self._terms.retry)

    async def _ask(self, connection: AsyncConnection[TupleRow]) -> bool:
        asked_at = self._clock()
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [_key(self.name)])
        row = await cursor.fetchone()
        self._heard_at = asked_at
        return row is not None and bool(row[0])

    async def _beat(self, connection: AsyncConnection[TupleRow]) -> None:
        try:
            while self.held:
                # not a sleep: this way the end of the connection is noticed at once
                if await spoken(connection, self._terms.beat):
                    async for _ in connection.notifies(timeout=0):
                        pass
                asked_at = self._clock()
                async with asyncio.timeout(max(0.0, self._ends_at - asked_at)):
                    await connection.execute("SELECT 1")
                self._heard_at = asked_at
        except (OperationalError, TimeoutError):
            pass
        finally:
            self.lost.set()


async def hold(lease: Lease, listener: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Wait for the lease, then run the listener until it ends, or until the lease is lost: then raises LeaseLost.

    Whenever the listener is about to go on after a wait, the lease's clock is asked first: after a freeze it is
    cancelled where it stood, and confirms nothing. Work that it gives to tasks of its own is not watched like this.
    """
    async with lease:
        running = asyncio.create_task(_held(lease, listener()))
        losing = asyncio.create_task(lease.lost.wait())
        try:
            await asyncio.wait([running, losing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            running.cancel()
            losing.cancel()
            outcome, _ = await asyncio.gather(running, losing, return_exceptions=True)
        if lease.lost.is_set():
            raise LeaseLost(f"the lease {lease.name} went to somebody else") from outcome
        if isinstance(outcome, Exception):
            raise outcome


async def _held(lease: Lease, work: Coroutine[Any, Any, None]) -> None:
    """A task takes no generator from Python 3.12 on, however it is decorated."""
    await _only_while_held(lease, work)


@coroutine
def _only_while_held(lease: Lease, work: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Drive a coroutine by hand, as a task does, and cancel it once instead of going on without the lease."""
    stopped = False
    error: BaseException | None = None
    while True:
        if not stopped and not lease.held:
            stopped = True
            error = yield from _cancellation(f"the lease {lease.name} is lost")
        try:
            waiting_for = work.send(None) if error is None else work.throw(error)
        except StopIteration:
            return
        error = None
        try:
            yield waiting_for
        except BaseException as thrown:
            error = thrown


def _cancellation(why: str) -> Generator[None, None, asyncio.CancelledError]:
    """Cancel the running task in earnest, so that a timeout that is over as well does not take it for its own."""
    task = asyncio.current_task()
    if task is not None:
        task.cancel(why)
    try:
        yield
    except asyncio.CancelledError as error:
        return error
    return asyncio.CancelledError(why)


def _key(name: str) -> int:
    """The number that PostgreSQL locks for a name."""
    return int.from_bytes(hashlib.sha256(f"acuse lease {name}".encode()).digest()[:8], signed=True)
