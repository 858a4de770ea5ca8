"""What time brings: ended burst windows, held-back rows, due timers, and a sweep for wake-ups that got lost."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from bot.bell import Bell, resting
from bot.corrections import Corrections
from bot.delivery import Deliveries
from bot.parts import Parts
from storage.listen import EVERYTHING
from storage.transaction import Transaction

logger = logging.getLogger(__name__)

APART = 0.25  # seconds between two looks, however much happens
SWEEP_EVERY = timedelta(seconds=5)
FORGOTTEN_AFTER = timedelta(seconds=10)
HELD_WINDOW = timedelta(seconds=15)  # a row that was due longer ago is the sweep's
UNREAD_EVERY = timedelta(seconds=5)
TIDY_EVERY = timedelta(hours=1)
UNCLAIMED_AFTER = timedelta(hours=1)  # a report about what we never sent
NO_LIMIT_LOOKS_BACK = timedelta(days=2)  # the longest looks at one day


class Ticker:
    """Runs in every worker; each due thing is taken by one of them (SKIP LOCKED)."""

    def __init__(
        self,
        parts: Parts,
        bell: Bell | None = None,
        *,
        sweep_every: timedelta = SWEEP_EVERY,
        forgotten_after: timedelta = FORGOTTEN_AFTER,
    ) -> None:
        self._parts = parts
        self._sweep_every = sweep_every
        self._forgotten_after = forgotten_after
        self._bell = bell
        self._deliveries = Deliveries(parts)
        self._corrections = Corrections(parts)
        self._swept = self._looked = self._tidied = parts.now() - timedelta(days=1)

    async def run(self) -> None:
        """Tick until cancelled, whenever something is due. Raises what the database raises; the keeper starts it again.

        Whatever sets a time also rings: a look then tells whether it is earlier than what we waited for.
        """
        async with resting(self._bell, EVERYTHING, apart=APART) as rest:
            while True:
                await rest(await self.tick())

    async def tick(self) -> float:
        """One look at everything that is due. Returns for how many seconds nothing will be."""
        async with self._parts.database.transaction() as tx:
            due = await tx.timers.next_due_at(HELD_WINDOW)  # most ticks end here: one cheap question
            found = due is not None and due <= self._parts.now()
            if found:
                for conversation_id in sorted(await tx.conversations.burst_is_over()):
                    await tx.wake("turn", conversation_id)
                await self._wake_sends(tx, sorted(await tx.outbox.due(HELD_WINDOW)))
        while found and await self._fire_one():
            pass
        now = self._parts.now()
        if now - self._swept >= self._sweep_every:
            self._swept = now
            await self.sweep()
        if now - self._looked >= UNREAD_EVERY:
            self._looked = now
            await self._unread()
        if now - self._tidied >= TIDY_EVERY:
            self._tidied = now
            await self._tidy()
        if found:
            return 0  # there may be more of it
        next_look = min(self._swept + self._sweep_every, self._looked + UNREAD_EVERY)
        return (min(due or next_look, next_look) - self._parts.now()).total_seconds()

    async def _fire_one(self) -> bool:
        """A due timer becomes an internal inbound row, and goes the same way as everything else.

        Each in its own transaction: whoever holds one conversation must not wait for the next.
        """
        async with self._parts.database.transaction() as tx:
            due = await tx.timers.next_due()
            if due is None:
                return False
            conversation = await tx.conversations.locked(due[1])
            timer = await tx.timers.take(due[0])
            if timer is not None and conversation is not None:
                await tx.messages.receive(
                    conversation,
                    provider_key=f"{timer.key}:{timer.due_at.isoformat()}",
                    account="internal",
                    kind="internal",
                    event={"kind": timer.kind, **timer.data},
                )
                await tx.wake("turn", timer.conversation_id)
        return True

    async def sweep(self) -> None:
        """Wake what should have been done long ago; a wake-up too many changes nothing."""
        async with self._parts.database.transaction() as tx:
            turns = await tx.messages.forgotten(self._forgotten_after)
            for conversation_id in turns:
                await tx.wake("turn", conversation_id)
            sends = await tx.outbox.forgotten(self._forgotten_after)
            await self._wake_sends(tx, sends)
        await self._deliveries.claim_all()
        await self._corrections.release()
        if turns or sends:
            logger.info("ticker: woke %d turns and %d sends that were late", len(turns), len(sends))

    async def _tidy(self) -> None:
        """Drop what serves nothing any more, and would grow by a row with each message of a web chat."""
        async with self._parts.database.transaction() as tx:
            await tx.limits.sweep(NO_LIMIT_LOOKS_BACK)
            await tx.sessions.sweep()
            await tx.early.sweep(UNCLAIMED_AFTER)
            await tx.pacing.sweep()

    async def _wake_sends(self, tx: Transaction, due: Sequence[tuple[UUID, str]]) -> None:
        for conversation_id, account in due:
            await tx.wake("send", conversation_id, lane=self._parts.lane(account))

    async def _unread(self) -> None:
        for account, channel in self._parts.channels.items():
            after = channel.features.unread_after
            if after is not None:
                await self._deliveries.unread(account, after)
            elif channel.features.receipts:
                await self._deliveries.unconfirmed(account)
