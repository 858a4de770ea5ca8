"""The table of wake-ups: who runs which, what ended, and what a worker left behind that was cut off or died.

The table, its keys and its notices are procrastinate's; the statements are ours, each for any number of wake-ups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import LiteralString, TypeAlias

from psycopg import AsyncConnection, AsyncCursor, Notify, OperationalError
from psycopg.rows import TupleRow

from storage.connect import connect

Cursor: TypeAlias = AsyncCursor[TupleRow]

NOTICES = "procrastinate_any_queue_v1"  # what its trigger rings for each new wake-up

_REGISTER = "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
_SIGN_OF_LIFE = "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = %(me)s"
_LEAVE = "DELETE FROM procrastinate_workers WHERE id = %(me)s"
_LISTEN = f"LISTEN {NOTICES}"

_ADOPT = (
    "UPDATE procrastinate_jobs SET queue_name = %(sends)s"
    " WHERE status = 'todo' AND task_name = 'send' AND NOT queue_name = ANY(%(served)s)"
)

# What ended is deleted before anything is taken, so that the next of the same key is free: `taken` asks `ended`. A key
# of which one runs is left alone, whoever runs it; should two workers see it differently, the unique key of `doing`
# decides. A wake-up that a transaction holds is passed over: it will start after that one's commit and see its rows.
_EXCHANGE = """
WITH ended AS (
    DELETE FROM procrastinate_jobs WHERE id = ANY(%(ended)s) RETURNING id
), taken AS (
    SELECT one.id
      FROM unnest(%(queues)s::text[], %(room)s::int[]) AS queue (name, room)
     CROSS JOIN LATERAL (
        SELECT job.id FROM procrastinate_jobs job
         WHERE job.status = 'todo' AND job.queue_name = queue.name
           AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs other
                            WHERE other.lock = job.lock AND other.status = 'doing'
                              AND other.id NOT IN (SELECT id FROM ended))
         ORDER BY job.priority DESC, job.id
         LIMIT queue.room FOR UPDATE OF job SKIP LOCKED
     ) one
), begun AS (
    UPDATE procrastinate_jobs job SET status = 'doing', worker_id = %(me)s
      FROM taken WHERE job.id = taken.id
    RETURNING job.id, job.queue_name, job.task_name, job.args->>'key'
)
SELECT EXISTS (SELECT 1 FROM procrastinate_jobs
                WHERE status = 'todo' AND queue_name = ANY(%(queues)s) AND id NOT IN (SELECT id FROM taken)), begun.*
  FROM (SELECT) nothing LEFT JOIN begun ON true
"""

# A fresh one in the place of the old: to make the old one wait again would fail on the unique key of a fresh one
# that is there already.
_RENEW = """
WITH gone AS (
    DELETE FROM procrastinate_jobs WHERE status = 'doing' AND {which}
    RETURNING queue_name, task_name, lock, queueing_lock, args
)
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args) SELECT * FROM gone
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
"""
_CUT_OFF = _RENEW.format(which="worker_id = %(me)s AND id = ANY(%(jobs)s)")
_UNKNOWN = _RENEW.format(which="worker_id = %(me)s AND NOT id = ANY(%(jobs)s)")
_OF_THE_DEAD = _RENEW.format(
    which="""NOT EXISTS (
    SELECT 1 FROM procrastinate_workers worker
     WHERE worker.id = worker_id AND worker.last_heartbeat >= now() - make_interval(secs => %(stalled)s))"""
)
_FORGET_THE_DEAD = "DELETE FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => %(stalled)s)"
_TAKE_ALONG = "UPDATE procrastinate_jobs SET worker_id = %(me)s WHERE status = 'doing' AND id = ANY(%(jobs)s)"


@dataclass(frozen=True)
class Job:
    """A wake-up that is ours to run."""

    id: int
    queue: str
    kind: str
    key: str


class Jobs:
    """One worker's hand in the table. Each method raises psycopg's errors, and then nothing of it was done."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AsyncConnection[TupleRow] | None = None
        self._me: int | None = None
        self._heard = False

    @property
    def descriptor(self) -> int | None:
        """What becomes readable when something is woken, or when the connection ends; None: it has ended."""
        closed = self._connection is None or self._connection.closed
        return None if closed or self._connection is None else self._connection.fileno()

    def heard(self) -> bool:
        """Whether something was woken since the last question. Raises OperationalError when the connection ended."""
        if self._connection is None:
            raise OperationalError("not connected")
        heard, self._heard = self._heard, False
        link = self._connection.pgconn
        link.consume_input()
        while link.notifies() is not None:
            heard = True
        return heard

    def _hear(self, _: Notify) -> None:
        self._heard = True  # it came with the answer to a statement

    async def _do(self, statement: LiteralString, values: Mapping[str, object] = MappingProxyType({})) -> Cursor:
        if self._connection is None:
            raise OperationalError("not connected")
        return await self._connection.execute(statement, values)

    async def open(self, running: Sequence[int]) -> None:
        """Connect, again if need be. `running` are the wake-ups that we know of; others in our name are renewed."""
        await self.close()
        # what is written here is only that a wake-up began or ended: losing that costs time
        self._connection = await connect(self._url, "worker", durable=False)
        self._connection.add_notify_handler(self._hear)
        await self._do(_LISTEN)
        await self.keep_alive(running)
        await self._do(_UNKNOWN, {"me": self._me, "jobs": list(running)})

    async def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def adopt(self, served: Sequence[str], *, sends: str) -> None:
        """Take over what waits in the lane of an account that is gone: nobody would, and it blocks its key for ever."""
        await self._do(_ADOPT, {"sends": sends, "served": list(served)})

    async def exchange(self, ended: Sequence[int], room: Mapping[str, int]) -> tuple[list[Job], bool]:
        """Say what ended, and take as many of each queue as there is room for. Also: whether others wait."""
        values = {"me": self._me, "ended": list(ended), "queues": list(room), "room": list(room.values())}
        rows = await (await self._do(_EXCHANGE, values)).fetchall()
        jobs = [Job(*row[1:]) for row in rows if row[1] is not None]
        return sorted(jobs, key=lambda job: job.id), bool(rows[0][0])

    async def keep_alive(self, running: Sequence[int]) -> None:
        """Give a sign of life. Whoever took us for dead meanwhile is told better."""
        if self._me is not None:
            found = await self._do(_SIGN_OF_LIFE, {"me": self._me})
            if found.rowcount:
                return
        made = await (await self._do(_REGISTER)).fetchone()
        assert made is not None
        self._me = int(made[0])
        await self._do(_TAKE_ALONG, {"me": self._me, "jobs": list(running)})

    async def rescue(self, stalled: float) -> None:
        """Wake again what dead workers left behind; they have given no sign for `stalled` seconds.

        Give one yourself before: after a laptop's sleep we should be among the dead.
        """
        await self._do(_OF_THE_DEAD, {"stalled": stalled})
        await self._do(_FORGET_THE_DEAD, {"stalled": stalled})

    async def leave(self, ended: Sequence[int], cut_off: Sequence[int]) -> None:
        """The last words: what ended, and what was cut off and is to be run by somebody else."""
        if ended:
            await self.exchange(ended, {})
        await self._do(_CUT_OFF, {"me": self._me, "jobs": list(cut_off)})
        await self._do(_LEAVE, {"me": self._me})
