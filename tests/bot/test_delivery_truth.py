"""Done only when it arrived: confirmations that do not come, STOP, the pace of a provider, pauses, an hour's outage."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from bot.writing import write
from channels.channel import Address, Blocked, Button, Channel, DeliveryReport, Rate, Unavailable
from channels.memory import Memory
from storage.pacing import Bucket, bucket
from tests.bot.rows import contact, outgoing, send_all
from tests.conftest import Clock
from tests.world import CHAT, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
SECOND = timedelta(seconds=1)


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """A chat that confirms, a Telegram that does not, and one with a pace."""
    paced = replace(CHAT, pace=(Rate(1, SECOND, "recipient"), Rate(5, SECOND)))
    channels: dict[str, Channel] = {
        "chat": Memory("chat", features=replace(CHAT, receipts=True), now=clock),
        "telegram": Memory("telegram", features=CHAT, now=clock),
        "paced": Memory("paced", features=paced, now=clock),
    }
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        yield made


async def _two_ways(world: World, home: str = "chat", other: str = "telegram") -> UUID:
    talk = await world.write(home, "ana", BROKEN)
    ana = await contact(world, home, "ana")
    async with world.parts.database.transaction() as tx:
        await tx.people.add_contact(ana.person_id, other, "77", verified_by="link")
    return talk


async def _queue(world: World, talk: UUID, *texts: str, account: str = "chat", kind: str = "update") -> None:
    async with world.parts.database.transaction() as tx:
        conversation = await tx.conversations.locked(talk)
        assert conversation is not None
        case = await tx.cases.get(conversation.case_id) if conversation.case_id else None
        for text in texts:
            to = Address(account, "ana")
            await write(world.parts, tx, conversation, to, author="notice:x", kind=kind, text=text, case=case)


class TestWhatNobodyConfirmed:
    """Item 5: what matters is done when it arrived or the person reacts; else the next channel, at last people."""

    async def _receipt_unconfirmed(self, world: World, clock: Clock, hours: float) -> int:
        clock.advance(timedelta(hours=hours))
        await world.ticker.tick()
        await send_all(world)
        return len(world.sent("telegram"))

    async def test_after_a_day_it_takes_another_way_once(self, world: World, clock: Clock) -> None:
        await _two_ways(world)
        assert await self._receipt_unconfirmed(world, clock, 23.9) == 0
        assert await self._receipt_unconfirmed(world, clock, 0.2) == 1
        assert await self._receipt_unconfirmed(world, clock, 1) == 1
        [first, copy] = sorted(await outgoing(world, "receipt"), key=lambda one: one.account)
        assert (first.state, copy.fallback_of) == ("sent", first.id)

    async def test_of_a_critical_case_after_an_hour(self, world: World, clock: Clock) -> None:
        await _two_ways(world)
        async with world.parts.database.transaction() as tx:
            [case] = await world.cases()
            found = await tx.cases.get(case.id, lock=True)
            assert found is not None
            found.severity = "critical"
        assert await self._receipt_unconfirmed(world, clock, 0.9) == 0
        assert await self._receipt_unconfirmed(world, clock, 0.2) == 1

    @pytest.mark.parametrize("state", ["delivered", "read", "answered"])
    async def test_not_what_arrived_or_was_answered(self, world: World, clock: Clock, state: str) -> None:
        talk = await _two_ways(world)
        [receipt] = await outgoing(world, "receipt")
        clock.advance(SECOND)
        if state == "answered":
            await world.write("chat", "ana", "vale", replies_to=(receipt.provider_id,))
        else:
            assert receipt.provider_id is not None
            told = DeliveryReport(account="chat", provider_id=receipt.provider_id, state=state, at=clock())
            await world.intake.keep("chat", told)
        [seen] = [one for one in await outgoing(world, "receipt") if one.id == receipt.id]
        assert seen.state == (state if state in ("delivered", "read") else "read")
        for row in await outgoing(world):
            if row.conversation_id == talk and row.id != receipt.id and row.provider_id:
                told = DeliveryReport(account="chat", provider_id=row.provider_id, state="delivered", at=clock())
                await world.intake.keep("chat", told)
        assert await self._receipt_unconfirmed(world, clock, 25) == 0

    async def test_a_pressed_button_of_ours_was_read(self, world: World, clock: Clock) -> None:
        talk = await _two_ways(world)
        async with world.parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(talk)
            assert conversation is not None
            to, choice = Address("chat", "ana"), [Button("Todo bien", "fine")]
            await write(world.parts, tx, conversation, to, author="bot", kind="update", text="¿Y?", buttons=choice)
        await send_all(world)
        await world.write("chat", "ana", "Todo bien", pressed="fine")
        assert [one.state for one in await outgoing(world, "update")] == ["read"]

    async def test_nor_where_the_channel_tells_nothing(self, world: World, clock: Clock) -> None:
        await _two_ways(world, "telegram", "chat")
        await self._receipt_unconfirmed(world, clock, 30)
        assert world.sent("chat") == []

    async def test_without_another_way_people_are_told(self, world: World, clock: Clock) -> None:
        await world.write("chat", "ana", BROKEN)
        await self._receipt_unconfirmed(world, clock, 25)
        assert [one.flag_reason for one in await world.conversations()] == ["undelivered"]


class TestStop:
    """Item 7: STOP ends everything at that address and moves the open case; START lets us in again."""

    async def _stop(self, world: World, stopped: bool = True) -> None:
        ana = Address("chat", "ana")
        await world.intake.keep("chat", Blocked(address=ana, blocked=stopped, at=world.clock(), opted_out=True))

    async def test_what_waits_and_what_comes_later_goes_another_way(self, world: World) -> None:
        talk = await _two_ways(world)
        before = len(world.sent("chat"))
        await _queue(world, talk, "esperaba")
        await self._stop(world)
        await world.desk(await world.agent()).move(talk, "en_investigacion")
        await send_all(world)
        assert len(world.sent("chat")) == before
        assert len(world.sent("telegram")) == 2
        assert "esperaba" in [one.text for one in world.sent("telegram")]

    async def test_without_another_way_people_are_told_and_nobody_is_written_to(self, world: World) -> None:
        await world.write("chat", "ana", BROKEN)
        before = len(world.sent("chat"))
        await self._stop(world)
        await send_all(world)
        assert [one.flag_reason for one in await world.conversations()] == ["unreachable"]
        assert len(world.sent("chat")) == before

    async def test_start_opens_it_again(self, world: World) -> None:
        talk = await _two_ways(world)
        await self._stop(world)
        await self._stop(world, stopped=False)
        await _queue(world, talk, "noticias")
        await send_all(world)
        assert world.sent("chat")[-1].text == "noticias"


class TestThePace:
    """Item 6: never more than the provider bears, over all workers; order is kept and conversations go first."""

    def test_no_stretch_holds_more_than_the_limit(self) -> None:
        for messages in (1, 2, 5, 30, 80):
            one = bucket("x", messages, SECOND)
            times, free = [], timedelta(0)
            for _ in range(4 * messages):
                start = max(timedelta(0), free - one.slack)
                times.append(start)
                free = max(free, start) + one.step
            densest = max(sum(at <= other < at + SECOND for other in times) for at in times)
            assert densest <= messages
            assert times[-1] <= 8 * SECOND

    async def test_one_person_gets_one_a_second_in_order(self, world: World, clock: Clock) -> None:
        talk = await world.write("paced", "ana", "hola")
        clock.advance(10 * SECOND)
        await world.sending.run(talk)
        world.memory("paced").sent.clear()
        await _queue(world, talk, "1", "2", "3", account="paced", kind="answer")
        for expected in (1, 1, 2, 3):
            await world.sending.run(talk)
            clock.advance(SECOND / 2)
            await world.ticker.tick()
            await world.sending.run(talk)
            clock.advance(SECOND / 2)
            assert len(world.sent("paced")) >= min(expected, 1)
        await world.sending.run(talk)
        assert [one.text for one in world.sent("paced")] == ["1", "2", "3"]

    async def test_what_may_wait_leaves_only_where_nobody_else_does(self, world: World, clock: Clock) -> None:
        async with world.parts.database.transaction() as tx:
            one = [Bucket("account", SECOND)]
            assert await tx.pacing.turn_if_idle(one)
            assert not await tx.pacing.turn_if_idle(one)
            assert await tx.pacing.turn(one) == clock() + SECOND
            assert await tx.pacing.turn(one) == clock() + 2 * SECOND

    async def test_a_busy_limit_costs_no_turn_at_the_others(self, world: World, clock: Clock) -> None:
        """Else the looks at a busy account, each second, would keep a recipient busy whose turn takes six."""
        account, recipient = Bucket("account", SECOND), Bucket("account\nana", 6 * SECOND)
        async with world.parts.database.transaction() as tx:
            await tx.pacing.turn([account])
            assert not await tx.pacing.turn_if_idle([account, recipient])
            clock.advance(2 * SECOND)
            assert await tx.pacing.turn_if_idle([account, recipient])  # the recipient's limit was new
            clock.advance(2 * SECOND)
            assert not await tx.pacing.turn_if_idle([account, recipient])
            assert await tx.pacing.turn_if_idle([account])  # nor the account's, while the recipient's is busy
            clock.advance(4 * SECOND)
            assert await tx.pacing.turn_if_idle([account, recipient])


class TestAPause:
    """Item 10: nothing leaves on an account that rests; it drains in order when it goes on."""

    async def test_P15_it_waits_and_then_really_leaves(self, world: World, clock: Clock) -> None:
        talk = await world.write("chat", "ana", "hola")
        before = len(world.sent("chat"))
        async with world.parts.database.transaction() as tx:
            assert await tx.pacing.pause("chat", "admin")
            assert not await tx.pacing.pause("chat", "admin")
        await _queue(world, talk, "1", "2")
        clock.advance(timedelta(hours=5))
        await world.ticker.sweep()
        await send_all(world)
        assert len(world.sent("chat")) == before
        async with world.parts.database.transaction() as tx:
            assert [one.account for one in await tx.pacing.pauses()] == ["chat"]
            assert talk not in [one for one, _ in await tx.outbox.forgotten(SECOND)]
            assert await tx.pacing.resume("chat")
            assert talk in [one for one, _ in await tx.outbox.forgotten(SECOND)]
        await send_all(world)
        assert [one.text for one in world.sent("chat")[before:]] == ["1", "2"]


async def test_P15_a_provider_that_is_down_for_an_hour_gets_everything_once_and_in_order(
    world: World, clock: Clock
) -> None:
    """Every person's messages in their order, nobody twice."""
    people = [f"p{number}" for number in range(4)]
    talks = [await world.write("telegram", one, "hola") for one in people]
    channel = world.memory("telegram")
    channel.sent.clear()
    channel.fail(Unavailable("503"), times=10_000)
    for minute in range(60):
        if minute % 15 == 0:
            for talk, one in zip(talks, people, strict=True):
                async with world.parts.database.transaction() as tx:
                    conversation = await tx.conversations.locked(talk)
                    assert conversation is not None
                    to, text = Address("telegram", one), f"{minute}"
                    await write(world.parts, tx, conversation, to, author="bot", kind="answer", text=text)
        if minute % 5 == 0:
            await send_all(world)
        clock.advance(timedelta(minutes=1))
    assert channel.sent == []
    channel._failures.clear()
    for _ in range(8):
        clock.advance(timedelta(minutes=10))
        await send_all(world)
    for one in people:
        assert [sent.text for sent in channel.sent if sent.to.value == one] == ["0", "15", "30", "45"]
