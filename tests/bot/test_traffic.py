"""When something last came in and went out, by account."""

from datetime import timedelta

from storage.traffic import Last
from tests.conftest import Clock
from tests.world import World


async def test_the_last_message_of_each_account_both_ways(world: World, clock: Clock) -> None:
    first = clock()
    await world.write("chat", "ana", "Hola")
    clock.advance(timedelta(hours=2))
    await world.write("telegram", "77", "Hola")
    clock.advance(timedelta(minutes=5))
    await world.write("chat", "eva", "Hola", sent_at=clock() - timedelta(minutes=1))
    async with world.parts.database.transaction() as tx:
        found = await tx.traffic.last(["chat", "telegram", "email"])
    assert found == {
        "chat": Last(came=clock() - timedelta(minutes=1), gone=clock()),
        "telegram": Last(came=first + timedelta(hours=2), gone=first + timedelta(hours=2)),
        "email": Last(),
    }


async def test_what_has_not_left_did_not_go_out(world: World) -> None:
    await world.intake.keep("chat", world.memory("chat").write("ana", "Hola"))
    async with world.parts.database.transaction() as tx:
        found = await tx.traffic.last(["chat"])
    assert found["chat"].gone is None
