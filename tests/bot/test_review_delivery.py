"""Another way: it ends, it keeps silent while a person speaks, and it is found when an account is gone."""

from datetime import datetime, timedelta
from uuid import UUID

from channels.channel import DeliveryReport
from storage.tables import Delivery, Outgoing
from tests.bot.rows import contact, outgoing, rows, send_all
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


async def test_an_old_bounce_says_nothing_of_what_was_sent_anew_under_the_same_id(world: World, clock: Clock) -> None:
    """A mail has one id at every attempt: only the moment tells whose failure it is, and it comes in whole seconds."""
    talk = await world.write("chat", "ana", BROKEN)
    [receipt] = await outgoing(world, "receipt")
    ours = receipt.provider_id or ""

    def bounce(moment: datetime, reason: str) -> DeliveryReport:
        return DeliveryReport(account="chat", provider_id=ours, state="failed", at=moment, reason=reason)

    clock.advance(timedelta(seconds=10))
    first = bounce(clock(), "mailbox full")
    await world.intake.keep("chat", first)
    desk = world.desk(await world.agent())
    await desk.take(talk)
    clock.advance(timedelta(minutes=1, milliseconds=700))
    await desk.resend(receipt.id)
    await send_all(world)
    began = clock()
    async with world.parts.database.transaction() as tx:
        row = await tx.outbox.get(receipt.id, lock=True)
        assert row is not None and row.state == "sent"
        row.provider_id = ours
    clock.advance(timedelta(seconds=5))
    for old in (first, bounce(began - timedelta(seconds=30), "again")):
        for _ in range(2):
            await world.intake.keep("chat", old)
    [row] = await outgoing(world, "receipt")
    assert row.state == "sent" and (await contact(world, "chat", "ana")).blocked_at is None
    noted = [one.reason for one in await rows(world, Delivery) if one.outgoing_id == row.id and one.state == "failed"]
    assert sorted(map(str, noted)) == ["again", "mailbox full"]
    await world.intake.keep("chat", bounce(began.replace(microsecond=0), "in the same second"))
    [row] = await outgoing(world, "receipt")
    assert row.state == "failed" and (await contact(world, "chat", "ana")).blocked_at is not None


async def test_the_first_attempt_fails_by_the_word_of_a_server_whose_clock_is_slow(world: World, clock: Clock) -> None:
    """There is no other attempt that it could mean."""
    await world.write("chat", "ana", BROKEN)
    [receipt] = await outgoing(world, "receipt")
    early = clock() - timedelta(minutes=3)
    told = DeliveryReport(account="chat", provider_id=receipt.provider_id or "", state="failed", at=early)
    await world.intake.keep("chat", told)
    [row] = await outgoing(world, "receipt")
    assert row.state == "failed"


async def test_an_account_that_was_removed_has_no_lane_of_its_own(world: World) -> None:
    """No worker runs it: its rows go where they can fail, and what matters takes another way."""
    assert [world.parts.lane(one) for one in ("chat", "removed")] == ["chat", ""]
