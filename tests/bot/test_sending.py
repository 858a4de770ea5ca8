"""What leaves: in its order, once, and again only when it may not have arrived."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from bot.sending import BACK_OFF, Sending
from bot.writing import write
from channels.channel import Address, Outbound, Unavailable, Undeliverable
from channels.memory import Memory
from storage.tables import Delivery
from tests.bot.rows import contact, outgoing, rows, somebody_waits
from tests.conftest import Clock
from tests.world import CHAT, MAIL, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


class Slow(Memory):
    """Takes its time, or breaks in a way that no contract knows; what it was given stands in `sent`."""

    error: Exception | None = None
    seconds = 0.0

    async def send(self, message: Outbound) -> str:
        """As told."""
        given = await super().send(message)
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return given


@pytest_asyncio.fixture
async def slow_world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """Its chat is `Slow`."""
    channels = {"chat": Slow("chat", features=CHAT, now=clock), "email": Memory("email", features=MAIL, now=clock)}
    async with a_world(database_url, clock, tmp_path, channels=dict(channels)) as made:
        yield made


def _slow(world: World) -> Slow:
    channel = world.parts.channels["chat"]
    assert isinstance(channel, Slow)
    return channel


async def _queue(world: World, talk: UUID, *texts: str, account: str = "chat", to: str = "ana", **values: str) -> None:
    async with world.parts.database.transaction() as tx:
        conversation = await tx.conversations.locked(talk)
        assert conversation is not None
        for text in texts:
            given = {"author": "bot", "kind": "answer"} | values
            await write(world.parts, tx, conversation, Address(account, to), text=text, **given)  # type: ignore[arg-type]  # mypy cannot see which of the named ones these are


async def _talk(world: World) -> UUID:
    """A conversation in which nothing waits."""
    talk = await world.write("chat", "ana", "hola")
    world.memory("chat").sent.clear()
    await _forget_wakes(world)
    return talk


def _texts(world: World, account: str = "chat") -> list[str]:
    return [one.text for one in world.sent(account)]


async def test_rows_leave_in_their_order(world: World) -> None:
    """R006: also when there are more than one run sends: the rest is awake for the next."""
    talk = await _talk(world)
    texts = [str(number) for number in range(25)]
    await _queue(world, talk, *texts)
    await world.sending.run(talk)
    assert _texts(world) == texts[:20]
    assert await _wakes(world) == [talk]
    await world.sending.run(talk)
    assert _texts(world) == texts


async def test_many_senders_at_once_send_each_row_once_and_in_order(slow_world: World) -> None:
    """The engine runs one at a time; the rows do not rely on it."""
    talk = await _talk(slow_world)
    await _queue(slow_world, talk, "1", "2", "3", "4")
    _slow(slow_world).seconds = 0.02
    for _ in range(5):
        await asyncio.gather(*(slow_world.sending.run(talk) for _ in range(5)))
    assert _texts(slow_world) == ["1", "2", "3", "4"]


class TestAProviderThatIsAway:
    """P15: it is tried again in growing pauses, nothing overtakes, and it arrives once."""

    async def test_holds_back_what_is_behind(self, world: World, clock: Clock) -> None:
        talk = await _talk(world)
        world.memory("chat").fail(Unavailable("down"), times=3)
        await _queue(world, talk, "1", "2")
        for pause in BACK_OFF[:3]:
            await world.sending.run(talk)
            assert _texts(world) == []
            clock.advance(pause - timedelta(seconds=0.1))
            await world.sending.run(talk)  # too early: not even asked
            clock.advance(timedelta(seconds=0.1) + pause * 0.2)
        await world.sending.run(talk)
        assert _texts(world) == ["1", "2"]
        first = [one for one in await outgoing(world) if one.text == "1"]
        assert [(one.attempts, one.state) for one in first] == [(4, "sent")]

    async def test_says_itself_when_to_come_back(self, world: World, clock: Clock) -> None:
        """Telegram's RetryAfter, Slack's Retry-After."""
        talk = await _talk(world)
        world.memory("chat").fail(Unavailable("too fast", retry_after=timedelta(seconds=77)))
        await _queue(world, talk, "1")
        await world.sending.run(talk)
        clock.advance(timedelta(seconds=76.9))
        await world.sending.run(talk)
        assert _texts(world) == []
        clock.advance(timedelta(seconds=16))
        await world.ticker.tick()
        assert await _wakes(world) == [talk]
        await world.sending.run(talk)
        assert _texts(world) == ["1"]

    async def test_holds_back_no_other_channel(self, world: World) -> None:
        """A mail server that is away must not silence the chat."""
        talk = await _talk(world)
        world.memory("email").fail(Unavailable("down"), times=9)
        await _queue(world, talk, "código", account="email", to="ana@x.example", kind="code")
        await _queue(world, talk, "1", "2")
        await world.sending.run(talk)
        assert _texts(world) == ["1", "2"]
        await _queue(world, talk, *["alarma"] * 30, account="email", to="turno@nube.example", kind="alert")
        await _queue(world, talk, "3")
        await world.sending.run(talk)
        assert _texts(world) == ["1", "2", "3"]

    async def test_for_two_days_is_given_up_without_blaming_the_address(self, world: World, clock: Clock) -> None:
        talk = await _talk(world)
        await _queue(world, talk, "1", kind="update")
        clock.advance(timedelta(hours=49))
        world.memory("chat").fail(Unavailable("down"))
        await world.sending.run(talk)
        [row] = await outgoing(world, "update")
        assert row.state == "failed"
        assert (await contact(world, "chat", "ana")).blocked_at is None
        [conversation] = await world.conversations()
        assert conversation.flag_reason == "undelivered"


class TestDyingInTheMiddle:
    """A0-3: `sending` of a dead process becomes `uncertain`; receipts go again under the same key, surveys never."""

    async def _die(self, world: World, kind: str) -> UUID:
        """The sender is killed while the provider has the message."""
        talk = await _talk(world)
        await _queue(world, talk, "1", kind=kind)
        await _queue(world, talk, "2")
        slow = _slow(world)
        slow.seconds = 60
        sender = asyncio.create_task(world.sending.run(talk))
        async with asyncio.timeout(5):
            while not slow.sent:
                await asyncio.sleep(0.005)
        sender.cancel()
        await asyncio.wait([sender])
        slow.seconds = 0
        slow.sent.clear()
        return talk

    async def test_a_receipt_is_sent_again_with_the_same_key(self, slow_world: World, clock: Clock) -> None:
        talk = await self._die(slow_world, "receipt")
        await slow_world.sending.run(talk)
        assert _texts(slow_world) == []  # it may still be under way: what is behind it waits
        clock.advance(timedelta(seconds=41))
        await slow_world.sending.run(talk)
        assert _texts(slow_world) == ["1", "2"]
        [row] = await outgoing(slow_world, "receipt")
        assert (row.state, row.attempts) == ("sent", 2)
        assert slow_world.sent("chat")[0].key == str(row.id)
        learned = await rows(slow_world, Delivery)
        assert sorted(one.state for one in learned if one.outgoing_id == row.id) == ["sent", "uncertain"]

    async def test_a_survey_is_never_sent_again(self, slow_world: World, clock: Clock) -> None:
        talk = await self._die(slow_world, "survey")
        clock.advance(timedelta(seconds=41))
        await slow_world.sending.run(talk)
        assert _texts(slow_world) == ["2"]
        [row] = await outgoing(slow_world, "survey")
        assert row.state == "uncertain"

    async def test_nor_are_the_bots_words_once_a_person_speaks(self, slow_world: World, clock: Clock) -> None:
        """P19: what was under way at the take-over is shown to the agent and not repeated."""
        talk = await self._die(slow_world, "answer")
        await slow_world.desk(await slow_world.agent()).take(talk)
        clock.advance(timedelta(seconds=41))
        await slow_world.sending.run(talk)
        assert [one.text for one in slow_world.sent("chat") if one.text in ("1", "2")] == []
        assert {one.text: one.state for one in await outgoing(slow_world) if one.text in ("1", "2")} == {
            "1": "uncertain",
            "2": "withdrawn",
        }

    async def test_nor_where_the_channel_forbids_it(self, slow_world: World, clock: Clock) -> None:
        _slow(slow_world).features = replace(CHAT, repeat_uncertain=False)
        talk = await self._die(slow_world, "receipt")
        clock.advance(timedelta(seconds=41))
        await slow_world.sending.run(talk)
        assert _texts(slow_world) == ["2"]

    async def test_the_sweep_finds_it(self, slow_world: World, clock: Clock) -> None:
        talk = await self._die(slow_world, "receipt")
        await _forget_wakes(slow_world)
        clock.advance(timedelta(seconds=41))
        await slow_world.ticker.sweep()
        assert await _wakes(slow_world) == [talk]


@pytest.mark.parametrize("kind", ["receipt", "survey"])
@pytest.mark.parametrize("trouble", ["hangs", "breaks"])
async def test_a_channel_that_hangs_or_breaks_may_have_sent_it(
    database_url: str, clock: Clock, tmp_path: Path, kind: str, trouble: str
) -> None:
    """No answer is not a no: `uncertain` is written down, and the repetition waits for its pause."""
    slow = Slow("chat", features=CHAT, now=clock)
    async with a_world(database_url, clock, tmp_path, channels={"chat": slow}) as world:
        talk = await _talk(world)
        world.sending = Sending(world.parts, patience=timedelta(seconds=0.05))
        slow.seconds = 30 if trouble == "hangs" else 0
        slow.error = KeyError("what a customer wrote") if trouble == "breaks" else None
        await _queue(world, talk, "1", kind=kind)
        for _ in range(3):
            await world.sending.run(talk)
        assert _texts(world) == ["1"]
        [row] = await outgoing(world, kind)
        assert row.state == ("uncertain" if kind == "survey" else "queued")
        assert "customer" not in (row.reason or "")
        slow.seconds, slow.error = 0.0, None
        clock.advance(timedelta(seconds=3))
        await world.sending.run(talk)
        assert _texts(world) == (["1"] if kind == "survey" else ["1", "1"])


async def test_withdrawn_rows_never_leave(world: World, clock: Clock) -> None:
    """R006: neither by a wake-up, nor by the sweep, nor by a late report."""
    talk = await _talk(world)
    await _queue(world, talk, "1")
    await world.desk(await world.agent()).take(talk)
    clock.advance(timedelta(minutes=5))
    await world.ticker.tick()
    await world.sending.run(talk)
    assert "1" not in _texts(world)


async def test_what_fails_after_the_take_over_is_not_tried_again(slow_world: World, clock: Clock) -> None:
    """P19: it was under way when a person took over, and the provider says later that it was too busy."""
    talk = await _talk(slow_world)
    slow = _slow(slow_world)
    await _queue(slow_world, talk, "1")
    slow.seconds, slow.error = 0.5, Unavailable("busy")
    sender = asyncio.create_task(slow_world.sending.run(talk))
    async with asyncio.timeout(5):
        while not slow.sent:
            await asyncio.sleep(0.005)
    await slow_world.desk(await slow_world.agent()).take(talk)
    await sender
    slow.seconds, slow.error = 0.0, None
    clock.advance(timedelta(minutes=1))
    await slow_world.sending.run(talk)
    assert _texts(slow_world).count("1") == 1
    [row] = [one for one in await outgoing(slow_world) if one.text == "1"]
    assert row.state == "withdrawn"


async def test_lost_wake_ups_are_healed_by_the_sweep(world: World, clock: Clock) -> None:
    """Design 4: the truth is in our tables."""
    await world.intake.keep("chat", world.memory("chat").write("ana", BROKEN))
    [talk] = await world.conversations()
    await _forget_wakes(world)
    clock.advance(timedelta(seconds=9))
    await world.ticker.sweep()
    assert await _wakes(world, "turn") == await _wakes(world) == []  # not yet
    clock.advance(timedelta(seconds=2))
    await world.ticker.sweep()
    assert await _wakes(world, "turn") == await _wakes(world) == [talk.id]
    await world.ticker.sweep()
    assert await _wakes(world) == [talk.id]  # one too many changes nothing
    await world.settle(talk.id)
    assert len(_texts(world)) == 2


async def test_an_account_that_left_the_configuration_fails_with_its_name(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    """The row is on the list of what did not arrive; the address is not blamed, and another way is taken."""
    async with a_world(database_url, clock, tmp_path) as world:
        talk = await _talk(world)
        await _queue(world, talk, "1", kind="update")
    mail = Memory("email", features=MAIL, now=clock)
    async with a_world(database_url, clock, tmp_path, channels={"email": mail}) as world:
        await world.sending.run(talk)
        [row] = await outgoing(world, "update")
        assert row.state == "failed"
        assert row.reason == "the account chat is no longer in config.yaml"
        assert (await contact(world, "chat", "ana")).blocked_at is None
        failed = await world.rooms(await world.agent()).undelivered()
        assert row.id in [one.id for one in failed]


async def test_a_message_that_an_agent_may_still_take_back_is_not_overtaken(world: World, clock: Clock) -> None:
    """P16: the closing question that follows the agent's words arrives after them."""
    talk = await _talk(world)
    await world.desk(await world.agent()).take(talk)
    await world.sending.run(talk)
    world.memory("chat").sent.clear()
    async with world.parts.database.transaction() as tx:
        conversation = await tx.conversations.locked(talk)
        assert conversation is not None
        given = {"author": conversation.speaker, "kind": "agent", "not_before": clock() + timedelta(seconds=5)}
        await write(world.parts, tx, conversation, Address("chat", "ana"), text="ya está", **given)  # type: ignore[arg-type]  # as above
    await _queue(world, talk, "¿Quedó bien resuelto?", author=conversation.speaker.replace("agent", "notice"))
    await world.sending.run(talk)
    assert _texts(world) == []
    clock.advance(timedelta(seconds=5))
    await world.sending.run(talk)
    assert _texts(world) == ["ya está", "¿Quedó bien resuelto?"]


