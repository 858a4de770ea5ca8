"""How wake-ups end when all does not go well: cut off, unheard, or left behind by a worker that died."""

import logging
from collections.abc import Sequence

from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from psycopg.errors import RaiseException


class Endings(JobManager):
    """procrastinate's manager, but no wake-up stays behind as failed, aborted or for ever `doing`."""

    def __init__(self, app: App, log: logging.Logger) -> None:
        super().__init__(app.connector)
        self._app = app
        self._log = log
        self._unheard: list[Job] = []

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """End a wake-up. One that a stop cut off is woken again; one whose end the database missed is kept in mind."""
        try:
            if status is Status.ABORTED:
                await self.renew(job)
            else:
                await super().finish_job(job, status, delete_job=True)
        except ConnectorException:
            # it would stay `doing` under a worker that lives, and block its key for ever
            self._unheard.append(job)

    async def renew(self, job: Job) -> None:
        """Replace a wake-up by a fresh one. Asking the engine to retry it would fail on the fresh one's unique key."""
        fresh = self._app.configure_task(job.task_name, queue=job.queue, lock=job.lock, queueing_lock=job.queueing_lock)
        try:
            await fresh.defer_async(**job.task_kwargs)
        except AlreadyEnqueued:
            self._log.debug("%s is already awake", job.queueing_lock)
        # last: a crash in between leaves two of them, and never none
        try:
            await super().finish_job(job, Status.FAILED, delete_job=True)
        except ConnectorException as error:
            if not isinstance(error.__cause__, RaiseException):  # raised by the engine's function: the job is gone
                raise

    async def rescue(self, ours: Sequence[int], *, stalled: float) -> None:
        """Wake again what dead workers left behind; `stalled` is for how many seconds they have given no sign.

        `ours` are workers of this process. They live: after a laptop's sleep they must not be taken for dead.
        """
        try:
            for worker in ours:
                await self.update_heartbeat(worker)
            while self._unheard:
                await self.renew(self._unheard[-1])
                self._unheard.pop()
            for job in await self.get_stalled_jobs(seconds_since_heartbeat=stalled):
                await self.renew(job)
        except ConnectorException as error:
            self._log.warning("wake-ups of dead workers wait: %s", type(error.__cause__ or error).__name__)
