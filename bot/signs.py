"""Signs that we are at it, after the commit: "typing", and the answer to a pressed button."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from bot.intake import Kept
from bot.keeper import describe
from bot.parts import Parts
from bot.welcoming import welcome
from channels.channel import Channel, Inbound, Notices, Opened, Settles, Welcomes

logger = logging.getLogger(__name__)
LIMIT = 500  # that may be under way; more are left out


class Signs:
    """Shows them beside the work; nothing waits for a sign, and one that fails harms nobody."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    def show(self, channel: Channel, inbound: Inbound, kept: Kept | None) -> None:
        """What the channel can show for a message that was kept just now; a repetition shows nothing."""
        if kept is None or kept.message_id is None:
            return
        if inbound.pressed and isinstance(channel, Settles):
            self._start(channel.name, channel.settle(inbound))
        if not inbound.machine and isinstance(channel, Notices):
            self._start(channel.name, channel.notice(inbound))

    def greet(self, parts: Parts, channel: Channel, opened: Opened) -> None:
        """What somebody finds who has said nothing yet."""
        if isinstance(channel, Welcomes):
            self._start(channel.name, welcome(parts, channel, opened))

    def _start(self, account: str, sign: Coroutine[Any, Any, None]) -> None:
        if self.busy >= self._limit:
            sign.close()
            return
        task = asyncio.create_task(_harmless(account, sign))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


async def _harmless(account: str, sign: Coroutine[Any, Any, None]) -> None:
    try:
        await sign
    except Exception as error:
        logger.info("signs: %s: no sign was shown: %s", account, describe(error))
