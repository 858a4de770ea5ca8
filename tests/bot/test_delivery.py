"""What became of what was sent, and the other way when it did not arrive."""

from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from bot.desk import Upload
from channels.channel import DeliveryReport, Unavailable, Undeliverable
from channels.webchat import WebChat
from storage.outbox import RANK, may_become
from storage.tables import Attachment, CaseEvent, Delivery, Outgoing
from tests.bot.rows import contact, outgoing, rows, send_all
from tests.conftest import Clock
from tests.world import World

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
REPORTED = ("sent", "delivered", "read", "failed")
HEIGHT = {**RANK, "failed": 3.5, "withdrawn": 9}  # delivered proves a failure wrong; nothing proves a delivery wrong


@given(st.sampled_from([*RANK, "failed", "withdrawn"]), st.lists(st.sampled_from(REPORTED), max_size=12))
def test_no_order_and_no_repetition_of_reports_takes_a_delivery_back(state: str, reports: list[str]) -> None:
    """A0-4: the height never falls, and the end is that of the same reports in any other order."""
    start, climbed = state, [state]
    for report in reports:
        if may_become(state, report):
            state = report
        climbed.append(state)
    assert [HEIGHT[one] for one in climbed] == sorted(HEIGHT[one] for one in climbed)
    if start == "withdrawn":
        assert state == "withdrawn"
    assert state == max([start, *reports], key=lambda one: HEIGHT[one]) or start == "withdrawn"


async def test_reports_move_a_row_up_and_are_all_written_down(world: World, clock: Clock) -> None:
    """R095: read before delivered, twice each, and a failure that comes late."""
    await world.write("chat", "ana", BROKEN)
    [receipt] = await outgoing(world, "receipt")
    for state in ("read", "delivered", "delivered", "failed", "read", "sent"):
        clock.advance(timedelta(seconds=1))
        await _report(world, receipt, state)
    [row] = await outgoing(world, "receipt")
    assert (row.state, row.read_at) == ("read", clock() - timedelta(seconds=5))
    learned = [one for one in await rows(world, Delivery) if one.outgoing_id == row.id]
    assert len(learned) == 1 + 6
    assert len(await outgoing(world)) == 2  # nothing took another way


async def test_a_report_about_nothing_that_we_know_is_passed_over(world: World, clock: Clock) -> None:
    """A provider's other traffic."""
    report = DeliveryReport(account="chat", provider_id="chat:999", state="failed", at=clock())
    assert await world.intake.keep("chat", report) is None


