"""Signs beside the work are bounded, whatever a provider does."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from bot.intake import Kept
from bot.signs import Signs
from channels.channel import Address, Inbound
from channels.memory import Memory

KEPT = Kept(uuid4(), uuid4())


class Slow(Memory):
    """A provider that takes its time with signs."""

    def __init__(self) -> None:
        super().__init__("chat")
        self.asked: list[str] = []
        self.well = asyncio.Event()

    async def notice(self, inbound: Inbound) -> None:
        self.asked.append(inbound.key)
        await self.well.wait()

    async def settle(self, inbound: Inbound) -> None:
        await self.well.wait()
        await super().settle(inbound)


def one(key: str, pressed: str | None = None) -> Inbound:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return Inbound(key=key, sender=Address("chat", "ana"), text="hola", sent_at=at, pressed=pressed)


async def test_what_is_too_much_is_left_out_and_later_ones_are_shown_again() -> None:
    channel, signs = Slow(), Signs(limit=3)
    for key in ("1", "2", "3", "4", "5"):
        signs.show(channel, one(key), KEPT)
    await asyncio.sleep(0)
    assert channel.asked == ["1", "2", "3"]
    channel.well.set()
    async with asyncio.timeout(5):
        while signs.busy:
            await asyncio.sleep(0)
    signs.show(channel, one("6"), KEPT)
    await asyncio.sleep(0)
    assert channel.asked == ["1", "2", "3", "6"]


async def test_a_press_is_settled_and_noticed_and_a_repetition_neither() -> None:
    channel, signs = Slow(), Signs()
    channel.well.set()
    pressed = one("1", pressed="person")
    signs.show(channel, pressed, Kept(uuid4(), None))
    signs.show(channel, pressed, None)
    signs.show(channel, pressed, KEPT)
    async with asyncio.timeout(5):
        while signs.busy:
            await asyncio.sleep(0)
    assert (channel.asked, channel.settled) == (["1"], [pressed])
