"""Wake-ups: say "run this conversation now" inside a transaction, and the worker runs it once that is committed.

A wake-up carries a key and no content: what is to be done stands in our own tables. One that is lost or comes twice
costs time and nothing else. They lie in procrastinate's table, of which nothing is seen outside storage.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Literal, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from storage.rescue import NOTICES, Job, Jobs
from storage.shift import Pace, Shift, WorkerEnded

__all__ = ["Handler", "Kind", "Pace", "Worker", "WorkerEnded", "queue_of", "wake", "wake_statement"]

Kind = Literal["turn", "send", "hook"]
Handler = Callable[[UUID], Awaitable[None]]

# A wake-up that waits already is locked: no worker starts it before this transaction is over, so it sees our rows. Whom
# it kept waiting is told when it is over; of a new one the table tells by itself.
_WAKE = """
WITH woken AS (
    INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
    VALUES (%(queue)s, %(kind)s, %(name)s, %(name)s, jsonb_build_object('key', %(key)s::text))
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE SET args = excluded.args
    RETURNING xmax <> 0 AS waited
)
SELECT pg_notify(%(notices)s, '') FROM woken WHERE waited
"""
_LAST = 0.3  # seconds for a worker that must be torn away from its database
_LONGEST_QUEUE = 40  # bytes: PostgreSQL cuts the name of a channel at 63, of which procrastinate's prefix takes 23


async def wake(session: AsyncSession, kind: Kind, key: UUID, *, lane: str = "") -> None:
    """Wake `kind` of `key` when the session's transaction commits; nothing happens when it rolls back.

    A wake-up that already waits is enough: it will start after this commit and see what this transaction wrote.
    Sends of one `lane` (an account) never wait for those of another; the worker must be told its lanes.
    """
    connection = await session.connection()
    statement, values = wake_statement(kind, key, lane)
    await connection.exec_driver_sql(statement, values)


def wake_statement(kind: Kind, key: UUID, lane: str = "") -> tuple[str, dict[str, object]]:
    """What `wake` executes, as psycopg reads it, for whoever sends several statements at once."""
    name = f"{kind}:{key}"
    return _WAKE, {"queue": queue_of(kind, lane), "kind": kind, "name": name, "key": str(key), "notices": NOTICES}


def queue_of(kind: Kind, lane: str = "") -> str:
    """The name of the queue; a lane with a long name gets a short one."""
    if not lane:
        return kind
    name = f"{kind}:{lane}"
    return name if len(name.encode()) <= _LONGEST_QUEUE else f"{kind}:{hashlib.sha256(lane.encode()).hexdigest()[:32]}"


class Worker:
    """Runs wake-ups: never two of one key at once, on any number of machines.

    `turns` and `sends` are how many run at a time; each lane has `sends` of its own, so that a provider that hangs
    stops neither understanding nor the other channels; and each of the `webhooks` has `hooks`. A handler that raises is
    written down and that is all: our rows say what is still to be done, and the sweep wakes it again.
    """

    def __init__(
        self,
        url: str,
        handlers: Mapping[Kind, Handler],
        *,
        turns: int = 4,
        sends: int = 16,
        lanes: Sequence[str] = (),
        hooks: int = 4,
        webhooks: Sequence[str] = (),
        log: logging.Logger,
        pace: Pace | None = None,
    ) -> None:
        self._url = url
        self._handlers = handlers
        self._queues = {queue_of("turn"): turns, queue_of("send"): sends}
        self._queues |= {queue_of("send", lane): sends for lane in lanes}
        self._queues |= {queue_of("hook", name): hooks for name in webhooks}
        self._log = log
        self._pace = pace or Pace()

    async def run(self) -> None:
        """Run until cancelled. Raises WorkerEnded when the database stays away or refuses."""
        shift = Shift(Jobs(self._url), self._queues, self._one, sends=queue_of("send"), pace=self._pace, log=self._log)
        working = asyncio.create_task(shift.work())
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            shift.stop()
            _, late = await asyncio.wait([working], timeout=shift.patience)
            for task in late:  # without a database it waits for one that will not come
                task.cancel()
            await asyncio.wait([working], timeout=_LAST)
            raise

    async def _one(self, job: Job) -> None:
        try:
            async with asyncio.timeout(self._pace.longest):
                await self._handlers[cast(Kind, job.kind)](UUID(job.key))
        except asyncio.CancelledError as error:
            if _is_being_stopped():
                raise
            self._note(job, error)
        except Exception as error:
            self._note(job, error)

    def _note(self, job: Job, error: BaseException) -> None:
        # the message of an error may quote what a customer wrote: only its type and place are written down
        frame = extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        self._log.error("%s %s failed: %s at %s", job.kind, job.key, type(error).__name__, where)


def _is_being_stopped() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
