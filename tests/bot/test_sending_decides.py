"""What is decided when a message leaves: the window, what a failure means, consent, hours."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from bot.contact_hours import allowed_at, rules
from bot.outbound import outbound
from bot.sending import Sending
from bot.writing import write
from channels.channel import Address, Channel, DeliveryReport, Outbound, Unavailable, Undeliverable
from channels.memory import Memory
from storage.tables import Consent, Delivery, Outgoing
from tests.bot.rows import contact, outgoing, rows, send_all
from tests.conftest import Clock
from tests.world import CHAT, MAIL, NUBE, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
DAY = timedelta(hours=24)


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """A chat with a window of a day and receipts, a Telegram without, and a mailbox."""
    windowed = replace(CHAT, free_text_window=DAY, receipts=True)
    channels: dict[str, Channel] = {
        "chat": Memory("chat", features=windowed, now=clock),
        "telegram": Memory("telegram", features=CHAT, now=clock),
        "email": Memory("email", features=MAIL, now=clock),
    }
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        yield made


async def _queue(world: World, talk: UUID, text: str, **values: object) -> None:
    async with world.parts.database.transaction() as tx:
        conversation = await tx.conversations.locked(talk)
        assert conversation is not None
        case = await tx.cases.get(conversation.case_id) if conversation.case_id else None
        given = {"author": "notice:x", "kind": "update", "case": case} | values
        await write(world.parts, tx, conversation, Address("chat", "ana"), text=text, **given)  # type: ignore[arg-type]  # mypy cannot see which of the named ones these are


async def _talk(world: World, *, other: bool = False) -> UUID:
    """Ana has a case; with `other`, also a proved Telegram."""
    talk = await world.write("chat", "ana", BROKEN, name="Ana Gómez")
    if other:
        ana = await contact(world, "chat", "ana")
        async with world.parts.database.transaction() as tx:
            await tx.people.add_contact(ana.person_id, "telegram", "77", verified_by="link")
    world.memory("chat").sent.clear()
    return talk


async def _report(world: World, row: Outgoing, state: str = "failed", **values: object) -> None:
    given = {"provider_id": row.provider_id, "at": world.clock(), "account": row.account} | values
    await world.intake.keep(row.account, DeliveryReport(state=state, **given))


class TestTheWindow:
    """P1 P2: free text within 24 hours of the person's last words by the provider's clock, a template after."""

    @pytest.mark.parametrize(
        ("passed", "opened"),
        [(DAY - timedelta(seconds=1), True), (DAY, False), (DAY + timedelta(seconds=1), False)],
    )
    async def test_P1_a_second_decides(self, world: World, clock: Clock, passed: timedelta, opened: bool) -> None:
        talk = await _talk(world)
        clock.advance(passed)
        await _queue(world, talk, "noticias")
        await world.sending.run(talk)
        [sent] = world.sent("chat")
        assert sent.window_open is opened

    async def test_P1_it_is_decided_when_the_message_leaves_and_not_when_it_was_written(
        self, world: World, clock: Clock
    ) -> None:
        talk = await _talk(world)
        clock.advance(DAY - timedelta(minutes=1))
        world.memory("chat").fail(Unavailable("down", retry_after=timedelta(minutes=2)))
        await _queue(world, talk, "noticias")
        await world.sending.run(talk)
        clock.advance(timedelta(minutes=3))
        await world.sending.run(talk)
        assert [one.window_open for one in world.sent("chat")] == [False]

    async def test_P16_the_provider_s_time_counts(self, world: World, clock: Clock) -> None:
        """A message that lay somewhere for 20 hours opens the window for 4."""
        talk = await world.write("chat", "ana", BROKEN, sent_at=clock() - timedelta(hours=20))
        clock.advance(timedelta(hours=4, seconds=1))
        await _queue(world, talk, "noticias")
        await world.sending.run(talk)
        assert world.sent("chat")[-1].window_open is False

    async def test_P2_a_template_gets_what_it_needs(self, world: World, clock: Clock) -> None:
        talk = await _talk(world)
        [case] = await world.cases()
        clock.advance(3 * DAY)
        await _queue(world, talk, "Ya lo revisamos.")
        await world.sending.run(talk)
        [sent] = world.sent("chat")
        assert sent.kind == "update"
        assert dict(sent.blanks) == {
            "name": "Ana",
            "code": case.code,
            "date": sent.blanks["date"],
            "text": "Ya lo revisamos.",
        }
        assert sent.blanks["date"] == "martes 24 de marzo"

    async def test_a_channel_without_a_window_is_always_open(self, world: World, clock: Clock) -> None:
        talk = await world.write("telegram", "77", BROKEN)
        clock.advance(9 * DAY)
        row = (await outgoing(world, "receipt"))[0]
        async with world.parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(talk)
            assert conversation is not None
            made = await outbound(world.parts, tx, conversation, row)
        assert (made.window_open, dict(made.blanks)) == (True, {})

    async def test_63016_sends_the_same_once_more_as_a_template_and_only_once(self, world: World) -> None:
        talk = await _talk(world)
        await _queue(world, talk, "noticias")
        await world.sending.run(talk)
        [row] = await outgoing(world, "update")
        for _ in range(3):  # the provider repeats itself
            await _report(world, row, means="window", permanent=False, key=str(row.id))
            await world.sending.run(talk)
        assert [one.window_open for one in world.sent("chat")] == [True, False]
        [again] = await outgoing(world, "update")
        assert (again.state, again.attempts) == ("sent", 2)
        await _report(world, again, means="window", permanent=False)
        await world.sending.run(talk)
        assert [one.state for one in await outgoing(world, "update")] == ["failed"]
        assert len(world.sent("chat")) == 2


class TestALimitOfTheAccount:
    """A.1, 63018 and 63038: the same again later, managers are told, and what may wait does not use the limit up."""

    async def _limited(self, world: World, *, early: bool = False) -> UUID:
        talk = await _talk(world)
        await _queue(world, talk, "noticias")
        [row] = await outgoing(world, "update")
        told: dict[str, Any] = {
            "means": "later",
            "retries": (timedelta(minutes=5),),
            "alert": True,
            "reason": "twilio 63018",
        }
        if early:  # the callback is faster than our own commit
            await _report(world, row, provider_id="chat:2", permanent=False, **told)
        await world.sending.run(talk)
        if not early:
            [row] = await outgoing(world, "update")
            await _report(world, row, permanent=False, **told)
        return talk

    @pytest.mark.parametrize("early", [False, True])
    async def test_managers_are_told_though_it_is_tried_again(self, world: World, early: bool) -> None:
        await self._limited(world, early=early)
        assert [one.state for one in await outgoing(world, "update")] == ["queued"]
        async with world.parts.database.transaction() as tx:
            _, faults = await tx.faults.open()
        assert [(one.account, one.reason) for one in faults] == [("chat", "twilio 63018")]

    async def test_surveys_wait_and_cases_do_not(self, world: World, clock: Clock) -> None:
        talk = await self._limited(world)
        before = len(world.sent("chat"))
        await _queue(world, talk, "¿Cómo te fue?", kind="survey")
        await _queue(world, talk, "Ya salió.", kind="agent")
        clock.advance(timedelta(minutes=6))
        await world.sending.run(talk)
        assert [one.text for one in world.sent("chat")[before:]] == ["noticias", "Ya salió."]
        clock.advance(timedelta(hours=7))
        await world.sending.run(talk)
        assert [one.text for one in world.sent("chat")[before:]][-1] == "¿Cómo te fue?"


class TestWhatAFailureMeans:
    """A.1: the address, the wish of the person, this message only, or try later."""

    @pytest.mark.parametrize(
        ("means", "blocked", "opted_out"),
        [("address", True, False), ("opted_out", False, True), ("message", False, False), ("account", False, False)],
    )
    @pytest.mark.parametrize("at_once", [True, False])
    async def test_of_each_the_address_keeps_what_follows_and_the_words_go_another_way(
        self, world: World, means: str, blocked: bool, opted_out: bool, at_once: bool
    ) -> None:
        talk = await _talk(world, other=True)
        if at_once:
            if means == "account":
                return  # only a report says so
            world.memory("chat").fail(Undeliverable("no", means=means))  # type: ignore[arg-type]  # one of these
        await _queue(world, talk, "noticias")
        await world.sending.run(talk)
        if not at_once:
            [row] = await outgoing(world, "update")
            await _report(world, row, means=means)
        await send_all(world)
        ana = await contact(world, "chat", "ana")
        assert (ana.blocked_at is not None, ana.opted_out_at is not None) == (blocked, opted_out)
        assert [one.text for one in world.sent("telegram")] == ["noticias"]
        assert len(await rows(world, Consent)) == opted_out

    async def test_later_comes_again_after_each_pause_and_then_takes_another_way(
        self, world: World, clock: Clock
    ) -> None:
        """30003: off or without coverage; 5 minutes, an hour, then the next channel. The address stays good."""
        talk = await _talk(world, other=True)
        await _queue(world, talk, "noticias")
        pauses = (timedelta(minutes=5), timedelta(hours=1))
        for sent in (1, 2, 3):
            await world.sending.run(talk)
            assert len(world.sent("chat")) == sent
            [row] = await outgoing(world, "update")
            await _report(world, row, means="later", retries=pauses, permanent=False)
            await world.sending.run(talk)
            assert len(world.sent("chat")) == sent
            clock.advance(pauses[min(sent, 2) - 1])
        await send_all(world)
        assert [one.text for one in world.sent("telegram")] == ["noticias"]
        assert (await contact(world, "chat", "ana")).blocked_at is None

    async def test_an_attempt_that_is_over_can_only_have_arrived(self, world: World, clock: Clock) -> None:
        """Its failure and its `sent` come late and mean nothing; but if the person has it, it need not go again."""
        talk = await _talk(world)
        await _queue(world, talk, "noticias")
        await world.sending.run(talk)
        [first] = await outgoing(world, "update")
        await _report(world, first, means="later", retries=(DAY,), permanent=False)
        for state in ("failed", "sent"):
            await _report(world, first, state, means="message", key=str(first.id))
            [row] = await outgoing(world, "update")
            assert row.state == "queued"
        await _report(world, first, "delivered", key=str(first.id))
        clock.advance(2 * DAY)
        await world.sending.run(talk)
        assert len(world.sent("chat")) == 1
        assert [one.state for one in await outgoing(world, "update")] == ["delivered"]


class TestAReportThatIsFasterThanWeAre:
    """Its message has no id yet when it comes: by our key it finds the row, without one it is kept until it can."""

    @pytest.mark.parametrize("with_key", [True, False])
    @pytest.mark.parametrize("state", ["delivered", "failed"])
    async def test_it_is_not_lost(
        self, database_url: str, clock: Clock, tmp_path: Path, with_key: bool, state: str
    ) -> None:
        class Quick(Memory):
            """Its report is with us before its answer."""

            async def send(self, message: Outbound) -> str:
                given = await super().send(message)
                if message.text == "noticias":
                    key = message.key if with_key else None
                    told = DeliveryReport(
                        account="chat", provider_id=given, state=state, at=clock(), key=key, means="message"
                    )
                    await made.intake.keep("chat", told)
                return given

        quick: dict[str, Channel] = {"chat": Quick("chat", features=CHAT, now=clock)}
        async with a_world(database_url, clock, tmp_path, channels=quick) as made:
            talk = await _talk(made)
            await _queue(made, talk, "noticias")
            await made.sending.run(talk)
            [row] = await outgoing(made, "update")
            assert row.state == state
            assert row.provider_id is not None
            assert len(made.sent("chat")) == 1
            told = [one.state for one in await rows(made, Delivery) if one.outgoing_id == row.id]
            assert sorted(told) == sorted(["sent", state])

    async def test_the_sweep_finds_what_crossed_and_drops_what_is_nobody_s(self, world: World, clock: Clock) -> None:
        """Both wrote at the same moment and neither saw the other; and another system's reports are forgotten."""
        talk = await _talk(world)
        await _queue(world, talk, "noticias")
        await world.sending.run(talk)
        [row] = await outgoing(world, "update")
        async with world.parts.database.transaction() as tx:
            for name in (row.provider_id or "", "foreign"):
                await tx.early.keep("chat", name, "read", clock(), {"reason": None})
        await world.ticker.sweep()
        assert [one.state for one in await outgoing(world, "update")] == ["read"]
        clock.advance(timedelta(minutes=61))
        await world.ticker.tick()
        async with world.parts.database.transaction() as tx:
            assert await tx.early.claim("chat", "foreign") == []


