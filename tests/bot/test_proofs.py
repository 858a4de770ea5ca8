"""Who somebody is: codes by e-mail, single-use links, status by code, and two people who are one."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from bot.codes import new_code
from bot.dialogue.events import CodeFailed
from bot.joins import Joins
from bot.proofs import Proofs
from bot.refusals import NotPossible
from channels.memory import Memory
from storage.tables import Audit, Case, ContactPoint, Conversation, Person
from tests.bot.rows import contact, outgoing, rows
from tests.conftest import Clock
from tests.world import CHAT, MAIL, Linked, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """With a Telegram that has a name."""
    channels: dict[str, Any] = {
        "chat": Memory("chat", features=CHAT, now=clock),
        "telegram": Linked("telegram", features=CHAT, now=clock),
        "telegram2": Linked("telegram2", features=CHAT, now=clock),
        "email": Memory("email", features=MAIL, now=clock),
    }
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        yield made


async def _asks_for_mail(world: World, address: str = "ana@x.example") -> str:
    """Ana reports in the chat and gives an address; the code that was mailed."""
    await world.write("chat", "ana", BROKEN)
    await world.write("chat", "ana", f"prefiero por correo: {address}")
    mail = world.sent("email", address)[-1]
    found = re.search(r"\b\d{6}\b", mail.text)
    assert found is not None
    return found.group()


async def _asks_for_link(world: World) -> str:
    """Ana reports in the chat and wants Telegram; the payload of the link that she got."""
    await world.write("chat", "ana", BROKEN)
    await world.write("chat", "ana", "prefiero por telegram")
    found = re.search(r"start=(\S+)", world.sent("chat")[-1].text)
    assert found is not None
    return found.group(1)


async def _follows(world: World, payload: str, account: str = "telegram", who: str = "77") -> UUID:
    """Somebody opens the link and says that it was they who asked for it."""
    talk = await world.write(account, who, "/start", start=payload)
    await world.write(account, who, "Sí, fui yo", pressed="link:yes")
    return talk


def _announced(world: World, sender: str) -> bool:
    """Whether the last Answer said that a code was sent; if not, it must say that none could be."""
    text = world.sent("chat", sender)[-1].text
    announced = "Envié un código a" in text
    assert announced != ("No puedo enviar otro código a" in text), text
    return announced


async def _mail_proved(world: World) -> bool:
    return any(one.account == "email" and one.verified_at for one in await rows(world, ContactPoint))


class TestCodes:
    """Contract of identity: an address is anybody's until its code comes back."""

    async def test_the_right_code_proves_the_address_and_news_go_there(self, world: World) -> None:
        """R002 R012: the preferred channel is used for the next news."""
        code = await _asks_for_mail(world)
        assert not await _mail_proved(world)
        await world.write("chat", "ana", code)
        mail = await contact(world, "email", "ana@x.example")
        assert mail.verified_by == "code"
        [person] = await rows(world, Person)
        assert person.preferred_contact_id == mail.id
        [talk] = [one for one in await world.conversations() if one.account == "chat"]
        before = len(world.sent("chat"))
        await world.desk(await world.agent()).move(talk.id, "en_investigacion")
        for one in await world.conversations():
            await world.sending.run(one.id)
        assert len(world.sent("email", "ana@x.example")) == 2
        assert len(world.sent("chat")) == before
        await world.write("chat", "ana", code)  # used up
        assert len([one for one in await rows(world, ContactPoint) if one.account == "email"]) == 1

    async def test_a_wrong_code_proves_nothing_and_tries_are_limited(self, world: World) -> None:
        code = await _asks_for_mail(world)
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        for _ in range(world.parts.policy.code_tries):
            await world.write("chat", "ana", wrong)
        await world.write("chat", "ana", code)
        assert not await _mail_proved(world)
        [talk] = [one for one in await world.conversations() if one.account == "chat"]
        async with world.parts.database.transaction() as tx:  # nor by any other way into the check
            person = await tx.people.get(talk.person_id)
            assert await Proofs(world.parts, tx).check_code(talk, person, code) == CodeFailed(0)

    async def test_an_old_code_proves_nothing(self, world: World, clock: Clock) -> None:
        code = await _asks_for_mail(world)
        clock.advance(timedelta(minutes=31))
        await world.write("chat", "ana", code)
        assert not await _mail_proved(world)

    async def test_a_code_typed_by_somebody_else_proves_nothing(self, world: World) -> None:
        code = await _asks_for_mail(world)
        await world.write("chat", "eva", code)
        assert not await _mail_proved(world)

    async def test_nobody_can_be_flooded_with_codes(self, world: World) -> None:
        """Three an hour for one address, whoever asks."""
        for number in range(6):
            await world.write("chat", f"p{number}", BROKEN)
            await world.write("chat", f"p{number}", "prefiero por correo: ana@x.example")
        assert len(world.sent("email", "ana@x.example")) == 3
        assert [_announced(world, f"p{number}") for number in range(6)] == [True] * 3 + [False] * 3

    async def test_one_talk_floods_no_addresses(self, world: World, clock: Clock) -> None:
        """Five codes an hour, to whomever; and a code that did not leave is not announced."""
        await world.write("chat", "ana", BROKEN)
        told: list[bool] = []
        for number in range(7):
            await world.write("chat", "ana", f"prefiero por correo: ana{number}@x.example")
            told.append(_announced(world, "ana"))
        assert told == [True] * 5 + [False] * 2
        assert [len(world.sent("email", f"ana{number}@x.example")) for number in range(7)] == [1] * 5 + [0] * 2
        clock.advance(timedelta(hours=1, minutes=1))
        await world.write("chat", "ana", "prefiero por correo: ana6@x.example")
        assert _announced(world, "ana")
        assert len(world.sent("email", "ana6@x.example")) == 1

    async def test_the_code_is_nobodys_else_to_read(self, world: World) -> None:
        """Neither the database's proof nor the console holds it; the mail does, with no word of the case."""
        code = await _asks_for_mail(world)
        talk = (await outgoing(world, "code"))[0].conversation_id
        room = await world.rooms(await world.agent()).room(talk)
        assert code not in str(room)
        assert "licuadora" not in world.sent("email")[-1].text
        [case] = await world.cases()
        assert case.code not in world.sent("email")[-1].text


