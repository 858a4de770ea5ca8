"""Send what stands in the outbox: mark it, hand it to the provider outside any transaction, record what came of it."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from bot.delivery import Deliveries
from bot.parts import Parts
from channels.channel import Address, Button, File, Outbound, Unavailable, Undeliverable
from storage.tables import Conversation, Outgoing
from storage.transaction import Transaction

logger = logging.getLogger(__name__)

ROUNDS = 20  # rows that one wake-up sends before it lets others work
SEEN = 200  # waiting rows that are looked at: what is held back at one address must not hide the others
PROVIDER_TIMEOUT = timedelta(seconds=30)
GRACE = timedelta(seconds=10)  # `sending` for so much longer than a provider may take: whoever sent it is dead
BACK_OFF = tuple(timedelta(seconds=s) for s in (2, 10, 30, 120, 600, 1800))
GIVE_UP_AFTER = timedelta(hours=48)


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
            outbound = await self._take(conversation_id)
            if outbound is None or not await self._hand_over(outbound):
                return
        async with self._parts.database.transaction() as tx:  # more than one run's worth
            conversation = await tx.conversations.get(conversation_id)
            if conversation is not None and await tx.outbox.waiting(conversation_id, limit=1):
                await tx.wake("send", conversation_id, lane=self._parts.lane(conversation.account))

    async def _take(self, conversation_id: UUID) -> Outbound | None:
        """Mark the next row as `sending` under the conversation's lock, the same that a take-over holds."""
        async with self._parts.database.transaction() as tx:
            conversation, waiting = await tx.outbox.line(conversation_id, limit=SEEN)
            if conversation is None:
                return None
            row = self._next(tx, conversation, waiting)
            if row is None:
                return None
            row.state, row.sending_at, row.attempts = "sending", self._parts.now(), row.attempts + 1
            return await self._outbound(tx, conversation, row)

    def _next(self, tx: Transaction, conversation: Conversation, waiting: Sequence[Outgoing]) -> Outgoing | None:
        now = self._parts.now()
        held = set()  # addresses: a mail server that is away holds back no chat
        for row in waiting:
            if _address(row) in held:
                continue
            if row.state == "sending":
                if row.sending_at is not None and now - row.sending_at < self._lost_after:
                    held.add(_address(row))  # somebody is at it; what is behind it waits
                    continue
                if not self._take_up_again(tx, conversation, row, "the sender died in the middle"):
                    continue
            elif row.author == "bot" and conversation.speaker != "bot":
                row.state = "withdrawn"
                continue
            if row.not_before <= now:
                return row
            if row.attempts > 0 or row.kind != "ack":
                held.add(_address(row))  # retried, or an agent may still take it back: order is kept
        return None

    def _take_up_again(self, tx: Transaction, conversation: Conversation, row: Outgoing, why: str) -> bool:
        """It may have arrived. What matters is sent again, a survey never, nor the bot's words once a person speaks."""
        tx.outbox.learn(row, "uncertain", self._parts.now(), reason=why)
        silenced = row.author == "bot" and conversation.speaker != "bot"
        if silenced or row.kind == "survey" or not self._parts.features(row.account).repeat_uncertain:
            return False
        row.state = "queued"
        return True

    async def _outbound(self, tx: Transaction, conversation: Conversation, row: Outgoing) -> Outbound:
        features = self._parts.features(row.account)
        buttons = tuple(Button(one["label"], one["payload"]) for one in row.buttons)
        thread: tuple[str, ...] = ()
        if features.threads and row.account == conversation.account and row.kind not in ("code", "alert"):
            thread = tuple(await tx.messages.recent_ids(conversation.id))
        carried = await tx.outbox.files([row.id]) if row.kind == "agent" else []  # only people send files
        files = tuple(
            File(one.name, one.type or "application/octet-stream", self._parts.files.path(one.sha256))
            for one in carried
            if one.sha256
        )
        return Outbound(
            key=str(row.id),
            to=_address(row),
            text=row.text,
            buttons=buttons if len(buttons) <= features.buttons else (),
            files=files,
            subject=row.subject or self._subject(row),
            replies_to=thread,
            automatic=_automatic(row),
            code=row.code,
            language=row.language,
        )

    def _subject(self, row: Outgoing) -> str | None:
        if not self._parts.features(row.account).subject:
            return None
        blanks = {"company": self._parts.company.name, "code": row.code or ""}
        line = "subject_code" if row.kind == "code" else "subject_case" if row.code else "subject_plain"
        return self._parts.catalogue.render(line, row.language, self._parts.treatment(), blanks)

    async def _hand_over(self, outbound: Outbound) -> bool:
        """False: nothing else waits in the conversation."""
        channel = self._parts.channels.get(outbound.to.account)
        if channel is None:
            reason = f"the account {outbound.to.account} is no longer in config.yaml"
            return await self._settle(outbound, failed=reason, permanent=False)
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                provider_id = await channel.send(outbound)
        except Undeliverable as fault:
            logger.warning("sending: %s will not arrive: %s", outbound.key, type(fault).__name__)
            return await self._settle(outbound, failed=str(fault) or "refused")
        except Unavailable as fault:
            return await self._retry(outbound, fault)
        except TimeoutError:
            return await self._retry(
                outbound, Unavailable("no answer from the provider in time"), may_have_arrived=True
            )
        except Exception as error:  # a defect in a channel must not send the same row for ever without a pause
            logger.exception("sending: %s: the channel broke", outbound.key)
            return await self._retry(
                outbound, Unavailable(f"the channel broke: {type(error).__name__}"), may_have_arrived=True
            )
        return await self._settle(outbound, provider_id=provider_id)

    async def _settle(
        self, outbound: Outbound, *, provider_id: str | None = None, failed: str | None = None, permanent: bool = True
    ) -> bool:
        async with self._parts.database.transaction() as tx:
            if failed:  # another way for the row needs the conversation as well
                row, more = await self._locked_row(tx, outbound), True
            else:  # an answer of the provider only moves this row
                row, more = await tx.outbox.to_settle(UUID(outbound.key))
            if row is None:
                return True
            if failed is not None:
                await self._deliveries.failed(tx, row, failed, permanent=permanent)
            else:
                row.provider_id = provider_id
                tx.outbox.learn(row, "sent", self._parts.now())
            await tx.ring(f"conversation:{row.conversation_id}")
            await tx.ring("desk")
        return more

    async def _retry(self, outbound: Outbound, fault: Unavailable, *, may_have_arrived: bool = False) -> bool:
        async with self._parts.database.transaction() as tx:
            await self._put_off(tx, outbound, fault, may_have_arrived)
        return True

    async def _put_off(self, tx: Transaction, outbound: Outbound, fault: Unavailable, may_have_arrived: bool) -> None:
        row = await self._locked_row(tx, outbound)
        if row is None or row.state != "sending":
            return
        if self._parts.now() - row.created_at > GIVE_UP_AFTER:
            await self._deliveries.failed(tx, row, str(fault), permanent=False)
            return
        if may_have_arrived:
            conversation = await tx.conversations.locked(row.conversation_id)
            if conversation is None or not self._take_up_again(tx, conversation, row, str(fault)):
                return
        wait = fault.retry_after or BACK_OFF[min(row.attempts - 1, len(BACK_OFF) - 1)]
        jitter = timedelta(milliseconds=self._parts.choose(max(int(wait.total_seconds() * 200), 1)))
        row.state, row.reason = "queued", str(fault)[:500]
        row.not_before = self._parts.now() + wait + jitter
        await tx.ring(f"conversation:{row.conversation_id}")

    async def _locked_row(self, tx: Transaction, outbound: Outbound) -> Outgoing | None:
        row = await tx.outbox.get(UUID(outbound.key))
        if row is None or await tx.conversations.locked(row.conversation_id) is None:
            return None
        return await tx.outbox.get(row.id, lock=True)


def _address(row: Outgoing) -> Address:
    return Address(row.account, row.address)


def _automatic(row: Outgoing) -> str | None:
    """What a mail says of its author (RFC 3834): replies to a person, news on our own account, or a person's words."""
    if row.author.startswith("agent:"):
        return None
    return "auto-replied" if row.kind in ("ack", "answer", "receipt") else "auto-generated"