class TestConsent:
    """Per address and purpose, with who, when and how."""

    @pytest.mark.parametrize(
        ("refused", "kind", "leaves"),
        [
            ("survey", "survey", False),
            ("survey", "update", True),
            ("broadcast", "survey", True),
            ("case", "update", False),
            ("case", "answer", True),
            ("everything", "agent", False),
            ("everything", "answer", False),
            ("everything", "ack", False),
            ("everything", "receipt", False),
            ("everything", "code", True),
            ("case", "receipt", True),
        ],
    )
    async def test_what_was_refused_does_not_leave(self, world: World, refused: str, kind: str, leaves: bool) -> None:
        talk = await _talk(world, other=True)
        ana = await contact(world, "chat", "ana")
        async with world.parts.database.transaction() as tx:
            own = await tx.people.contact_by_id(ana.id)
            tx.people.consent(own, (refused,), False, who="person", how="BAJA")
        await _queue(world, talk, "hola", kind=kind)
        await send_all(world)
        assert len(world.sent("chat")) == leaves
        assert len(world.sent("telegram")) == (not leaves and kind in ("update", "agent", "receipt"))
        [told] = await rows(world, Consent)
        assert (told.who, told.how, told.given, told.purpose) == ("person", "BAJA", False, refused)

    async def test_a_complaint_ends_what_nobody_asked_for_and_the_message_did_arrive(self, world: World) -> None:
        """ARF: it is no failure, so nothing goes another way."""
        talk = await _talk(world, other=True)
        await _queue(world, talk, "noticias")
        await world.sending.run(talk)
        [row] = await outgoing(world, "update")
        await _report(world, row, "delivered", means="opted_out", reason="complaint: abuse")
        ana = await contact(world, "chat", "ana")
        assert ana.consent == {"survey": False, "broadcast": False, "marketing": False}
        assert ana.opted_out_at is None
        await send_all(world)
        assert world.sent("telegram") == []


