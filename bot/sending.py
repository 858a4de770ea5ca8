"""Send what stands in the outbox: mark it, hand it to the provider outside any transaction, record what came of it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from bot import pacing
from bot.consent import TO_COLLEAGUES, purpose, refusal
from bot.contact_hours import allowed_at
from bot.delivery import Deliveries, Means
from bot.outbound import address, outbound
from bot.parts import Parts
from channels.channel import Outbound, Unavailable, Undeliverable
from storage.tables import Conversation, Outgoing
from storage.transaction import Transaction

logger = logging.getLogger(__name__)

ROUNDS = 20  # rows that one wake-up sends before it lets others work
SEEN = 200  # waiting rows that are looked at: what is held back at one address must not hide the others
PROVIDER_TIMEOUT = timedelta(seconds=30)
GRACE = timedelta(seconds=10)  # `sending` for so much longer than a provider may take: whoever sent it is dead
BACK_OFF = tuple(timedelta(seconds=s) for s in (2, 10, 30, 120, 600, 1800))
GIVE_UP_AFTER = timedelta(hours=48)
SPARED = timedelta(hours=6)  # since a refusal of the whole account: until then only what concerns a case is tried
LOOK_AGAIN = timedelta(minutes=15)


class Sending:
    """Handler of the wake-up `send:<conversation>`."""

    def __init__(self, parts: Parts, *, patience: timedelta = PROVIDER_TIMEOUT, grace: timedelta = GRACE) -> None:
        self._parts = parts
        self._patience = patience
        self._lost_after = patience + grace
        self._deliveries = Deliveries(parts)

    async def run(self, conversation_id: UUID) -> None:
        """Send what is due, in its order, and leave; a row that must wait holds back those behind it to its address.

        What is written after the last row was settled brings a wake-up of its own.
        """
        for _ in range(ROUNDS):
            taken = await self._take(conversation_id)
            if taken is None or not await self._hand_over(taken):
                return
        async with self._parts.database.transaction() as tx:  # more than one run's worth
            conversation = await tx.conversations.get(conversation_id)
            if conversation is not None and await tx.outbox.waiting(conversation_id, limit=1):
                await tx.wake("send", conversation_id, lane=self._parts.lane(conversation.account))

    async def _take(self, conversation_id: UUID) -> "_Taken | None":
        """Mark the next row as `sending` under the conversation's lock, the same that a take-over holds."""
        async with self._parts.database.transaction() as tx:
            line = await tx.outbox.line(conversation_id, limit=SEEN)
            conversation = line.conversation
            if conversation is None:
                return None
            while (row := await self._next(tx, conversation, line.rows)) is not None:
                if await self._may_leave(tx, conversation, row, unwelcome=row.id in line.unwelcome):
                    row.state, row.sending_at, row.attempts = "sending", self._parts.now(), row.attempts + 1
                    row.slot_at = None  # the next attempt needs another turn
                    return _Taken(await outbound(self._parts, tx, conversation, row), row.attempts)
                await tx.ring(f"conversation:{conversation_id}")
            return None

    async def _may_leave(self, tx: Transaction, conversation: Conversation, row: Outgoing, *, unwelcome: bool) -> bool:
        """What only the moment of sending tells. False: it was put off, or it goes another way.

        `unwelcome`: something is refused at its address, and the contact point is worth a look.
        """
        contact = await tx.people.contact(row.account, row.address) if unwelcome else None
        if (why := refusal(contact, row.kind)) is not None:
            await self._deliveries.failed(tx, row, why, means="message")
            return False
        if purpose(row.kind) != "case" and await tx.faults.stands(row.account, SPARED):
            row.not_before = self._parts.now() + LOOK_AGAIN
            return False
        now = allowed_at(self._parts.company, purpose(row.kind), self._parts.now())
        due = now if now > self._parts.now() else await pacing.turn(self._parts, tx, conversation, row)
        if due <= self._parts.now():  # asked anew: the clock has gone on, and must not put it off for ever
            return True
        row.not_before = due
        return False

    async def _next(self, tx: Transaction, conversation: Conversation, waiting: Sequence[Outgoing]) -> Outgoing | None:
        now = self._parts.now()
        held = set()  # addresses: a mail server that is away holds back no chat
        for row in waiting:
            if address(row) in held or row.state not in ("queued", "sending"):
                continue
            if row.state == "sending":
                if row.sending_at is not None and now - row.sending_at < self._lost_after:
                    held.add(address(row))  # somebody is at it; what is behind it waits
                    continue
                held_now = await tx.outbox.get(row.id, lock=True)  # an answer is written without the conversation
                if held_now is None or held_now.state != "sending":
                    continue
                if not self._take_up_again(tx, conversation, row, "the sender died in the middle"):
                    continue
            elif row.author == "bot" and row.kind not in TO_COLLEAGUES and conversation.speaker != "bot":
                row.state = "withdrawn"  # an alert is for colleagues; the take-over itself withdraws those that wait
                continue
            if row.not_before <= now:
                return row
            retried_or_paced = row.attempts > 0 or row.slot_at is not None
            if purpose(row.kind) == "case" and (retried_or_paced or row.kind != "ack"):
                held.add(address(row))  # or an agent may still take it back: order is kept
        return None

    def _take_up_again(self, tx: Transaction, conversation: Conversation, row: Outgoing, why: str) -> bool:
        """It may have arrived. What matters is sent again, a survey never, nor the bot's words once a person speaks."""
        tx.outbox.learn(row, "uncertain", self._parts.now(), reason=why)
        silenced = row.author == "bot" and row.kind not in TO_COLLEAGUES and conversation.speaker != "bot"
        if silenced or purpose(row.kind) != "case" or not self._parts.features(row.account).repeat_uncertain:
            return False
        row.state = "queued"
        return True

    async def _hand_over(self, taken: "_Taken") -> bool:
        """False: nothing else waits in the conversation."""
        outbound = taken.outbound
        channel = self._parts.channels.get(outbound.to.account)
        if channel is None:
            return await self._fail(taken, f"the account {outbound.to.account} is no longer in config.yaml", "message")
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                provider_id = await channel.send(outbound)
        except Undeliverable as fault:
            logger.warning("sending: %s will not arrive: %s", outbound.key, type(fault).__name__)
            return await self._fail(taken, str(fault) or "refused", fault.means)
        except Unavailable as fault:
            return await self._retry(taken, fault, may_have_arrived=fault.may_have_arrived)
        except TimeoutError:
            return await self._retry(taken, Unavailable("no answer from the provider in time"), may_have_arrived=True)
        except Exception as error:  # a defect in a channel must not send the same row for ever without a pause
            logger.exception("sending: %s: the channel broke", outbound.key)
            broke = Unavailable(f"the channel broke: {type(error).__name__}")
            return await self._retry(taken, broke, may_have_arrived=True)
        return await self._settle(taken, provider_id)

    async def _settle(self, taken: "_Taken", provider_id: str) -> bool:
        """An answer of the provider only moves this row."""
        account = taken.outbound.to.account
        async with self._parts.database.transaction() as tx:
            row, more, early = await tx.outbox.to_settle(taken.row_id, account, provider_id)
            if row is None:
                return True
            if taken.overtaken(row):  # a report was faster than this, or somebody believed us dead and tried again
                tx.outbox.note(row, "sent", self._parts.now(), provider_id=provider_id)
            else:
                row.provider_id = provider_id
                tx.outbox.learn(row, "sent", self._parts.now())
            await tx.ring(f"conversation:{row.conversation_id}")
            await tx.ring("desk")
        if early:
            await self._deliveries.claim(account, provider_id)
        return more

    async def _fail(self, taken: "_Taken", reason: str, means: Means) -> bool:
        """Another way for the row needs the conversation as well."""
        async with self._parts.database.transaction() as tx:
            row = await self._locked_row(tx, taken)
            if row is not None and not taken.overtaken(row):
                await self._deliveries.failed(tx, row, reason, means=means)
                await tx.ring(f"conversation:{row.conversation_id}")
                await tx.ring("desk")
        return True

    async def _retry(self, taken: "_Taken", fault: Unavailable, *, may_have_arrived: bool = False) -> bool:
        async with self._parts.database.transaction() as tx:
            await self._put_off(tx, taken, fault, may_have_arrived)
        return True

    async def _put_off(self, tx: Transaction, taken: "_Taken", fault: Unavailable, may_have_arrived: bool) -> None:
        row = await self._locked_row(tx, taken)
        if row is None or row.state != "sending" or taken.overtaken(row):
            return
        if self._parts.now() - row.created_at > GIVE_UP_AFTER:
            await self._deliveries.failed(tx, row, str(fault), means="account" if fault.account else "message")
            return
        if fault.account:
            await tx.faults.note(row.account, str(fault), row.conversation_id)
        if may_have_arrived:
            conversation = await tx.conversations.locked(row.conversation_id)
            if conversation is None or not self._take_up_again(tx, conversation, row, str(fault)):
                return
        wait = fault.retry_after or BACK_OFF[min(row.attempts - 1, len(BACK_OFF) - 1)]
        jitter = timedelta(milliseconds=self._parts.choose(max(int(wait.total_seconds() * 200), 1)))
        row.state, row.reason = "queued", str(fault)[:500]
        row.not_before = self._parts.now() + wait + jitter
        await tx.ring(f"conversation:{row.conversation_id}")

    async def _locked_row(self, tx: Transaction, taken: "_Taken") -> Outgoing | None:
        row = await tx.outbox.get(taken.row_id)
        if row is None or await tx.conversations.locked(row.conversation_id) is None:
            return None
        return await tx.outbox.get(row.id, lock=True)


@dataclass(frozen=True)
class _Taken:
    """What was handed to a channel, and at which attempt."""

    outbound: Outbound
    attempt: int

    @property
    def row_id(self) -> UUID:
        return UUID(self.outbound.key)

    def overtaken(self, row: Outgoing) -> bool:
        """Whether the row has gone on to another attempt: `sending_at` is gone when a report asked for one."""
        return row.attempts != self.attempt or row.sending_at is None
