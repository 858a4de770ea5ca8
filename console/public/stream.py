"""The chat's server-sent events: what we said since a place, then a wait for more."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from bot.bell import Bell, Subscription
from bot.chat import Bubble, Chat

HEARTBEAT = 15.0  # seconds; proxies cut a line that is silent for a minute
FIRST_WORD = 2.0  # seconds between two looks for a conversation that nobody has begun yet
RETRY = "retry: 2000\n\n"
BEAT = ": \n\n"


def event(place: str, drawn: Mapping[str, Any]) -> str:
    """One bubble as an event; its id is the place from which a browser that comes back goes on."""
    return f"id: {place}\ndata: {json.dumps(drawn)}\n\n"


async def stream(
    chat: Chat,
    bell: Bell,
    stopping: asyncio.Event,
    draw: Callable[[Bubble], Mapping[str, Any]],
    after: str | None,
) -> AsyncIterator[str]:
    """Events until the browser leaves, or at once until the server stops."""
    yield RETRY
    quiet = 0.0
    while (topic := await chat.topic()) is None:
        await _pause(stopping, FIRST_WORD)
        if stopping.is_set():
            return
        quiet += FIRST_WORD
        if quiet >= HEARTBEAT:
            yield BEAT
            quiet = 0.0
    async with bell.subscribe(topic) as subscription:
        while not stopping.is_set():
            for bubble in await chat.news(after):
                yield event(bubble.place, draw(bubble))
                after = bubble.place
            if not await _rung(subscription, stopping):
                yield BEAT


async def _rung(subscription: Subscription, stopping: asyncio.Event) -> bool:
    """Whether there may be news. Reads the tables now and then even if no bell was heard."""
    rung = asyncio.create_task(subscription.wait(HEARTBEAT))
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([rung, stop], return_when=asyncio.FIRST_COMPLETED)
        return rung.done() and rung.result()
    finally:
        rung.cancel()
        stop.cancel()


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