class TestAnotherWay:
    """R096 A0-7: what matters and did not arrive goes to the next proved address, else to the agents' list."""

    async def _two_ways(self, world: World) -> UUID:
        """Ana reports in the chat and has proved her Telegram, which she prefers."""
        talk = await world.write("chat", "ana", BROKEN)
        ana = await contact(world, "chat", "ana")
        async with world.parts.database.transaction() as tx:
            other = await tx.people.add_contact(ana.person_id, "telegram", "77", verified_by="link")
            (await tx.people.get(ana.person_id)).preferred_contact_id = other.id
        return talk

    async def _move(self, world: World, talk: UUID, state: str = "en_investigacion") -> None:
        me = await world.agent()
        await world.desk(me).move(talk, state)
        await send_all(world)

    async def test_news_go_to_the_preferred_channel(self, world: World) -> None:
        """R002."""
        talk = await self._two_ways(world)
        before = len(world.sent("chat"))
        await self._move(world, talk)
        assert len(world.sent("telegram", "77")) == 1
        assert len(world.sent("chat")) == before

    async def test_an_undeliverable_message_goes_to_the_next_address_and_the_case_says_so(self, world: World) -> None:
        talk = await self._two_ways(world)
        world.memory("telegram").fail(Undeliverable("bot was blocked by the user"))
        before = len(world.sent("chat"))
        await self._move(world, talk)
        [copy] = world.sent("chat")[before:]
        failed, sent = sorted(await outgoing(world, "update"), key=lambda one: one.state)
        assert (failed.state, sent.state, sent.fallback_of) == ("failed", "sent", failed.id)
        assert copy.text == failed.text
        assert failed.fallback_at is not None
        assert (await contact(world, "telegram", "77")).blocked_at is not None
        [event] = [one for one in await rows(world, CaseEvent, "number") if one.kind == "undelivered"]
        assert event.data["next"] == "chat"
        assert await world.rooms(await world.agent("x", "X")).undelivered() == []
        # and the next news do not even try the dead one
        await self._again(world, talk)
        assert len(world.sent("telegram")) == 0

    async def _again(self, world: World, talk: UUID) -> None:
        me = await world.agent("marta", "Marta")
        await world.desk(me).move(talk, "propuesta")
        await send_all(world)

    async def test_a_report_of_failure_does_the_same(self, world: World) -> None:
        """A bounce hours later."""
        talk = await self._two_ways(world)
        await self._move(world, talk)
        [update] = await outgoing(world, "update")
        before = len(world.sent("chat"))
        for _ in range(2):
            await _report(world, update, "failed")
            await send_all(world)
        assert len(world.sent("chat")) == before + 1

    async def test_what_was_given_up_goes_the_other_way_and_not_the_same_again(
        self, world: World, clock: Clock
    ) -> None:
        """Two days without the provider: the address is not blamed, and still it is not the next one."""
        talk = await self._two_ways(world)
        world.memory("telegram").fail(Unavailable("down"), times=9)
        before = len(world.sent("chat"))
        await self._move(world, talk)
        clock.advance(timedelta(hours=49))
        await send_all(world)
        assert len(world.sent("chat")) == before + 1
        assert (await contact(world, "telegram", "77")).blocked_at is None

    async def test_without_another_address_it_is_the_agents(self, world: World, clock: Clock) -> None:
        """A0-7: and it stays on the list of what did not arrive, until somebody sends it again."""
        talk = await world.write("chat", "ana", BROKEN)
        world.memory("chat").fail(Undeliverable("gone"))
        await self._move(world, talk)
        [conversation] = await world.conversations()
        assert (conversation.flag_reason, conversation.flagged_at) == ("undelivered", clock())
        me = await world.agent("x", "X")
        [lost] = await world.rooms(me).undelivered()
        assert lost.reason == "gone"
        await world.desk(me).resend(lost.id)
        await world.sending.run(talk)
        [row] = await outgoing(world, "update")
        assert row.state == "sent"
        assert await world.rooms(me).undelivered() == []

    async def test_an_answer_that_nobody_got_takes_no_other_way(self, world: World) -> None:
        """Only what matters is worth a second channel."""
        await self._two_ways(world)
        world.memory("chat").fail(Undeliverable("gone"))
        await world.write("chat", "ana", "gracias")
        assert world.sent("telegram") == []

    async def test_an_agents_file_goes_along(self, world: World) -> None:
        talk = await self._two_ways(world)
        me = await world.agent()
        await world.desk(me).take(talk)
        await world.sending.run(talk)
        world.memory("chat").fail(Undeliverable("gone"))
        await _reply_with_file(world, me.id, talk)
        await send_all(world)
        [copy] = [one for one in world.sent("telegram") if one.files]
        assert (copy.text, copy.files[0].name) == ("mira", "guía.txt")

    async def test_a_text_too_long_for_the_other_channel_is_cut_not_lost(self, world: World) -> None:
        """A mail of 9,000 letters becomes three messages."""
        ana = await world.write("email", "ana@x.example", BROKEN, thread="t", authentic=True)
        mail = await contact(world, "email", "ana@x.example")
        async with world.parts.database.transaction() as tx:
            await tx.people.add_contact(mail.person_id, "telegram", "77", verified_by="link")
        me = await world.agent()
        await world.desk(me).take(ana)
        await world.sending.run(ana)
        world.memory("email").fail(Undeliverable("no such mailbox"))
        await world.desk(me).reply(ana, "palabra " * 1125, key="1")
        await send_all(world)
        parts = [one.text for one in world.sent("telegram")]
        assert len(parts) == 3
        assert max(map(len, parts)) <= 4096
        assert " ".join(parts).split() == ["palabra"] * 1125

    async def test_nobody_is_written_to_who_wants_nothing(self, world: World, clock: Clock) -> None:
        """R098 A0-10: opted out here, blocked there: the agents' list, and not a word."""
        talk = await self._two_ways(world)
        async with world.parts.database.transaction() as tx:
            one, other = await tx.people.contact("chat", "ana"), await tx.people.contact("telegram", "77")
            assert one is not None
            assert other is not None
            one.opted_out_at, other.blocked_at = clock(), clock()
        before = len(world.sent("chat"))
        await self._move(world, talk)
        assert len(world.sent("chat")) == before
        assert world.sent("telegram") == []
        assert [one.flag_reason for one in await world.conversations()] == ["unreachable"]

    async def test_a_mail_thread_without_proof_still_gets_its_news(self, world: World) -> None:
        """From where the case was reported news may go, proved or not: it is where they wait for them."""
        talk = await world.write("email", "ana@x.example", BROKEN, thread="t", authentic=False)
        await self._move(world, talk)
        assert "en_investigacion" not in world.sent("email")[-1].text
        assert len(await outgoing(world, "update")) == 1
        assert [one.flag_reason for one in await world.conversations()] == [None]


