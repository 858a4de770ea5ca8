"""The bell on a real PostgreSQL: who is woken, when, and what a lost connection means."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.direct import Direct
from storage.listen import EVERYTHING, Bell, Subscription, ring
from storage.migrate import sqlalchemy_url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(sqlalchemy_url(database_url))
    yield engine
    await engine.dispose()


@pytest.fixture
async def bell(database_url: str) -> AsyncIterator[Bell]:
    """A bell that listens: the wake-up of the start has come and is gone."""
    bell = Bell(database_url)
    running = asyncio.create_task(bell.run())
    async with bell.subscribe("start") as start:
        assert await start.wait(5)
    yield bell
    running.cancel()
    await asyncio.wait([running])


async def ring_now(engine: AsyncEngine, topic: str) -> None:
    async with AsyncSession(engine) as session, session.begin():
        await Direct(session).run(ring(topic))


async def test_a_ring_wakes_its_topic_and_no_other(engine: AsyncEngine, bell: Bell) -> None:
    topic = f"conversation:{uuid4()}"
    async with bell.subscribe(topic) as one, bell.subscribe(topic) as two, bell.subscribe("desk") as desk:
        await ring_now(engine, topic)
        assert await one.wait(5)
        assert await two.wait(5)
        assert not await desk.wait(0.05)
        assert not await one.wait(0.05), "a ring wakes once"


async def test_a_ring_is_heard_after_the_commit_and_never_after_a_roll_back(engine: AsyncEngine, bell: Bell) -> None:
    async with bell.subscribe("desk") as desk:
        async with AsyncSession(engine) as session, session.begin():
            await Direct(session).run(ring("desk"))
            assert not await desk.wait(0.1)
        assert await desk.wait(5)
        async with AsyncSession(engine) as session:
            await Direct(session).run(ring("desk"))
            await session.rollback()
        assert not await desk.wait(0.1)


async def test_a_ring_that_comes_while_nobody_waits_is_kept(engine: AsyncEngine, bell: Bell) -> None:
    async with bell.subscribe("desk") as busy, bell.subscribe("desk") as witness:
        await ring_now(engine, "desk")
        assert await witness.wait(5)
        assert await busy.wait(0)


async def test_after_a_lost_connection_everybody_is_woken_once(engine: AsyncEngine, database_url: str) -> None:
    bell = Bell(database_url)
    async with bell.subscribe("desk") as desk, bell.subscribe("conversation:1") as conversation:
        running = asyncio.create_task(bell.run())
        assert await desk.wait(5)
        assert await conversation.wait(5)
        async with engine.begin() as connection:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'acuse bell'"
            await connection.execute(text(cut))
        await asyncio.wait([running], timeout=5)
        assert isinstance(running.exception(), psycopg.OperationalError)
        await ring_now(engine, "desk")  # nobody listens
        again = asyncio.create_task(bell.run())
        assert await desk.wait(5)
        assert await conversation.wait(5)
        assert not await conversation.wait(0.05)
        again.cancel()
        await asyncio.wait([again])


async def test_a_quiet_hour_does_not_end_the_bell(engine: AsyncEngine, database_url: str) -> None:
    bell = Bell(database_url, check_every=0.05)
    running = asyncio.create_task(bell.run())
    async with bell.subscribe("desk") as desk:
        assert await desk.wait(5)
        assert not await desk.wait(0.3)
        await ring_now(engine, "desk")
        assert await desk.wait(5)
    running.cancel()
    await asyncio.wait([running])


async def test_thousands_of_open_pages_share_one_connection(engine: AsyncEngine, bell: Bell) -> None:
    async with AsyncExitStack() as pages:
        desk: list[Subscription] = []
        for number in range(2500):
            await pages.enter_async_context(bell.subscribe(f"conversation:{number}"))
            desk.append(await pages.enter_async_context(bell.subscribe("desk")))
        started = time.monotonic()
        await ring_now(engine, "desk")
        assert all(await asyncio.gather(*(page.wait(5) for page in desk)))
        assert time.monotonic() - started < 2.0
        async with engine.connect() as connection:
            listeners = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'acuse bell'"
            assert await connection.scalar(text(listeners)) == 1
        assert bell.subscribers == 5000
    assert bell.subscribers == 0


async def test_no_ring_is_missed_that_comes_with_the_answer_to_a_check(engine: AsyncEngine, database_url: str) -> None:
    bell = Bell(database_url, check_every=0.05)
    running = asyncio.create_task(bell.run())
    async with bell.subscribe("desk") as desk, engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        assert await desk.wait(5)
        for _ in range(300):
            await connection.execute(text("SELECT pg_notify('acuse', 'desk')"))
            assert await desk.wait(1)
    running.cancel()
    await asyncio.wait([running])


async def test_everything_is_heard_by_whoever_asks_for_it(engine: AsyncEngine, bell: Bell) -> None:
    async with bell.subscribe(EVERYTHING) as everything:
        for topic in ("desk", "conversation:1"):
            await ring_now(engine, topic)
            assert await everything.wait(5)


async def test_an_idle_bell_sleeps(engine: AsyncEngine, bell: Bell) -> None:
    """The driver's own wait for notices wakes up ten times a second; a house has several of them."""
    loop = asyncio.get_running_loop()
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1

    async with bell.subscribe("desk") as desk:
        select = loop._selector.select  # type: ignore[attr-defined]  # the only place where turns can be counted

        def counted(timeout: float | None = None) -> object:
            count()
            return select(timeout)

        loop._selector.select = counted  # type: ignore[attr-defined]  # as above
        try:
            assert not await desk.wait(1)
        finally:
            loop._selector.select = select  # type: ignore[attr-defined]  # as above
    assert turns < 6
