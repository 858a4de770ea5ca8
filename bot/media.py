"""Fetch files that a provider still holds, after the message that speaks of them is safe."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from bot.parts import Parts
from channels.channel import Fetches, Media, Unavailable, Undeliverable
from storage.files import Refused, Stored, TooLarge
from storage.tables import Attachment

logger = logging.getLogger(__name__)
PAUSE = 1.0
TRIES = 6


class MediaFetcher:
    """Runs in every worker. Fetching a file twice is harmless: it is stored under its hash."""

    def __init__(self, parts: Parts, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._parts = parts
        self._sleep = sleep

    async def run(self) -> None:
        """Fetch until cancelled."""
        while True:
            if not await self.fetch_some():
                await self._sleep(PAUSE)

    async def fetch_some(self) -> int:
        """One look; returns how many files were settled."""
        async with self._parts.database.transaction() as tx:
            waiting = [(one, account) for one, account in await tx.messages.files_to_fetch()]
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
        except Unavailable as fault:
            if attachment.attempts < TRIES:
                return False
            return await self._settle(attachment.id, state="failed", reason=str(fault)[:300])
        return await self._settle(attachment.id, state="stored", stored=stored)

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
                await tx.ring(f"conversation:{message.conversation_id}")
        return True
