"""What time brings: the silence of a day, and each due thing once."""

import asyncio
from datetime import timedelta

from bot.ticker import Ticker
from storage.tables import Attempt, Session, Timer
from tests.bot.rows import messages, outgoing, rows, send_all
from tests.conftest import Clock
from tests.world import World

BROKEN = "Compré una licuadora y llegó rota. Quiero otra."


async def _pass(world: World, clock: Clock, by: timedelta) -> None:
    clock.advance(by)
    await world.ticker.tick()
    for one in await world.conversations():
        await world.turns.run(one.id)
    await send_all(world)


async def test_a_day_of_silence_leaves_an_open_case_on_the_agents_list(world: World, clock: Clock) -> None:
    """R060: with what is known, and never closed by lapse of time."""
    await world.write("chat", "ana", BROKEN)
    await _pass(world, clock, timedelta(hours=23, minutes=59))
    [talk] = await world.conversations()
    assert talk.flagged_at is None
    await _pass(world, clock, timedelta(minutes=2))
    [talk] = await world.conversations()
    assert (talk.flag_reason, talk.flagged_at) == ("silent", clock())
    [case] = await world.cases()
    assert (case.closed_at, case.solved_by) == (None, None)
    assert [one.kind for one in await messages(world)] == ["person", "internal"]


async def test_a_word_in_time_starts_the_day_anew(world: World, clock: Clock) -> None:
    """The timer counts from the last message."""
    await world.write("chat", "ana", BROKEN)
    await _pass(world, clock, timedelta(hours=23))
    await world.write("chat", "ana", "pedido 48213")
    await _pass(world, clock, timedelta(hours=23))
    [talk] = await world.conversations()
    assert talk.flagged_at is None


async def test_a_due_timer_is_given_out_once(world: World, clock: Clock) -> None:
    """Many workers tick at the same moment."""
    await world.write("chat", "ana", BROKEN)
    clock.advance(timedelta(days=1, minutes=1))
    tickers = [Ticker(world.parts) for _ in range(4)]
    await asyncio.gather(*(ticker.tick() for ticker in tickers))
    assert [one.kind for one in await messages(world)] == ["person", "internal"]
    [timer] = await rows(world, Timer)
    assert timer.done_at == clock()


async def test_while_a_person_speaks_the_silence_says_nothing(world: World, clock: Clock) -> None:
    """P19: the timer stops at the take-over."""
    talk = await world.write("chat", "ana", BROKEN)
    await world.desk(await world.agent()).take(talk)
    await send_all(world)
    before = len(world.sent("chat"))
    await _pass(world, clock, timedelta(days=2))
    assert len(world.sent("chat")) == before
    assert "internal" not in [one.kind for one in await messages(world)]


async def test_who_wants_nothing_is_not_reminded(world: World, clock: Clock) -> None:
    """R098: after "stop" no message that nobody asked for."""
    await world.write("chat", "ana", BROKEN)
    await world.write("chat", "ana", "no me escriban más, stop")
    before = len(world.sent("chat"))
    await _pass(world, clock, timedelta(days=2))
    assert len(world.sent("chat")) == before


async def test_what_is_held_back_leaves_when_its_time_comes(world: World, clock: Clock) -> None:
    """A late Ack is woken by the ticker, not by a job in the future."""
    await world.intake.keep("email", world.memory("email").write("ana@x.example", BROKEN))
    await world.ticker.tick()
    clock.advance(timedelta(seconds=61))
    await world.ticker.tick()
    async with world.parts.database.transaction() as tx:
        jobs = await (await tx.session.connection()).exec_driver_sql("SELECT task_name FROM procrastinate_jobs")
        assert sorted(row[0] for row in jobs) == ["send", "turn"]
    await send_all(world)
    assert [one.state for one in await outgoing(world, "ack")] == ["sent"]


async def test_a_timer_that_is_due_while_they_write_waits_for_them(world: World, clock: Clock) -> None:
    """The conversation is locked before its timer, as everywhere: else the two would wait for each other."""
    talk = await world.write("chat", "ana", BROKEN)
    clock.advance(timedelta(hours=25))
    async with world.parts.database.transaction() as tx:
        await tx.conversations.locked(talk)
        ticking = asyncio.create_task(world.ticker.tick())
        await asyncio.wait([ticking], timeout=0.5)  # it stands where it must wait
        tx.timers.stop(f"silence:{talk}")
    await ticking
    assert [one.kind for one in await messages(world)] == ["person"]


async def test_what_is_over_is_tidied_away(world: World, clock: Clock) -> None:
    """Uses of limits that no limit looks at any more, and sessions that have expired."""
    async with world.parts.database.transaction() as tx:
        await tx.limits.use("chat:ana", at_most=9, within=timedelta(minutes=1))
        tx.sessions.add("hash", "csrf", timedelta(hours=1), address="ana")
    await world.ticker.tick()
    assert (len(await rows(world, Attempt)), len(await rows(world, Session, "token_hash"))) == (1, 1)
    clock.advance(timedelta(days=3))
    await world.ticker.tick()
    assert (await rows(world, Attempt), await rows(world, Session, "token_hash")) == ([], [])
