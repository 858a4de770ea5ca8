"""Every night: what a provider holds against what we kept. What was missed is fetched, and people are told of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from bot.delivery import Deliveries
from bot.intake import Intake, Kept
from bot.keeper import describe
from bot.parts import Parts
from bot.quarantine import TRIES, Quarantine
from channels.channel import Arrival, DeliveryReport, Inbound, Reconciles, Stock
from storage.lease import Lease, hold
from storage.ledger import known_ids

logger = logging.getLogger(__name__)

AT = time(3, 0)  # the company's night
LOOKS_BACK = timedelta(days=7)
SETTLE = 600.0  # seconds after a start, in which the listener reads what came meanwhile
LOOK = 300.0  # seconds between two looks at the clock
PAUSE = 2.0  # seconds between two tries at one message
LATE = timedelta(hours=1)  # mail that waits longer than this is not just being read


class Gap(Exception):
    """Messages had been missed, or wait; the text says how many and what to do. Shown in /health."""


@dataclass(frozen=True)
class Findings:
    """What one comparison found. `remedy`: what to do, when something is wrong."""

    at: datetime
    held: int
    recovered: int
    waiting: int
    remedy: str | None
    failed: int = 0  # found, and neither kept nor set aside

    def as_json(self) -> dict[str, Any]:
        """For the row that the console shows."""
        told = {"held": self.held, "recovered": self.recovered, "waiting": self.waiting, "remedy": self.remedy}
        return {"at": self.at.isoformat(), "failed": self.failed, **told}


class Reconciling:
    """Of one account; one process at a time does it. Its last findings stand in the cursor `reconciling:<account>`."""

    def __init__(
        self,
        parts: Parts,
        intake: Intake,
        account: str,
        channel: Reconciles,
        *,
        lease: Callable[[str], Lease],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._parts = parts
        self._intake = intake
        self._quarantine = Quarantine(parts, intake, account)
        self._deliveries = Deliveries(parts)
        self._account = account
        self._channel = channel
        self._lease = lease
        self._sleep = sleep

    async def run(self) -> None:
        """Compare each night, until cancelled. Raises Gap when something was wrong: the keeper shows it and goes on."""
        await hold(self._lease(f"reconciling:{self._account}"), self._nightly)

    async def _nightly(self) -> None:
        await self._sleep(SETTLE)
        while True:
            if await self._is_due():
                found = await self.once()
                if found.remedy is not None:
                    raise Gap(f"{found.recovered} had been missed, {found.waiting} wait: {found.remedy}")
            await self._sleep(LOOK)

    async def once(self) -> Findings:
        """Compare now, fetch what is missing, and write down what was found. Raises Unavailable."""
        async with self._parts.database.transaction() as tx:
            cursor = await tx.cursors.load(self._account)
        now = self._parts.now()
        stock = await self._channel.take_stock(cursor, now - LOOKS_BACK, self._known)
        recovered, failed = await self._recover(stock.missing)
        remedy = self._remedy(stock, recovered, failed)
        found = Findings(now, stock.held, recovered, stock.waiting, remedy, failed)
        async with self._parts.database.transaction() as tx:
            tx.cursors.save(f"reconciling:{self._account}", found.as_json())
            await tx.ring("desk")
        level = logging.INFO if found.remedy is None else logging.ERROR
        logger.log(level, "reconciling: %s: %s", self._account, found.as_json())
        return found

    async def _recover(self, missing: Sequence[str]) -> tuple[int, int]:
        """How many were really new (what has no id of its own is asked for each time), and how many failed."""
        recovered = failed = 0
        async for arrival in self._channel.recover(missing):
            try:
                recovered += await self._fetched(arrival)
            except Exception as fault:  # one that is bad must not hide those behind it (P11)
                logger.error("reconciling: %s: one could not be kept: %s", self._account, describe(fault))
                failed += 1
        return recovered, failed

    async def _fetched(self, arrival: Arrival) -> bool:
        """Keep one, or set it aside if it fails again and again. False: we knew it. Raises what fails even so."""
        if isinstance(arrival, DeliveryReport) and await self._deliveries.knows(arrival):
            return False  # a bounce is never a message of ours, so it is missing each night while the server holds it
        tries = 0
        while True:
            try:
                kept = await self._intake.keep(self._account, arrival)
                break
            except Exception as fault:
                if await self._quarantine.holds(arrival):
                    return False
                if await self._quarantine.take(arrival, fault):
                    return True
                tries += 1
                if tries == TRIES:
                    raise
            await self._sleep(PAUSE)
        self._quarantine.kept(arrival)
        return await self._flagged(arrival, kept)

    async def _flagged(self, arrival: Arrival, kept: Kept | None) -> bool:
        """Whether it is a message that we had missed; then people look at it."""
        if not isinstance(arrival, Inbound) or kept is None or kept.message_id is None:
            return False
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(kept.conversation_id)
            if conversation is not None and conversation.flagged_at is None:
                conversation.flagged_at, conversation.flag_reason = self._parts.now(), "recovered"
            await tx.ring("desk")
        return True

    async def _known(self, provider_ids: Sequence[str]) -> set[str]:
        async with self._parts.database.transaction() as tx:
            return await known_ids(tx, self._account, provider_ids)

    def _remedy(self, stock: Stock, recovered: int, failed: int) -> str | None:
        if stock.problems:
            return f"{stock.problems[0].detail} {stock.problems[0].remedy or ''}".strip()
        if stock.waiting_since is not None and self._parts.now() - stock.waiting_since > LATE:
            return f"messages since {stock.waiting_since.isoformat()} are not read: look why the listener does not run."
        if failed:
            return f"{failed} could not be kept: the log says why; it is tried again in a few minutes."
        if recovered:
            return "they are fetched and flagged now; look whether somebody answers them in time."
        return None

    async def _is_due(self) -> bool:
        async with self._parts.database.transaction() as tx:
            last = await tx.cursors.load(f"reconciling:{self._account}")
        now = self._parts.now().astimezone(self._parts.timezone)
        night = datetime.combine(now.date(), AT, now.tzinfo)
        night = night if night <= now else night - timedelta(days=1)
        return last is None or bool(last.get("failed")) or datetime.fromisoformat(last["at"]) < night
