"""Fetch files that a provider still holds, after the message that speaks of them is safe."""

import logging
from datetime import timedelta
from uuid import UUID

from bot.bell import Bell, resting
from bot.keeper import describe
from bot.parts import Parts
from channels.channel import Discards, Fetches, Media, Unavailable, Undeliverable
from storage.files import Refused, Stored, TooLarge
from storage.tables import Attachment
from storage.transaction import Transaction

logger = logging.getLogger(__name__)
APART = 1.0  # seconds between two looks at the least
NET = 5.0  # and at the most: a file that could not be fetched is tried again without anybody saying so
AGAIN = timedelta(seconds=5)  # after the first attempt that fails; then four times as long, each time
TRIES = 6  # the last one an hour and a half after the message


class MediaFetcher:
    """Runs in every worker. Fetching a file twice is harmless: it is stored under its hash."""

    def __init__(self, parts: Parts, bell: Bell | None = None) -> None:
        self._parts = parts
        self._bell = bell

    async def run(self) -> None:
        """Fetch until cancelled, whenever something came in."""
        async with resting(self._bell, "desk", apart=APART) as rest:
            while True:
                if not await self.fetch_some():
                    await rest(NET)

    async def fetch_some(self) -> int:
        """One look; returns how many files were settled."""
        async with self._parts.database.transaction() as tx:
            waiting = [(one, account) for one, account in await tx.messages.files_to_fetch(AGAIN)]
            for attachment, _ in waiting:
                attachment.attempts += 1
        settled = 0
        for attachment, account in waiting:
            settled += await self._fetch(attachment, account)
        return settled

    async def _fetch(self, attachment: Attachment, account: str) -> bool:
        channel = self._parts.channels.get(account)
        if not isinstance(channel, Fetches):
            return await self._settle(attachment.id, state="failed", reason="the channel is gone")
        media = Media(name=attachment.name, size=attachment.size, ref=attachment.ref)
        try:
            stored = await self._parts.files.put(channel.fetch(media))
        except (TooLarge, Refused, Undeliverable) as fault:
            return await self._settle(attachment.id, state="refused", reason=str(fault)[:300])
        except Exception as fault:  # one file that breaks a channel must not stop all the others
            if not isinstance(fault, Unavailable):
                logger.error("media: a file of %s could not be fetched: %s", account, describe(fault))
            if attachment.attempts < TRIES:
                return False
            return await self._settle(attachment.id, state="failed", reason=describe(fault)[:300])
        settled = await self._settle(attachment.id, state="stored", stored=stored)
        if isinstance(channel, Discards):
            await channel.discard(media)
        return settled

    async def _settle(
        self, attachment_id: UUID, *, state: str, reason: str | None = None, stored: Stored | None = None
    ) -> bool:
        async with self._parts.database.transaction() as tx:
            row = await tx.messages.attachment(attachment_id)
            if row is None:
                return False
            row.state, row.reason = state, reason
            if stored is not None:
                row.sha256, row.type, row.size = stored.sha256, stored.type, stored.size
            message = await tx.messages.get(row.message_id) if row.message_id else None
            if message is not None:
                if stored is None:
                    await self._tell_agents(tx, message.conversation_id)
                await tx.ring(f"conversation:{message.conversation_id}")
        return True

    async def _tell_agents(self, tx: Transaction, conversation_id: UUID) -> None:
        """The customer was told that we have it: somebody must ask for it again."""
        conversation = await tx.conversations.locked(conversation_id)
        if conversation is not None and conversation.flagged_at is None and conversation.speaker == "bot":
            conversation.flagged_at, conversation.flag_reason = self._parts.now(), "file"
            await tx.ring("desk")