class TestLinks:
    """Telegram is proved by a link that serves once."""

    async def test_the_link_joins_the_chat_and_goes_on_with_the_case(self, world: World) -> None:
        payload = await _asks_for_link(world)
        telegram = await _follows(world, payload)
        ana, other = await contact(world, "chat", "ana"), await contact(world, "telegram", "77")
        assert ana.person_id == other.person_id
        [talk] = [one for one in await world.conversations() if one.id == telegram]
        [case] = await world.cases()
        assert talk.case_id == case.id
        assert "https" not in world.sent("telegram")[-1].text
        before = len(world.sent("telegram"))
        await world.write("telegram", "77", "¿cómo va mi caso?")
        assert case.code in world.sent("telegram")[before].text

    async def test_P8_whoever_was_sent_a_link_by_somebody_else_is_asked_and_joined_to_nobody(
        self, world: World
    ) -> None:
        """A stranger asks for a link and sends it to Ana: neither sees anything of the other."""
        await world.write("telegram", "ana", BROKEN)
        payload = await _asks_for_link(world)  # of the stranger in the chat
        await world.write("telegram", "ana", "/start", start=payload)
        assert "¿Fuiste tú?" in world.sent("telegram", "ana")[-1].text
        victim, stranger = await contact(world, "telegram", "ana"), await contact(world, "chat", "ana")
        assert victim.person_id != stranger.person_id
        await world.write("telegram", "ana", "no, yo no pedí nada", pressed="link:no")
        await world.write("telegram", "ana", "Sí, fui yo", pressed="link:yes")
        assert (await contact(world, "telegram", "ana")).person_id == victim.person_id

    @pytest.mark.parametrize("how", ["used", "old", "invented", "another account"])
    async def test_no_other_link_opens_anything(self, world: World, clock: Clock, how: str) -> None:
        payload = await _asks_for_link(world)
        account = "telegram"
        if how == "used":
            await _follows(world, payload)
        elif how == "old":
            clock.advance(timedelta(hours=24, seconds=1))
        elif how == "invented":
            payload = payload[::-1]
        else:
            account = "telegram2"
        await _follows(world, payload, account, "666")
        thief, ana = await contact(world, account, "666"), await contact(world, "chat", "ana")
        assert thief.person_id != ana.person_id
        assert "ya se usó o venció" in world.sent(account, "666")[-1].text
        [case] = await world.cases()
        assert all(case.code not in one.text for one in world.sent(account, "666"))

    async def test_any_other_start_is_a_greeting(self, world: World) -> None:
        """A link of the company's own advertisement."""
        await world.write("telegram", "77", "/start", start="verano")
        assert "venció" not in world.sent("telegram")[-1].text