class TestAClosedPage:
    """Contract 7: what a web page did not show within 30 s goes to the proved address."""

    async def _page(self, world: World, *, reachable: bool) -> Outgoing:
        chat = world.parts.channels["webchat"]
        assert isinstance(chat, WebChat)
        inbound = chat.inbound("browser-1", "c1", BROKEN, sent_at=world.clock())
        await world.keep(inbound)
        if reachable:
            ana = await contact(world, "webchat", "browser-1")
            async with world.parts.database.transaction() as tx:
                await tx.people.add_contact(ana.person_id, "email", "ana@x.example", verified_by="code")
        [receipt] = await outgoing(world, "receipt")
        return receipt

    async def _wait(self, world: World, clock: Clock, seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))
        await world.ticker.tick()
        await send_all(world)

    async def test_unread_news_fall_back_once(self, world: World, clock: Clock) -> None:
        receipt = await self._page(world, reachable=True)
        await self._wait(world, clock, 29)
        assert world.sent("email") == []
        for _ in range(3):
            await self._wait(world, clock, 10)
        [mail] = world.sent("email", "ana@x.example")
        assert mail.text.startswith(receipt.text)  # and its choices, numbered

    async def test_a_page_that_was_there_is_enough(self, world: World, clock: Clock) -> None:
        receipt = await self._page(world, reachable=True)
        await _report(world, receipt, "delivered")
        await self._wait(world, clock, 60)
        assert world.sent("email") == []

    async def test_without_an_address_it_waits_for_them(self, world: World, clock: Clock) -> None:
        await self._page(world, reachable=False)
        await self._wait(world, clock, 60)
        [conversation] = await world.conversations()
        assert conversation.flagged_at is None


async def _report(world: World, row: Outgoing, state: str) -> None:
    assert row.provider_id is not None
    report = DeliveryReport(account=row.account, provider_id=row.provider_id, state=state, at=world.clock())
    await world.intake.keep(row.account, report)


async def _reply_with_file(world: World, agent_id: UUID, talk: UUID) -> None:
    me = await world.agent_by_mark(f"agent:{agent_id}")
    await world.desk(me).reply(talk, "mira", key="1", files=[Upload("guía.txt", b"paso 1")])
    assert [one.name for one in await rows(world, Attachment)] == ["guía.txt"]