async def test_a_failed_message_can_be_sent_again_and_really_leaves(world: World) -> None:
    """P15: "retry" reaches the provider, and an old report about the first attempt changes nothing."""
    talk = await _talk(world)
    world.memory("chat").fail(Undeliverable("blocked"))
    await _queue(world, talk, "1", kind="update")
    await world.sending.run(talk)
    [row] = await outgoing(world, "update")
    assert row.state == "failed"
    me = await world.agent()
    await world.desk(me).resend(row.id)
    [row] = await outgoing(world, "update")
    assert (row.state, row.sending_at) == ("queued", None)  # nobody is at it, and no answer under way is about it
    await world.sending.run(talk)
    assert _texts(world) == ["1"]
    [row] = await outgoing(world, "update")
    assert row.state == "sent"
    assert (await contact(world, "chat", "ana")).blocked_at is None


async def _wakes(world: World, kind: str = "send") -> list[UUID]:
    async with world.parts.database.transaction() as tx:
        found = await (await tx.session.connection()).exec_driver_sql(
            f"SELECT args->>'key' FROM procrastinate_jobs WHERE task_name = '{kind}' AND status = 'todo'"
        )
        return [UUID(row[0]) for row in found]


async def _forget_wakes(world: World) -> None:
    async with world.parts.database.transaction() as tx:
        await (await tx.session.connection()).exec_driver_sql("DELETE FROM procrastinate_jobs")


async def test_a_row_whose_sender_was_only_slow_is_not_sent_again(world: World, clock: Clock) -> None:
    """The provider's answer is being written, without the conversation's lock, while another worker takes it up."""
    talk = await world.write("chat", "ana", "hola")
    before = len(world.sent("chat"))
    last = (await outgoing(world))[-1]
    async with world.parts.database.transaction() as tx:
        row = await tx.outbox.get(last.id, lock=True)
        assert row is not None
        row.state, row.sending_at = "sending", clock()
    clock.advance(timedelta(minutes=5))
    async with world.parts.database.transaction() as tx:
        row = await tx.outbox.get(last.id, lock=True)
        assert row is not None
        tx.outbox.learn(row, "sent", clock())
        await tx.flush()
        another = asyncio.create_task(world.sending.run(talk))
        await somebody_waits(world)
    await another
    after = (await outgoing(world))[-1]
    assert (after.state, after.attempts, len(world.sent("chat"))) == ("sent", last.attempts, before)
