"""Sweep files that nobody speaks of: a process was killed between the file and its row, or the row came to nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from bot.parts import Parts

logger = logging.getLogger(__name__)

LOOK_EVERY = timedelta(hours=1)
SWEEP_EVERY = timedelta(days=1)
YOUNG = timedelta(hours=24)  # the row of a younger file may still be on its way


class Orphans:
    """Runs in every worker; one of them sweeps, once a day however often they are started again."""

    def __init__(self, parts: Parts, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._parts = parts
        self._sleep = sleep

    async def run(self) -> None:
        """Look until cancelled. Raises what the database or the disk raises; the keeper starts it again."""
        while True:
            await self.look()
            await self._sleep(LOOK_EVERY.total_seconds())

    async def look(self) -> int:
        """Sweep if it is time; how many files were removed."""
        async with self._parts.database.transaction() as tx:
            if not await tx.limits.use("orphans swept", at_most=1, within=SWEEP_EVERY):
                return 0
        removed = await self._parts.files.sweep(self._known, self._parts.now() - YOUNG)
        if removed:
            logger.info("orphans: %d files that nothing speaks of were removed", removed)
        return removed

    async def _known(self, hashes: Sequence[str]) -> set[str]:
        async with self._parts.database.transaction() as tx:
            return await tx.messages.known_files(hashes)
