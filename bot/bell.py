"""What tells that something changed; whoever is told reads the tables after it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from typing import Protocol


class Subscription(Protocol):
    """One page's wait."""

    async def wait(self, timeout: float | None = None) -> bool:
        """Whether the topic was rung within `timeout` seconds."""


class Bell(Protocol):
    """Topics: `conversation:<id>`, `desk`."""

    def subscribe(self, topic: str) -> AbstractAsyncContextManager[Subscription]:
        """Be woken by the topic while the block lasts."""


@asynccontextmanager
async def resting(bell: Bell | None, topic: str, *, apart: float) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
    """Give `rest(seconds)` to whoever looks again and again: it ends early when the topic is rung.

    `apart`: seconds between the ends of two rests at the least, however often it rings. Without a bell it is a rest of
    no more than so many seconds, as nobody would call.
    """
    if bell is None:
        yield lambda seconds: asyncio.sleep(min(seconds, apart))
        return
    async with bell.subscribe(topic) as rung:
        ended = monotonic() - apart

        async def rest(seconds: float) -> None:
            nonlocal ended
            await rung.wait(max(0.0, seconds))
            await asyncio.sleep(max(0.0, ended + apart - monotonic()))
            ended = monotonic()

        yield rest
