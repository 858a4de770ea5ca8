"""What looks again and again rests until something is due or rung, and looks at once then. The clock here is real."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest_asyncio

from bot.alerts import Alerts
from bot.bell import resting
from bot.media import MediaFetcher
from bot.ticker import Ticker
from channels.channel import Features, Media
from channels.memory import Memory
from storage.listen import Bell
from storage.tables import Attachment
from tests.bot.rows import outgoing, rows
from tests.world import CHAT, MAIL, World, a_world

BURST = timedelta(seconds=0.7)


def now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


@pytest_asyncio.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Real time, and a chat with a burst window."""
    chat = Memory("chat", features=CHAT, now=now)
    slow = Memory("slow", features=Features(buttons=8, burst=BURST), now=now)
    mail = Memory("email", features=MAIL, now=now)
    async with a_world(database_url, now, tmp_path, channels={"chat": chat, "slow": slow, "email": mail}) as made:
        yield made


@pytest_asyncio.fixture
async def bell(database_url: str) -> AsyncIterator[Bell]:
    """One that listens."""
    bell = Bell(database_url)
    running = asyncio.create_task(bell.run())
    async with bell.subscribe("start") as start:
        assert await start.wait(5)
    yield bell
    running.cancel()
    await asyncio.wait([running])


async def ring(world: World, topic: str) -> None:
    """As every commit that matters does."""
    async with world.parts.database.transaction() as tx:
        await tx.ring(topic)


class Counting(Ticker):
    """Counts its looks."""

    looks = 0

    async def tick(self) -> float:
        """One more."""
        self.looks += 1
        return await super().tick()


async def woken(world: World, within: float) -> float:
    """Seconds until a turn is woken."""
    began = monotonic()
    while True:
        async with world.parts.database.transaction() as tx:
            found = await (await tx.session.connection()).exec_driver_sql(
                "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'turn'"
            )
            if found.scalar():
                return monotonic() - began
        assert monotonic() - began < within, "nobody was woken in time"
        await asyncio.sleep(0.01)


async def test_a_burst_is_answered_when_it_ends_though_the_ticker_rests(world: World, bell: Bell) -> None:
    """It rests for seconds; the message that sets an earlier time ends the rest."""
    ticker = Counting(world.parts, bell)
    running = asyncio.create_task(ticker.run())
    await asyncio.sleep(0.5)  # it is at rest
    looks = ticker.looks
    await world.intake.keep("slow", world.memory("slow").write("ana", "hola"))
    seconds = await woken(world, 3)
    assert BURST.total_seconds() - 0.1 <= seconds < BURST.total_seconds() + 0.5
    running.cancel()
    await asyncio.wait([running])
    assert ticker.looks - looks <= 5


async def test_a_ticker_with_nothing_to_do_looks_once_in_five_seconds(world: World, bell: Bell) -> None:
    """It ran twice a second, all day long."""
    ticker = Counting(world.parts, bell)
    running = asyncio.create_task(ticker.run())
    await asyncio.sleep(2)
    running.cancel()
    await asyncio.wait([running])
    assert ticker.looks <= 2  # the wake-up at the begin of listening may come late


async def test_however_often_it_rings_the_rests_are_apart(world: World, bell: Bell) -> None:
    """A thousand messages a minute must not make a thousand looks."""
    rests = 0

    async def look() -> None:
        nonlocal rests
        async with resting(bell, "desk", apart=0.3) as rest:
            while True:
                await rest(60)
                rests += 1

    looking = asyncio.create_task(look())
    began = monotonic()
    while monotonic() - began < 1:
        await ring(world, "desk")
    looking.cancel()
    await asyncio.wait([looking])
    assert 2 <= rests <= 5


async def test_a_ring_after_a_long_rest_is_followed_at_once(world: World, bell: Bell) -> None:
    """The pause between two looks counts from the last one."""
    async with resting(bell, "desk", apart=0.5) as rest:
        await asyncio.sleep(0.6)
        resting_now = asyncio.ensure_future(rest(60))
        await asyncio.sleep(0.05)
        began = monotonic()
        await ring(world, "desk")
        await resting_now
        assert monotonic() - began < 0.3


async def test_without_a_bell_it_is_a_short_rest() -> None:
    """Nobody would call."""
    async with resting(None, "desk", apart=0.05) as rest:
        async with asyncio.timeout(2):
            await rest(60)


async def test_a_file_is_fetched_and_a_flag_alerted_without_waiting_for_the_next_look(world: World, bell: Bell) -> None:
    """Both look every five seconds when nothing rings."""
    world.memory("chat").files["f1"] = b"\x89PNG\r\n\x1a\n" + b"0" * 1000
    tasks = [asyncio.create_task(one.run()) for one in (MediaFetcher(world.parts, bell), Alerts(world.parts, bell))]
    await asyncio.sleep(0.3)  # they rest
    began = monotonic()
    await world.write(
        "chat", "ana", "Llegó rota, pedido 48213. Quiero hablar con una persona", media=(Media(name="f.png", ref="f1"),)
    )
    while not await outgoing(world, "alert") or [one.state for one in await rows(world, Attachment)] != ["stored"]:
        assert monotonic() - began < 4
        await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
