"""A worker's day: take wake-ups, run them, say what ended; and come home in time."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from psycopg import Error, OperationalError
from psycopg.errors import UniqueViolation

from storage.rescue import Job, Jobs

_FAREWELL = 0.4  # seconds for the last words
_KNOCK = 0.5  # between two attempts to reach a database that is away


class WorkerEnded(Exception):
    """The worker has ended though nobody stopped it; most often the database was away. Start it again."""


@dataclass(frozen=True)
class Pace:
    """How often the worker looks, in seconds. Whoever wakes is heard at once: these are nets."""

    poll: float = 5.0
    again: float = 0.4  # while something waits that cannot begin: its key runs elsewhere, or a transaction holds it
    beat: float = 5.0  # signs of life; at each, dead workers are looked for
    stalled: float = 15.0  # without a sign for so long, a worker is dead and its jobs are rescued
    away: float = 30.0  # the database; what runs goes on meanwhile
    grace: float = 4.0  # to finish what runs when stopped; the keeper gives 5 s for everything
    longest: float = 300.0  # a run that takes longer is cut off: it would block its key for ever


class Shift:
    """From the start of a worker to its end. `sizes`: how many of each queue run at a time."""

    def __init__(
        self,
        jobs: Jobs,
        sizes: Mapping[str, int],
        run: Callable[[Job], Awaitable[None]],
        *,
        sends: str,
        pace: Pace,
        log: logging.Logger,
    ) -> None:
        self._jobs = jobs
        self._sizes = sizes
        self._run = run
        self._sends = sends
        self._pace = pace
        self._log = log
        self._running: dict[asyncio.Task[None], Job] = {}
        self._ended: list[int] = []
        self._cut_off: list[int] = []
        self._news = asyncio.Event()  # something ended, was woken, or we are to stop
        self._stopping = False
        self._waiting = False  # something waits although there was room for it
        self._next_beat = 0.0

    async def work(self) -> None:
        """Until `stop`. Raises WorkerEnded when it cannot go on."""
        try:
            await self._within_patience(self._begin)
            while not self._stopping:
                await self._within_patience(self._look)
                await self._rest()
        except Error as error:
            raise WorkerEnded(f"the job engine ended: {type(error).__name__}") from error
        finally:
            await self._end()

    def stop(self) -> None:
        """Take nothing more, and be home in time; what does not end within the grace is woken again."""
        self._stopping = True
        self._news.set()

    @property
    def patience(self) -> float:
        """How many seconds the end may take."""
        return (self._pace.grace if self._running else 0) + 2 * _FAREWELL

    async def _within_patience(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do it, and if the database goes away, connect again and do it then."""
        gone_since: float | None = None
        while not self._stopping:
            try:
                if gone_since is not None:
                    await self._jobs.open(self._known())
                await step()
                return
            except UniqueViolation:
                self._waiting = True  # another worker was faster
                return
            except OperationalError as error:
                gone_since = gone_since or monotonic()
                if monotonic() - gone_since > self._pace.away:
                    raise
                self._log.debug("the database is away: %s", type(error).__name__)
                await asyncio.sleep(_KNOCK)

    async def _begin(self) -> None:
        await self._jobs.open(self._known())
        await self._jobs.adopt(list(self._sizes), sends=self._sends)

    def _known(self) -> list[int]:
        """What is ours in the table: it runs, or has ended and the table has not heard of it."""
        return [job.id for job in self._running.values()] + self._ended

    async def _look(self) -> None:
        if self._next_beat <= monotonic():
            await self._jobs.keep_alive(self._known())
            await self._jobs.rescue(self._pace.stalled)
            self._next_beat = monotonic() + self._pace.beat
        self._news.clear()
        self._jobs.heard()
        busy = Counter(job.queue for job in self._running.values())
        room = {queue: size - busy[queue] for queue, size in self._sizes.items() if busy[queue] < size}
        ended = self._ended[:]
        taken, self._waiting = await self._jobs.exchange(ended, room)
        del self._ended[: len(ended)]
        for job in taken:
            task = asyncio.create_task(self._done(job), name=f"{job.kind} {job.key}")
            self._running[task] = job
            task.add_done_callback(self._note_end)
        if self._jobs.heard():
            self._news.set()

    async def _done(self, job: Job) -> None:
        await self._run(job)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        job = self._running.pop(task)
        (self._cut_off if task.cancelled() else self._ended).append(job.id)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("%s %s broke: %s", job.kind, job.key, type(error).__name__)
        self._news.set()

    async def _rest(self) -> None:
        """Until there is news."""
        pause = min(self._pace.again if self._waiting else self._pace.poll, self._next_beat - monotonic())
        loop, descriptor = asyncio.get_running_loop(), self._jobs.descriptor
        if descriptor is None:
            return
        loop.add_reader(descriptor, self._news.set)
        try:
            async with asyncio.timeout(pause):
                await self._news.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(descriptor)

    async def _end(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=self._pace.grace)
        if self._running:
            self._log.info("%d wake-ups are cut off and begin anew at the next start", len(self._running))
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running, timeout=_FAREWELL)
        try:
            await self._jobs.leave(self._ended, self._cut_off)
        except Error as error:
            self._log.debug("no farewell: %s", type(error).__name__)
        await self._jobs.close()
