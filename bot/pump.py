"""Bring in what a listener hears; what is not committed is never confirmed."""

import asyncio
import logging
from collections.abc import Callable

from bot.intake import Intake
from bot.parts import Parts
from bot.quarantine import Quarantine
from channels.channel import Arrival, Inbound, Listener, Settles
from storage.lease import Lease, hold

logger = logging.getLogger(__name__)


class Pump:
    """One listening account. Only one process at a time holds its lease."""

    def __init__(
        self,
        parts: Parts,
        intake: Intake,
        account: str,
        listener: Listener,
        *,
        lease: Callable[[str], Lease],
        holder: str,
    ) -> None:
        self._parts = parts
        self._intake = intake
        self._account = account
        self._listener = listener
        self._lease = lease
        self._holder = holder
        self._quarantine = Quarantine(parts, intake, account)
        self._settling: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Wait for the lease, then listen until it is lost. Raises Unavailable when the provider went away."""
        await hold(self._lease(f"listener:{self._account}"), self._listen)

    async def _listen(self) -> None:
        async with self._parts.database.transaction() as tx:
            cursor = await tx.cursors.load(self._account)
            await tx.cursors.held(f"listener:{self._account}", self._holder)
        async for arrival in self._listener.listen(cursor):
            if not await self._keep(arrival):
                continue
            if isinstance(arrival, Inbound) and arrival.pressed and isinstance(self._listener, Settles):
                task = asyncio.create_task(self._listener.settle(arrival))
                self._settling.add(task)
                task.add_done_callback(self._settled)

    async def _keep(self, arrival: Arrival) -> bool:
        """False: it was set aside, as it fails again and again; one item must not stop all behind it (P11)."""
        try:
            await self._intake.keep(self._account, arrival)
        except Exception as fault:
            if await self._quarantine.take(arrival, fault):
                return False
            raise
        self._quarantine.kept(arrival)
        return True

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.info("pump: %s: a button could not be settled: %s", self._account, type(task.exception()).__name__)
