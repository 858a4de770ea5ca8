"""Wake-ups: say "run this conversation now" inside a transaction, and the worker runs it once that is committed.

A wake-up carries a key and no content: what is to be done stands in our own tables. One that is lost or comes twice
costs time and nothing else. Behind it is procrastinate, of which nothing is seen outside storage.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Literal
from uuid import UUID

from procrastinate import App, PsycopgConnector
from procrastinate.worker import Worker as QueueWorker
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from storage.connect import conninfo
from storage.rescue import Endings

Kind = Literal["turn", "send"]
Handler = Callable[[UUID], Awaitable[None]]

# What the engine's own "defer" writes, in one statement and without an error that would abort the transaction.
# A wake-up that waits already is locked: no worker starts it before this transaction is over, so it sees our rows.
_WAKE = text(
    "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)"
    " VALUES (:queue, :kind, :name, :name, jsonb_build_object('key', CAST(:key AS text)))"
    " ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE SET args = excluded.args"
)
_ADOPT = (
    "UPDATE procrastinate_jobs SET queue_name = %(sends)s"
    " WHERE status = 'todo' AND task_name = 'send' AND NOT queue_name = ANY(%(served)s)"
)
_LONGEST_QUEUE = 40  # bytes: PostgreSQL cuts the name of a channel at 63, of which procrastinate's prefix takes 23


class WorkerEnded(Exception):
    """The worker has ended though nobody stopped it; most often the database was away. Start it again."""


@dataclass(frozen=True)
class Pace:
    """How often the worker looks, in seconds."""

    poll: float = 0.4  # the end of a job with a lock tells nobody: the next of the same key waits for this look
    beat: float = 5.0
    stalled: float = 15.0  # without a beat for so long, a worker is dead and its jobs are rescued
    rescue: float = 5.0
    grace: float = 4.0  # to finish what runs when stopped; the keeper gives 5 s for everything
    longest: float = 300.0  # a run that takes longer is cut off: it would block its key for ever


async def wake(session: AsyncSession, kind: Kind, key: UUID, *, lane: str = "") -> None:
    """Wake `kind` of `key` when the session's transaction commits; nothing happens when it rolls back.

    A wake-up that already waits is enough: it will start after this commit and see what this transaction wrote.
    Sends of one `lane` (an account) never wait for those of another; the worker must be told its lanes.
    """
    connection = await session.connection()
    name = f"{kind}:{key}"
    job = {"queue": queue_of(kind, lane), "kind": kind, "name": name, "key": str(key)}
    await connection.execute(_WAKE, job)


def queue_of(kind: Kind, lane: str = "") -> str:
    """The name of the queue; a lane with a long name gets a short one."""
    if not lane:
        return kind
    name = f"{kind}:{lane}"
    return name if len(name.encode()) <= _LONGEST_QUEUE else f"{kind}:{hashlib.sha256(lane.encode()).hexdigest()[:32]}"


class Worker:
    """Runs wake-ups: never two of one key at once, on any number of machines.

    `turns` and `sends` are how many run at a time; each lane has `sends` of its own, so that a provider that hangs
    stops neither understanding nor the other channels. A handler that raises is written down and that is all: our
    rows say what is still to be done, and the sweep wakes it again.
    """

    def __init__(
        self,
        url: str,
        handlers: Mapping[Kind, Handler],
        *,
        turns: int = 4,
        sends: int = 16,
        lanes: Sequence[str] = (),
        log: logging.Logger,
        pace: Pace | None = None,
    ) -> None:
        self._url = url
        self._handlers = handlers
        self._queues = {queue_of("turn"): turns, queue_of("send"): sends}
        self._queues |= {queue_of("send", lane): sends for lane in lanes}
        self._log = log
        self._pace = pace or Pace()

    async def run(self) -> None:
        """Run until cancelled. Raises WorkerEnded when the engine gave up, psycopg's errors when it cannot start."""
        async with self._pool() as pool:
            app = self._app()
            await app.connector.open_async(pool)
            await self._adopt(pool)
            endings = Endings(app, self._log)
            app.job_manager = endings
            workers = [self._queue_worker(app, queue, size) for queue, size in self._queues.items()]
            tasks = [asyncio.create_task(_run(worker)) for worker in workers]
            tasks.append(asyncio.create_task(self._rescue_forever(endings, workers)))
            try:
                ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await self._stop(pool, tasks)
            raise WorkerEnded(_why(ended.pop()))

    def _pool(self) -> AsyncConnectionPool[AsyncConnection[TupleRow]]:
        return AsyncConnectionPool(
            # what the engine itself writes is only that a wake-up began or ended: losing that costs time
            conninfo(self._url, "worker", durable=False),
            min_size=1,
            max_size=8,
            timeout=30,
            open=False,
            check=AsyncConnectionPool.check_connection,
            name="acuse worker",
        )

    async def _adopt(self, pool: AsyncConnectionPool[AsyncConnection[TupleRow]]) -> None:
        """Take over what waits in the lane of an account that is gone: nobody would, and it blocks its key for ever."""
        async with pool.connection() as connection:
            await connection.execute(_ADOPT, {"sends": queue_of("send"), "served": list(self._queues)})

    def _app(self) -> App:
        app = App(connector=PsycopgConnector())
        for kind, handler in self._handlers.items():
            app.task(name=kind, queue=kind)(self._guarded(kind, handler))
        return app

    def _guarded(self, kind: Kind, handler: Handler) -> Callable[[str], Awaitable[None]]:
        async def run(key: str) -> None:
            try:
                async with asyncio.timeout(self._pace.longest):
                    await handler(UUID(key))
            except asyncio.CancelledError as error:
                if _is_being_stopped():
                    raise
                self._note(kind, key, error)
            except Exception as error:
                self._note(kind, key, error)

        return run

    def _note(self, kind: Kind, key: str, error: BaseException) -> None:
        # the message of an error may quote what a customer wrote: only its type and place are written down
        frame = extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        self._log.error("%s %s failed: %s at %s", kind, key, type(error).__name__, where)

    def _queue_worker(self, app: App, queue: str, size: int) -> QueueWorker:
        return QueueWorker(
            app=app,
            queues=[queue],
            name=queue,
            concurrency=size,
            fetch_job_polling_interval=self._pace.poll,
            shutdown_graceful_timeout=self._pace.grace,
            listen_notify=True,
            delete_jobs="successful",
            install_signal_handlers=False,
            update_heartbeat_interval=self._pace.beat,
            stalled_worker_timeout=self._pace.stalled,
        )

    async def _rescue_forever(self, endings: Endings, workers: Sequence[QueueWorker]) -> None:
        while True:
            ours = [worker.worker_id for worker in workers if worker.worker_id is not None]
            await endings.rescue(ours, stalled=self._pace.stalled)
            await asyncio.sleep(self._pace.rescue)

    async def _stop(
        self, pool: AsyncConnectionPool[AsyncConnection[TupleRow]], tasks: list[asyncio.Task[None]]
    ) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=self._pace.grace + 0.5)
        # without a database they wait for a connection: a closed pool tells them that none will come
        await pool.close(timeout=0.5)
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(worker: QueueWorker) -> None:
    await worker.run()  # type: ignore[no-untyped-call]  # procrastinate gives no types here


def _is_being_stopped() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _why(task: asyncio.Task[None]) -> str:
    error = None if task.cancelled() else task.exception()
    return (
        "the job engine ended" if error is None else f"the job engine ended: {type(error.__cause__ or error).__name__}"
    )