class TestStatusByCode:
    """A0-9 L-2 R012: whoever has the code may know the state; the rest is for the person."""

    async def _case(self, world: World) -> Case:
        await world.write("chat", "ana", BROKEN)
        [case] = await world.cases()
        return case

    async def test_on_a_foreign_address_the_state_and_nothing_else(self, world: World) -> None:
        case = await self._case(world)
        assert case.due is not None
        await world.write("telegram", "9", f"estado {case.code}")
        answer = world.sent("telegram", "9")[-1].text
        assert "recibido" in answer.lower() or "registrad" in answer.lower() or "acus" in answer.lower()
        for secret in ("licuadora", "48213", "24 de marzo", "compr"):
            assert secret not in answer.lower()

    async def test_the_own_person_is_told_the_date_as_often_as_they_like(self, world: World) -> None:
        case = await self._case(world)
        for _ in range(12):
            await world.write("chat", "ana", f"estado {case.code}")
        assert "24 de marzo" in world.sent("chat")[-1].text

    async def test_an_unproved_address_of_the_same_name_is_foreign(self, world: World) -> None:
        """A mail's From is a claim."""
        await world.write("email", "ana@x.example", BROKEN, thread="1", authentic=False)
        [case] = await world.cases()
        await world.write("email", "ana@x.example", f"estado {case.code}", thread="2", authentic=False)
        assert "24 de marzo" not in world.sent("email")[-1].text

    async def test_guesses_are_limited(self, world: World, clock: Clock) -> None:
        """P28: ten an hour from one address; then even a right code is not looked up, and an hour later it is."""
        case = await self._case(world)
        random = iter(range(10**6))
        for _ in range(10):
            guess = new_code("PQR", lambda below: next(random) * 7 % below)
            await world.write("telegram", "9", f"estado {guess}")
        status = await self._ask(world, case.code)
        assert status is None
        clock.advance(timedelta(hours=1, seconds=1))
        assert await self._ask(world, case.code) == case.status

    async def _ask(self, world: World, code: str) -> str | None:
        mine = await contact(world, "telegram", "9")
        async with world.parts.database.transaction() as tx:
            conversation = await tx.conversations.latest_of_contact(mine.id)
            assert conversation is not None
            _, found = await Proofs(world.parts, tx).look_up(conversation, mine, code)
        return getattr(found, "status", None)


class TestTwoWhoAreOne:
    """P7 P8: joined by proof, and parted again exactly when it was wrong."""

    async def test_the_code_joins_two_people_and_histories(self, world: World) -> None:
        await world.write("email", "ana@x.example", "Quiero copia de mi factura 7788", thread="1")
        code = await _asks_for_mail(world)
        await world.write("chat", "ana", code)
        ana = await contact(world, "chat", "ana")
        assert {one.person_id for one in await rows(world, ContactPoint)} == {ana.person_id}
        assert {one.person_id for one in await rows(world, Conversation)} == {ana.person_id}
        assert {one.person_id for one in await rows(world, Case)} == {ana.person_id}
        [entry] = [one for one in await rows(world, Audit) if one.action == "people joined"]
        assert len(entry.detail["moved"]["contact_points"]) == 1

    async def test_undo_restores_both_exactly(self, world: World) -> None:
        await world.write("telegram", "77", "Quiero copia de mi factura 7788")
        await world.write("telegram", "77", "gracias")
        payload = await _asks_for_link(world)
        before = await _who(world)
        await _follows(world, payload)
        assert await _who(world) != before
        await self._undo(world)
        assert await _who(world) == before

    async def test_what_began_since_goes_with_its_address(self, world: World) -> None:
        payload = await _asks_for_link(world)
        await _follows(world, payload)
        await self._undo(world)
        [talk] = [one for one in await world.conversations() if one.account == "telegram"]
        ana, other = await contact(world, "chat", "ana"), await contact(world, "telegram", "77")
        assert talk.person_id == other.person_id != ana.person_id
        assert talk.case_id is None
        before = len(world.sent("telegram"))
        await world.write("telegram", "77", "¿cómo va mi caso?")
        [case] = await world.cases()
        assert all(case.code not in one.text for one in world.sent("telegram")[before:])

    async def test_P8_only_a_manager_or_administrator_and_only_once(self, world: World) -> None:
        payload = await _asks_for_link(world)
        await _follows(world, payload)
        with pytest.raises(NotPossible, match="administrator"):
            await self._undo(world, role="agent")
        await self._undo(world, role="manager")
        with pytest.raises(NotPossible, match="nothing to undo"):
            await self._undo(world)

    async def _undo(self, world: World, role: str = "admin") -> None:
        [entry] = [one for one in await rows(world, Audit) if one.action == "people joined"]
        me = await world.agent(f"jefa{len(await rows(world, Audit))}{role}", "Jefa", role)
        async with world.parts.database.transaction() as tx:
            await Joins(world.parts, tx).undo(entry.id, me)


async def _who(world: World) -> dict[str, list[tuple[UUID | str | None, ...]]]:
    """Everything that a join may touch."""
    people = [(one.id, one.name, one.preferred_contact_id) for one in await rows(world, Person)]
    contacts = [
        (one.id, one.person_id, str(one.verified_at), one.verified_by) for one in await rows(world, ContactPoint)
    ]
    talks = [(one.id, one.person_id, one.case_id) for one in await rows(world, Conversation)]
    cases = [(one.id, one.person_id) for one in await rows(world, Case)]
    return {"people": [*people], "contacts": [*contacts], "talks": [*talks], "cases": [*cases]}