class TestContactHours:
    """L-13: Ley 2300: surveys on weekdays 7-19 and Saturdays 8-15, never on Sundays and holidays; news always."""

    @pytest.mark.parametrize(
        ("now", "then"),
        [
            ("2026-11-24T06:59", "2026-11-24T07:00"),
            ("2026-11-24T18:59", "2026-11-24T18:59"),
            ("2026-11-24T19:00", "2026-11-25T07:00"),
            ("2026-11-28T14:59", "2026-11-28T14:59"),
            ("2026-11-28T15:00", "2026-11-30T07:00"),
            ("2026-12-07T20:00", "2026-12-09T07:00"),  # the 8th is a holiday
        ],
    )
    def test_L13_the_next_allowed_moment(self, now: str, then: str) -> None:
        bogota = timedelta(hours=5)
        at, expected = (datetime.fromisoformat(one).replace(tzinfo=UTC) + bogota for one in (now, then))
        assert allowed_at(NUBE, "survey", at) == expected
        assert allowed_at(NUBE, "case", at) == at
        assert rules()["CO"].source

    async def test_L13_a_survey_waits_for_the_morning_and_news_do_not(self, world: World, clock: Clock) -> None:
        talk = await _talk(world)
        clock.moment = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)  # 20:00 in Bogotá
        await _queue(world, talk, "encuesta", kind="survey")
        await world.sending.run(talk)
        assert world.sent("chat") == []
        [row] = await outgoing(world, "survey")
        assert row.not_before == datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
        clock.moment = row.not_before
        await world.sending.run(talk)
        assert [one.text for one in world.sent("chat")] == ["encuesta"]

    async def test_L13_what_waits_for_the_morning_holds_back_no_news(self, world: World, clock: Clock) -> None:
        talk = await _talk(world)
        clock.moment = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
        await _queue(world, talk, "encuesta", kind="survey")
        await _queue(world, talk, "noticias")
        await world.sending.run(talk)
        assert [one.text for one in world.sent("chat")] == ["noticias"]


async def test_a_clock_that_goes_on_puts_nothing_off(world: World, clock: Clock) -> None:
    """The moments of one decision differ by a little; that must not make a row wait for the next one for ever."""
    talk = await _talk(world)
    await _queue(world, talk, "Tu caso avanza.")

    def ticking() -> datetime:
        clock.advance(timedelta(milliseconds=1))
        return clock()

    async with asyncio.timeout(20):
        await Sending(replace(world.parts, now=ticking)).run(talk)
    assert [one.text for one in world.memory("chat").sent] == ["Tu caso avanza."]
