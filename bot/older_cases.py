"""Vectors for cases that have none of the present model: it was exchanged, or pgvector came after them.

Gently: one process at a time, one text at a time in the reader's thread, and a rest after each, so that whoever writes
meanwhile waits for one text at most. Where it stands is in the rows themselves: after a restart it goes on there.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bot.parts import Parts
from storage.lease import Lease, hold
from storage.similar import DIMENSIONS, Looked

logger = logging.getLogger(__name__)

LOOKS_BACK = timedelta(days=365)  # closed cases that are older are rarely worth a look
SETTLE = 60.0  # seconds after a start, in which there is enough to do
LOOK = 3600.0  # seconds between two walks: only what failed, and what got its words later, is left for them
PAGE = 100  # cases that are looked at together, and whose vectors are written together
REST = 0.2  # seconds after each text, and BETWEEN after each page: a core in ten at most
BETWEEN = 0.05
FAILURES = 3  # texts in a row without a vector: then it is the model
FIRST = UUID(int=0)
NEWEST = (datetime.max.replace(tzinfo=UTC), FIRST)  # a place before all


class OlderCases:
    """Runs in every worker; the one with the lease walks through the cases."""

    def __init__(
        self, parts: Parts, *, lease: Callable[[str], Lease], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._parts = parts
        self._lease = lease
        self._sleep = sleep

    async def run(self) -> None:
        """Walk now and then, until cancelled. Raises LeaseLost and what the database raises: the keeper goes on."""
        await self._sleep(SETTLE)
        while True:
            if await self._possible():
                await hold(self._lease("older cases"), self._walk)
            await self._sleep(LOOK)

    async def _walk(self) -> None:
        await self.once()

    async def once(self) -> int:
        """Walk through all that may lack a vector; how many got theirs. Nobody else should walk meanwhile."""
        space, since = self._parts.understander.space, self._parts.now() - LOOKS_BACK
        if space is None or not await self._possible():
            return 0
        made = 0
        try:
            async for page in self._pages(space, since):
                made += await self._mend(page, space)
        except _NoVectors:
            logger.warning("older cases: the model gives no vectors that can be kept; it is tried again in an hour")
        if made:
            logger.info("older cases: %d got a vector of %s", made, space)
        return made

    async def _pages(self, space: str, since: datetime) -> AsyncIterator[Sequence[Looked]]:
        """First those that were opened of late, then the open ones before; newest first."""
        for begin, opened in ((NEWEST, since), ((since, FIRST), None)):
            place = begin
            while True:
                async with self._parts.database.transaction() as tx:
                    page = await tx.similar.page(space, place, opened, PAGE)
                if not page:
                    break
                yield page
                place = page[-1].opened_at, page[-1].id
                await self._sleep(BETWEEN)

    async def _mend(self, page: Sequence[Looked], space: str) -> int:
        """Read what lacks a vector, then keep all of them. Raises _NoVectors when the model gives none."""
        read: list[tuple[Looked, Sequence[float]]] = []
        failures = 0
        for one in page:
            if not one.words:
                continue
            vector = await self._vector(one.words)
            if vector is None:
                failures += 1
                if failures == FAILURES:
                    raise _NoVectors
            else:
                failures = 0
                read.append((one, vector))
            await self._sleep(REST)
        if read:
            async with self._parts.database.transaction() as tx:
                for one, vector in read:
                    tx.similar.renew(one.id, one.words or "", vector, space)
        return len(read)

    async def _vector(self, words: str) -> Sequence[float] | None:
        """None: there is none that the table takes."""
        found = await self._parts.understander.embed([words])
        usable = found is not None and len(found[0]) == DIMENSIONS and all(map(math.isfinite, found[0]))
        return found[0] if found is not None and usable else None

    async def _possible(self) -> bool:
        """Whether there is a model that compares, and a table for its vectors."""
        if self._parts.understander.space is None:
            return False
        async with self._parts.database.transaction() as tx:
            return await tx.similar.kept()


class _NoVectors(Exception):
    """The model cannot embed, or not as the table wants it."""
