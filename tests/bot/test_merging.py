"""P9: two cases of one person become one. Both codes stay valid, the customer is told once, and it can be undone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlmodel import select

from bot import states
from bot.delivery import Deliveries
from bot.joins import Joins
from bot.merging import Merging
from bot.refusals import AlreadyTaken, CannotMerge, Empty, NotPossible
from bot.views import Me
from channels.channel import DeliveryReport, Media
from storage.counted import CasesCounted
from storage.tables import Audit, Case, CaseEvent, CaseMessage, Conversation, Merge, Message, Outgoing, Timer
from tests.bot.rows import contact, messages, outgoing, rows, send_all, somebody_waits
from tests.conftest import Clock
from tests.world import CHAT, MAIL, Linked, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
RUDE = "Me quejo de la cajera de la sede Centro: fue muy grosera conmigo ayer."
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
WHY = "Es la misma compra"


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """A chat, Telegram and mail."""
    channels: dict[str, Any] = {
        "chat": Linked("chat", features=CHAT, now=clock),
        "telegram": Linked("telegram", features=CHAT, now=clock),
        "email": Linked("email", features=MAIL, now=clock),
    }
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        yield made


@pytest_asyncio.fixture
async def pedro(world: World) -> Me:
    return await world.agent()


async def two_cases(world: World, clock: Clock) -> tuple[Case, Case]:
    """Ana wrote by mail on Monday and in the chat on Wednesday; both addresses are proved to be hers."""
    await world.write("email", "ana@x.example", BROKEN, thread="1", media=(Media(name="foto.png", content=PNG),))
    clock.advance(timedelta(days=2))
    await world.write("chat", "ana", RUDE)
    mail = await contact(world, "email", "ana@x.example")
    async with world.parts.database.transaction() as tx:
        person = await tx.people.get(mail.person_id)
        await Joins(world.parts, tx).prove(person, "chat", "ana", "code")
        await Joins(world.parts, tx).prove(person, "email", "ana@x.example", "code")
        person.preferred_contact_id = mail.id
    older, newer = await world.cases()
    assert older.person_id == newer.person_id
    clock.advance(timedelta(minutes=5))
    return older, newer


async def merge(world: World, me: Me, case: Case, into: Case, reason: str = WHY) -> UUID:
    found = await Merging(world.parts, me).merge(case.code, into.code, reason)
    await send_all(world)
    return found


async def undo(world: World, me: Me) -> None:
    standing = [one for one in await rows(world, Merge) if one.undone_at is None]
    await Merging(world.parts, me).undo(standing[-1].id)
    await send_all(world)


async def case_of(world: World, code: str) -> Case:
    return next(one for one in await world.cases() if one.code == code)


async def everything(world: World) -> list[Any]:
    """All that a merge may touch, but for the history, which grows."""
    telling = {"last_event", "last_hash", "updated_at"}
    return [
        [one.model_dump(exclude=telling) for one in await rows(world, Case)],
        [
            (one.id, one.case_id, one.state, one.speaker, one.closed_at, one.flagged_at)
            for one in await rows(world, Conversation)
        ],
        sorted((one.case_id, one.entry_id) for one in await rows(world, CaseMessage, "case_id, entry_id")),
        [(one.key, one.due_at, one.done_at) for one in await rows(world, Timer)],
    ]


class TestOneCase:
    async def test_P9_the_customer_is_told_once_on_the_preferred_channel(
        self, world: World, clock: Clock, pedro: Me
    ) -> None:
        older, newer = await two_cases(world, clock)
        before = len(await outgoing(world))
        await merge(world, pedro, newer, older)
        [told] = (await world.outgoing())[before:]
        assert (told.kind, told.author, told.account, told.state) == (
            "update", f"notice:{pedro.id}", "email", "sent",
        )  # fmt: skip
        assert newer.code in told.text and older.code in told.text
        assert "24 de marzo" in told.text and "siguen sirviendo" in told.text

    async def test_P9_both_codes_answer_for_the_case_that_goes_on_everywhere(
        self, world: World, clock: Clock, pedro: Me
    ) -> None:
        older, newer = await two_cases(world, clock)
        await merge(world, pedro, newer, older)
        await world.desk(pedro).move((await world.conversations())[0].id, "en_investigacion")
        for account, sender in (("chat", "ana"), ("telegram", "a stranger"), ("email", "other@x.example")):
            for code in (older.code, newer.code, newer.code.removeprefix("PQR-").lower()):
                await world.write(account, sender, f"¿cómo va el caso {code}?", thread=f"{account}{code}")
                answer = world.sent(account, sender)[-1].text
                assert older.code in answer and "en revisión" in answer, (account, code, answer)
        found = [await world.rooms(pedro).search(code) for code in (older.code, newer.code, newer.code[4:].lower())]
        assert found[0] == found[1] == found[2] != []
        assert {line.code for line in found[0]} == {older.code}

    async def test_P9_a_mail_to_the_old_code_goes_on_in_the_case(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        await merge(world, pedro, newer, older)
        talk = await world.write("email", "ana@x.example", "¿qué hay de nuevo?", tokens=(newer.code,), key="new")
        [line] = [one for one in await world.conversations() if one.id == talk]
        assert line.case_id == older.id
        assert talk == (await world.conversations())[0].id

    async def test_P9_the_term_that_ends_first_counts_whichever_way_they_are_merged(
        self, world: World, clock: Clock, pedro: Me
    ) -> None:
        older, newer = await two_cases(world, clock)
        assert (older.due, newer.due) == (date(2026, 3, 24), date(2026, 3, 26))
        await merge(world, pedro, older, newer)
        now = await case_of(world, newer.code)
        assert (now.due, now.due_kind, now.due_reason["from_case"]) == (date(2026, 3, 24), "legal", older.code)
        talk = next(one.id for one in await world.conversations() if one.account == "chat")
        await world.desk(pedro).classify(talk, "peticion")
        assert (await case_of(world, newer.code)).due == date(2026, 3, 24), "a correction made the promise later"
        assert (await case_of(world, newer.code)).due_reason["received_at"] == newer.due_reason["received_at"]

    async def test_P9_facts_and_files_of_both_are_seen(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        talk = await merge(world, pedro, older, newer)
        chat = next(one for one in await world.conversations() if one.account == "chat")
        assert talk == chat.id
        room = await world.rooms(pedro).room(talk)
        assert room.case is not None
        assert "48213" in str(room.case.facts) and "evidence" in room.case.facts
        assert set(newer.facts) <= set(room.case.facts)
        assert [file.name for file in room.files] == ["foto.png"]
        [was] = room.merged
        assert (was.code, was.reason, was.by) == (older.code, WHY, "Pedro")
        assert room.other_cases == []

    async def test_P9_what_the_bot_had_for_it_is_over(self, world: World, clock: Clock, pedro: Me) -> None:
        """Its timers end, what waits does not leave, and what failed is not sent another way."""
        older, newer = await two_cases(world, clock)
        talk = next(one for one in await world.conversations() if one.case_id == newer.id)
        [receipt] = [one for one in await world.outgoing() if one.case_id == newer.id]
        async with world.parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(talk.id)
            assert conversation is not None
            later = clock() + timedelta(hours=1)
            told = {"address": "ana", "account": "chat", "author": "bot", "kind": "receipt", "text": "later"}
            tx.outbox.queue(conversation, case_id=newer.id, not_before=later, lines=[], buttons=[], **told)
        await merge(world, pedro, newer, older)
        async with world.parts.database.transaction() as tx:
            await Deliveries(world.parts).report(
                tx,
                DeliveryReport(
                    account="chat", provider_id=receipt.provider_id or "", state="failed", at=clock(), means="address"
                ),
            )
        before = len(await outgoing(world))
        clock.advance(timedelta(days=2))
        await world.ticker.tick()
        for one in await world.conversations():
            await world.settle(one.id)
        assert [one.state for one in await outgoing(world) if one.text == "later"] == ["withdrawn"]
        fresh = (await world.outgoing())[before:]
        assert all(one.case_id == older.id for one in fresh)
        assert not [one for one in await rows(world, Timer) if one.conversation_id == talk.id and one.done_at is None]

    async def test_P9_a_case_that_was_merged_twice_is_found_by_its_first_code(
        self, world: World, clock: Clock, pedro: Me
    ) -> None:
        older, newer = await two_cases(world, clock)
        await world.write("email", "ana@x.example", "Sugiero que abran los domingos", thread="2")
        third = (await world.cases())[-1]
        assert len({older.id, newer.id, third.id}) == 3
        await merge(world, pedro, newer, older)
        await merge(world, pedro, older, third)
        async with world.parts.database.transaction() as tx:
            found = await tx.cases.by_code(newer.code)
        assert found is not None and found.code == third.code
        with pytest.raises(CannotMerge, match="later"):
            await Merging(world.parts, pedro).undo((await rows(world, Merge, "at"))[0].id)

    async def test_P9_figures_count_it_once(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        start, end = clock() - timedelta(days=9), clock() + timedelta(days=1)
        await merge(world, pedro, newer, older)
        async with world.parts.database.transaction() as tx:
            standing = await tx.reports.standing(start, end, world.parts.today())
            mix = await tx.reports.channel_mix(start, end, "America/Bogota")
            types = await tx.reports.by_type(start, end)
            weeks = await tx.reports.understood(start, end, "America/Bogota")
            listed, total = await tx.reports.counted.cases(CasesCounted(opened=(start, end)), None, 10)
        assert ([one.code for one in listed], total) == ([older.code], 1)
        assert (standing.opened, standing.open) == (1, 1)
        assert sum(one.cases for one in mix) == sum(one.cases for one in types) == sum(one.cases for one in weeks) == 1

    async def test_P9_two_cases_in_one_chat(self, world: World, clock: Clock, pedro: Me) -> None:
        """The thread that only kept the older one is closed: the chat itself goes on with the case."""
        talk = await world.write("chat", "ana", "Felicito a Laura, me ayudó mucho")
        await world.write("chat", "ana", "sí")
        clock.advance(timedelta(minutes=1))
        await world.write("chat", "ana", RUDE)
        await world.write("chat", "ana", "", pressed="same:no")
        older, newer = await world.cases()
        before = await everything(world)
        for case, into in ((older, newer), (newer, older)):
            assert await merge(world, pedro, case, into) == talk
            page = await world.rooms(pedro).queue("open")
            assert [(line.id, line.code) for line in page.lines] == [(talk, into.code)]
            await undo(world, pedro)
            for was, now in zip(before, _all_of(before, await everything(world)), strict=True):
                assert now == was
            for one in (older, newer):
                assert {line.code for line in await world.rooms(pedro).search(one.code)} == {one.code}

    async def test_P9_end_to_end(self, world: World, clock: Clock, pedro: Me) -> None:
        """Merged, investigated, solved by the answer to either code: one case, one closing question, one solution."""
        older, newer = await two_cases(world, clock)
        talk = await merge(world, pedro, newer, older)
        await world.desk(pedro).resolve(talk)
        await send_all(world)
        asked = await outgoing(world, "closing")
        assert [one.code for one in asked] == [older.code]
        await world.write("chat", "ana", "", pressed=f"solved:yes@{newer.code}")
        now = await case_of(world, older.code)
        assert (now.status, now.solved_by) == ("cerrado", "customer")
        gone = await case_of(world, newer.code)
        assert (gone.solved_by, gone.status) == (None, newer.status)
        async with world.parts.database.transaction() as tx:
            assert await tx.cases.verify(older.id) and await tx.cases.verify(newer.id)


def _all_of(before: list[Any], after: list[Any]) -> list[Any]:
    """What was there before, as it is now: the notices that told of it, and a new thread for them, are more."""
    talks = {one[0] for one in before[1]}
    links = set(before[2])
    return [
        after[0],
        [one for one in after[1] if one[0] in talks],
        [one for one in after[2] if one in links],
        after[3],
    ]


class TestUndo:
    async def test_P9_undo_restores_both_exactly(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        for case, into in ((older, newer), (newer, older)):
            before = await everything(world)
            said = {one.id for one in await messages(world)} | {one.id for one in await outgoing(world)}
            await merge(world, pedro, case, into)
            assert await everything(world) != before
            await undo(world, pedro)
            after = await everything(world)
            for was, now in zip(before, _all_of(before, after), strict=True):
                assert now == was
            assert {one for one in after[2] if one[1] in said} == set(before[2]), "words of one stayed in the other"

    async def test_P9_what_was_said_since_is_not_lost(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        await merge(world, pedro, newer, older)
        clock.advance(timedelta(hours=1))
        await world.write("chat", "ana", "la sede era la del pedido 99112")
        await undo(world, pedro)
        said = next(one for one in await _people(world) if "99112" in one.text)
        linked = {one.case_id for one in await rows(world, CaseMessage, "case_id") if one.entry_id == said.id}
        assert newer.id in linked
        assert "99112" in str((await case_of(world, older.code)).facts), "the facts that were learned since are gone"
        assert "grosera" not in str((await case_of(world, older.code)).facts)

    async def test_P9_the_customer_is_told_that_it_is_over_only_if_told_before(
        self, world: World, clock: Clock, pedro: Me
    ) -> None:
        older, newer = await two_cases(world, clock)
        await Merging(world.parts, pedro).merge(newer.code, older.code, WHY)
        await undo(world, pedro)
        assert [one.state for one in await outgoing(world, "update")] == ["withdrawn"]
        clock.advance(timedelta(minutes=1))
        await merge(world, pedro, newer, older)
        clock.advance(timedelta(minutes=1))
        await undo(world, pedro)
        states_now = [(one.state, "otra vez por separado" in one.text) for one in await world.outgoing()][-2:]
        assert states_now == [("sent", False), ("sent", True)]

    async def test_P9_not_once_it_was_decided(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        talk = await merge(world, pedro, newer, older)
        await world.desk(pedro).move(talk, "en_investigacion")
        await world.desk(pedro).move(talk, "comunicado")
        before = await everything(world)
        with pytest.raises(CannotMerge) as refusal:
            await undo(world, pedro)
        assert refusal.value.reason == "decided"
        assert await everything(world) == before

    async def test_P9_once_only(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        await merge(world, pedro, newer, older)
        [standing] = await rows(world, Merge)
        await Merging(world.parts, pedro).undo(standing.id)
        with pytest.raises(CannotMerge) as refusal:
            await Merging(world.parts, pedro).undo(standing.id)
        assert refusal.value.reason == "parted"


class TestRefusals:
    async def test_P9_never_of_different_people(self, world: World, clock: Clock, pedro: Me) -> None:
        await world.write("chat", "ana", BROKEN)
        await world.write("chat", "luis", RUDE)
        ana, luis = await world.cases()
        before = await everything(world)
        with pytest.raises(CannotMerge, match="prove") as refusal:
            await merge(world, pedro, ana, luis)
        assert refusal.value.reason == "persons"
        assert await everything(world) == before

    async def test_P9_two_agents_at_once_one_wins_and_the_other_is_told(
        self, world: World, clock: Clock, pedro: Me
    ) -> None:
        older, newer = await two_cases(world, clock)
        marta = await world.agent("marta", "Marta")
        async with world.parts.database.transaction() as tx:
            for one in await tx.conversations.of_case(older.id, lock=True):
                assert one
            tries = [
                asyncio.create_task(Merging(world.parts, pedro).merge(newer.code, older.code, WHY)),
                asyncio.create_task(Merging(world.parts, marta).merge(older.code, newer.code, WHY)),
            ]
            await somebody_waits(world, 2)
        done = await asyncio.gather(*tries, return_exceptions=True)
        [told] = [one for one in done if isinstance(one, BaseException)]
        assert isinstance(told, CannotMerge) and told.reason == "gone"
        assert told.blanks["by"] in ("Pedro", "Marta")
        assert len(await rows(world, Merge)) == len(await outgoing(world, "update")) == 1

    async def test_P9_not_out_of_the_hands_of_a_colleague(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        marta = await world.agent("marta", "Marta")
        for case in (older, newer):
            talk = next(one.id for one in await world.conversations() if one.case_id == case.id)
            await world.desk(marta).take(talk)
            with pytest.raises(AlreadyTaken, match="Marta"):
                await merge(world, pedro, newer, older)
            await world.desk(marta).give_back(talk)

    async def test_P9_one_speaker_in_all_of_it(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        talk = next(one.id for one in await world.conversations() if one.case_id == newer.id)
        await world.desk(pedro).take(talk)
        await merge(world, pedro, newer, older)
        assert {one.speaker for one in await world.conversations()} == {f"agent:{pedro.id}"}
        await undo(world, pedro)
        assert {one.case_id: one.speaker for one in await world.conversations()} == {
            older.id: "bot",
            newer.id: f"agent:{pedro.id}",
        }

    async def test_P9_not_without_a_reason_and_not_with_itself(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        with pytest.raises(Empty):
            await merge(world, pedro, newer, older, "  ")
        with pytest.raises(CannotMerge, match="another"):
            await merge(world, pedro, older, older)
        with pytest.raises(NotPossible):
            await Merging(world.parts, pedro).merge(older.code, "PQR-0000000", WHY)

    async def test_P9_an_answer_that_was_given_is_not_hidden(self, world: World, clock: Clock, pedro: Me) -> None:
        older, newer = await two_cases(world, clock)
        talk = next(one.id for one in await world.conversations() if one.case_id == older.id)
        for state in ("en_investigacion", "comunicado"):
            await world.desk(pedro).move(talk, state)
        for case, into, why in ((older, newer, "answered"), (newer, older, "waits")):
            with pytest.raises(NotPossible) as refusal:
                await merge(world, pedro, case, into)
            assert isinstance(refusal.value.__cause__, states.ForbiddenMove)
            assert refusal.value.__cause__.reason == why

    async def test_P8_P9_people_are_not_parted_over_a_merged_case(self, world: World, clock: Clock, pedro: Me) -> None:
        """Else one's words would stay in the other's case: first the merge is undone."""
        older, newer = await two_cases(world, clock)
        await merge(world, pedro, newer, older)
        boss = await world.agent("jefa", "Jefa", "manager")
        async with world.parts.database.transaction() as tx:
            [join] = [one for one in await rows(world, Audit) if one.action == "people joined"]
            with pytest.raises(CannotMerge) as refusal:
                await Joins(world.parts, tx).undo(join.id, boss)
        assert refusal.value.reason == "joined"
        await undo(world, pedro)
        async with world.parts.database.transaction() as tx:
            await Joins(world.parts, tx).undo(join.id, boss)
        older, newer = await world.cases()
        assert older.person_id != newer.person_id


async def _people(world: World) -> list[Message]:
    return [one for one in await messages(world) if one.kind == "person"]


async def test_P9_the_history_says_who_and_why(world: World, clock: Clock, pedro: Me) -> None:
    older, newer = await two_cases(world, clock)
    await merge(world, pedro, older, newer)
    async with world.parts.database.transaction() as tx:
        query = select(CaseEvent).where(CaseEvent.kind.in_(("merged", "merged into")))  # type: ignore[attr-defined]  # a column
        found = {one.kind: one for one in (await tx.session.exec(query)).all()}
    assert found["merged"].data == {"code": older.code, "reason": WHY, "due": True}
    assert found["merged"].case_id == newer.id and found["merged"].actor == f"agent:{pedro.id}"
    assert found["merged into"].data == {"code": newer.code, "reason": WHY}
    assert not [one for one in await rows(world, Outgoing) if one.state == "queued"]
