"""Another way: it ends, it keeps silent while a person speaks, and it is found when an account is gone."""

from datetime import timedelta
from uuid import UUID

from channels.channel import DeliveryReport
from storage.tables import Outgoing
from tests.bot.rows import contact, outgoing, send_all
from tests.conftest import Clock
from tests.world import World

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


async def _two_ways(world: World) -> UUID:
    talk = await world.write("chat", "ana", BROKEN)
    ana = await contact(world, "chat", "ana")
    async with world.parts.database.transaction() as tx:
        await tx.people.add_contact(ana.person_id, "telegram", "77", verified_by="link")
    return talk


async def _fails(world: World, row: Outgoing) -> None:
    """The provider says so, and that it may work another time."""
    report = DeliveryReport(
        account=row.account,
        provider_id=row.provider_id or "",
        state="failed",
        at=world.clock(),
        reason="mailbox full",
        permanent=False,
    )
    await world.intake.keep(row.account, report)
    await send_all(world)


async def test_two_ways_that_fail_do_not_go_round_for_ever(world: World, clock: Clock) -> None:
    """A0-7: what failed here and there is the agents', not sent here again."""
    talk = await _two_ways(world)
    await world.desk(await world.agent()).move(talk, "en_investigacion")
    await send_all(world)
    for _ in range(4):
        clock.advance(timedelta(minutes=1))
        for row in await outgoing(world, "update"):
            if row.state == "sent":
                await _fails(world, row)
    assert len(await outgoing(world, "update")) == 2
    [held] = [one for one in await world.conversations() if one.flagged_at is not None]
    assert held.flag_reason == "undelivered"


async def test_a_receipt_that_failed_is_not_sent_elsewhere_once_a_person_speaks(world: World) -> None:
    """One speaker: nothing of the bot's is written; the agents' list of failures keeps it."""
    talk = await _two_ways(world)
    [receipt] = await outgoing(world, "receipt")
    await world.desk(await world.agent()).take(talk)
    await _fails(world, receipt)
    assert [one.state for one in await outgoing(world, "receipt")] == ["failed"]
    async with world.parts.database.transaction() as tx:
        assert receipt.id in [one.id for one in await tx.outbox.failed()]


async def test_an_account_that_was_removed_has_no_lane_of_its_own(world: World) -> None:
    """No worker runs it: its rows go where they can fail, and what matters takes another way."""
    assert [world.parts.lane(one) for one in ("chat", "removed")] == ["chat", ""]
