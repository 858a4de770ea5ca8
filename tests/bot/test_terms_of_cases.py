"""From when the term of a case counts: from the message, however late it is answered."""

from datetime import UTC, date, datetime, timedelta

from tests.bot.rows import messages
from tests.conftest import Clock
from tests.world import World

BROKEN = "Compré una licuadora y llegó rota. Quiero otra."
LATE = datetime(2026, 3, 3, 4, 59, tzinfo=UTC)  # Monday, 23:59 in Colombia


async def _write_and_wait(world: World, clock: Clock, *texts: str) -> None:
    """They write, a minute apart; the turn comes after that."""
    for text in texts:
        await world.intake.keep("chat", world.memory("chat").write("ana", text))
        clock.advance(timedelta(minutes=2))
    [talk] = await world.conversations()
    await world.settle(talk.id)


async def test_a_message_before_midnight_counts_for_its_own_day(world: World, clock: Clock) -> None:
    """The 15 working days of a claim, as if it had been answered at once; of two messages the first one counts."""
    clock.moment = LATE
    await _write_and_wait(world, clock, BROKEN, "Es el pedido 48213.")
    [case] = await world.cases()
    assert (case.type, case.due, case.due_reason["start"]) == ("reclamo", date(2026, 3, 24), "2026-03-03")
    assert case.opened_at > (await messages(world))[0].received_at == LATE


async def test_a_corrected_type_counts_from_the_same_day(world: World, clock: Clock) -> None:
    """Whoever corrects it days later does not move the day of reception."""
    clock.moment = LATE
    await _write_and_wait(world, clock, BROKEN)
    [talk] = await world.conversations()
    clock.advance(timedelta(days=2))
    await world.desk(await world.agent()).classify(talk.id, "peticion")
    [case] = await world.cases()
    assert (case.type, case.due_reason["start"]) == ("peticion", "2026-03-03")


async def test_what_waited_for_us_during_an_outage_counts_from_its_arrival_at_the_provider(
    world: World, clock: Clock
) -> None:
    """A mail of the 3rd that is fetched on the 6th was received on the 3rd, whatever kept us from reading it."""
    clock.moment = LATE + timedelta(days=3)
    await world.write("chat", "ana", BROKEN, sent_at=LATE)
    [case] = await world.cases()
    assert (case.due, case.due_reason["start"]) == (date(2026, 3, 24), "2026-03-03")


async def test_a_clock_of_the_provider_that_is_ahead_moves_nothing(world: World, clock: Clock) -> None:
    """A date in the future is only a claim."""
    clock.moment = LATE
    await world.write("chat", "ana", BROKEN, sent_at=LATE + timedelta(days=3))
    [case] = await world.cases()
    assert case.due_reason["start"] == "2026-03-03"
