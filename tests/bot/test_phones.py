"""One telephone on three channels: shared by the button, proved by code or by a text, joined and parted again."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from bot.joins import Joins
from bot.parts import Parts
from channels.channel import Features
from channels.memory import Memory
from storage.tables import Audit, Case, ContactPoint, Conversation, Person, Verification
from tests.bot.rows import contact, outgoing, rows
from tests.conftest import Clock
from tests.world import CHAT, MAIL, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
ANA = "+573001234567"
OLD, NEW = "+5215512345678", "+525512345678"  # a Mexican mobile, as it was and as it is written


class Linked(Memory):
    """A channel with an address that a link can lead to."""

    async def deep_link(self, payload: str) -> str:
        """The link."""
        return f"https://wa.example/57300?text=Nube%20{payload}"


def _channels(clock: Clock) -> dict[str, Any]:
    return {
        "chat": Memory("chat", features=CHAT, now=clock),
        "telegram": Memory("telegram", features=replace(CHAT, proves_phone=True), now=clock),
        "whatsapp": Linked("whatsapp", features=CHAT, now=clock),
        "sms": Memory("sms", features=Features(burst=timedelta(0), buttons=0), now=clock),
        "email": Memory("email", features=MAIL, now=clock),
    }


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """With all channels that reach a telephone."""
    async with a_world(database_url, clock, tmp_path, channels=_channels(clock)) as made:
        yield made


async def _person_of(world: World, account: str, address: str) -> UUID:
    return (await contact(world, account, address)).person_id


async def _lines(world: World, account: str) -> list[str]:
    return [line for row in await outgoing(world) if row.account == account for line in row.lines]


class TestTheButton:
    """The contact button of a channel that vouches for the number."""

    async def test_R012_P7_a_shared_number_is_a_proved_address_by_sms_and_on_whatsapp(self, world: World) -> None:
        await world.write("telegram", "77", BROKEN)
        await world.write("telegram", "77", "Ana +573001234567", phone=ANA)
        ana = await _person_of(world, "telegram", "77")
        for account in ("sms", "whatsapp"):
            proved = await contact(world, account, ANA)
            assert (proved.person_id, proved.verified_by) == (ana, "provider")
        [case] = await world.cases()
        assert ANA in case.facts["phone"]
        assert "address_verified" in await _lines(world, "telegram")

    async def test_P7_whoever_wrote_from_that_number_before_is_the_same_person(self, world: World) -> None:
        await world.write("whatsapp", ANA, "Quiero copia de mi factura 7788")
        await world.write("telegram", "77", BROKEN)
        await world.write("telegram", "77", "", phone=ANA)
        ana = await _person_of(world, "telegram", "77")
        assert {one.person_id for one in await rows(world, ContactPoint)} == {ana}
        assert {one.person_id for one in await rows(world, Case)} == {ana}
        entries = [one for one in await rows(world, Audit) if one.action == "people joined"]
        assert {one.detail["by"] for one in entries} == {"provider"}

    async def test_P6_P7_also_when_whatsapp_writes_the_number_in_another_way(self, world: World) -> None:
        await world.write("whatsapp", OLD, "Quiero copia de mi factura 7788", same_as=(NEW,))
        await world.write("telegram", "77", BROKEN)
        await world.write("telegram", "77", "", phone=NEW)
        ana = await _person_of(world, "telegram", "77")
        assert await _person_of(world, "whatsapp", OLD) == ana
        assert {one.address for one in await rows(world, ContactPoint) if one.account == "whatsapp"} == {OLD}
        await world.write("telegram", "77", "prefiero por WhatsApp")
        [person] = [one for one in await rows(world, Person) if one.id == ana]
        assert person.preferred_contact_id == (await contact(world, "whatsapp", OLD)).id

    async def test_a_card_that_is_not_their_own_proves_nothing(self, world: World) -> None:
        """A number in the text, or somebody else's card: `Inbound.phone` is empty."""
        await world.write("whatsapp", ANA, BROKEN)
        await world.write("telegram", "66", f"Ana {ANA}")
        await world.write("telegram", "66", f"mi número es {ANA}")
        assert await _person_of(world, "telegram", "66") != await _person_of(world, "whatsapp", ANA)

    async def test_P7_nobody_is_joined_by_name(self, world: World) -> None:
        await world.write("whatsapp", ANA, BROKEN, name="Ana Gómez")
        await world.write("telegram", "77", BROKEN, name="Ana Gómez")
        await world.write("telegram", "77", "", name="Ana Gómez", phone="+573009999999")
        assert await _person_of(world, "telegram", "77") != await _person_of(world, "whatsapp", ANA)

    async def test_R002_it_is_asked_for_by_a_button_and_whatsapp_is_taken(self, world: World) -> None:
        await world.write("telegram", "77", BROKEN)
        await world.write("telegram", "77", "prefiero por WhatsApp")
        asked = world.sent("telegram")[-1]
        assert [(one.label, one.asks) for one in asked.buttons] == [("Compartir mi número", "phone")]
        assert "1." not in asked.text
        await world.write("telegram", "77", "", phone=ANA)
        [person] = await rows(world, Person)
        assert person.preferred_contact_id == (await contact(world, "whatsapp", ANA)).id
        assert "preferred_set" in await _lines(world, "telegram")

    async def test_whoever_is_hurt_can_be_called_at_the_number_of_the_button(self, world: World) -> None:
        await world.write("telegram", "77", "Me electrocuté con la licuadora y estoy en el hospital")
        asked = world.sent("telegram")[-1]
        assert [one.asks for one in asked.buttons] == ["phone"]
        await world.write("telegram", "77", "", phone=ANA)
        assert "callback_noted" in await _lines(world, "telegram")
        assert ANA in world.sent("telegram")[-1].text

    async def test_an_installation_without_numbers_keeps_it_as_a_fact(
        self, database_url: str, clock: Clock, tmp_path: Path
    ) -> None:
        channels = {name: one for name, one in _channels(clock).items() if name in ("telegram", "email")}
        async with a_world(database_url, clock, tmp_path, channels=channels) as world:
            await world.write("telegram", "77", "", phone=ANA)
            assert "number_noted" in await _lines(world, "telegram")
            await world.write("telegram", "77", BROKEN)
            [case] = await world.cases()
            assert ANA in case.facts["phone"]
            assert len(await rows(world, ContactPoint)) == 1


class TestTwoChannelsOfOneNumber:
    """The provider vouches for the sender of a WhatsApp message and of an SMS."""

    @pytest.mark.parametrize("first, second", [("whatsapp", "sms"), ("sms", "whatsapp")])
    async def test_P7_the_number_is_one_person_by_sms_and_on_whatsapp(
        self, world: World, first: str, second: str
    ) -> None:
        await world.write(first, ANA, BROKEN)
        await world.write(second, ANA, "¿cómo va mi caso?")
        assert len(await rows(world, Person)) == 1
        assert len(await rows(world, ContactPoint)) == 2
        [case] = await world.cases()
        await world.write(second, ANA, f"estado {case.code}")
        assert "24 de marzo" in world.sent(second)[-1].text  # told in full, as to the person whose case it is

    async def test_P6_P7_in_either_way_to_write_it(self, world: World) -> None:
        await world.write("whatsapp", OLD, BROKEN, same_as=(NEW,))
        await world.write("sms", NEW, "hola", same_as=(OLD,))
        assert len(await rows(world, Person)) == 1
        assert world.sent("sms", NEW) and world.sent("whatsapp", OLD)

    async def test_an_opaque_id_is_nobody_elses(self, world: World) -> None:
        await world.write("whatsapp", "CO.1234567", BROKEN)
        assert [one.account for one in await rows(world, ContactPoint)] == ["whatsapp"]

    async def test_R002_from_one_to_the_other_without_any_proof(self, world: World) -> None:
        await world.write("whatsapp", ANA, BROKEN)
        await world.write("whatsapp", ANA, "prefiero por mensaje de texto")
        [person] = await rows(world, Person)
        assert person.preferred_contact_id == (await contact(world, "sms", ANA)).id
        assert not await rows(world, Verification)


class TestCodesBySms:
    """A number that is typed is anybody's until its code comes back."""

    async def _asks(self, world: World, words: str = f"prefiero por WhatsApp al {ANA}") -> str:
        await world.write("chat", "ana", BROKEN)
        await world.write("chat", "ana", words)
        found = re.search(r"\b\d{6}\b", world.sent("sms", ANA)[-1].text)
        assert found is not None
        return found.group()

    async def test_R012_the_code_that_comes_back_proves_the_number_and_whatsapp_is_taken(self, world: World) -> None:
        code = await self._asks(world)
        assert not [one for one in await rows(world, ContactPoint) if one.address == ANA]
        await world.write("chat", "ana", code)
        [person] = await rows(world, Person)
        for account in ("sms", "whatsapp"):
            proved = await contact(world, account, ANA)
            assert (proved.person_id, proved.verified_by) == (person.id, "code")
        assert person.preferred_contact_id == (await contact(world, "whatsapp", ANA)).id
        assert "preferred_set" in await _lines(world, "chat")

    async def test_P7_the_code_joins_who_wrote_on_whatsapp_before(self, world: World) -> None:
        await world.write("whatsapp", ANA, "Quiero copia de mi factura 7788")
        await world.write("chat", "ana", await self._asks(world))
        assert len({one.person_id for one in await rows(world, Case)}) == 1
        assert await _person_of(world, "whatsapp", ANA) == await _person_of(world, "chat", "ana")

    async def test_a_wrong_code_and_another_talks_code_prove_nothing(self, world: World) -> None:
        await world.write("whatsapp", ANA, "Quiero copia de mi factura 7788")
        code = await self._asks(world)
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        for _ in range(world.parts.policy.code_tries):
            await world.write("chat", "ana", wrong)
        await world.write("chat", "ana", code)
        await world.write("chat", "eva", code)
        ana = await _person_of(world, "whatsapp", ANA)
        assert ana not in {await _person_of(world, "chat", "ana"), await _person_of(world, "chat", "eva")}

    async def test_nobody_is_flooded_and_no_code_is_announced_that_did_not_leave(self, world: World) -> None:
        for number in range(5):
            await world.write("chat", f"p{number}", BROKEN)
            await world.write("chat", f"p{number}", f"prefiero por mensaje de texto al {ANA}")
        assert len(world.sent("sms", ANA)) == 3
        assert "No puedo enviar otro código" in world.sent("chat", "p4")[-1].text

    async def test_without_an_sms_account_a_typed_number_stays_unproved(
        self, database_url: str, clock: Clock, tmp_path: Path
    ) -> None:
        channels = {name: one for name, one in _channels(clock).items() if name in ("telegram", "whatsapp")}
        async with a_world(database_url, clock, tmp_path, channels=channels) as world:
            await world.write("telegram", "77", BROKEN)
            await world.write("telegram", "77", "prefiero por WhatsApp")
            await world.write("telegram", "77", "mi número es 300 123 4567")
            assert "address_noted" in await _lines(world, "telegram")
            assert [one.account for one in await rows(world, ContactPoint)] == ["telegram"]


class TestTheText:
    """A link into WhatsApp holds a text that serves once and proves the number from which it is sent."""

    async def _asks(self, world: World) -> str:
        await world.write("chat", "ana", BROKEN)
        await world.write("chat", "ana", "prefiero por WhatsApp")
        found = re.search(r"text=Nube%20(\w+)", world.sent("chat")[-1].text)
        assert found is not None
        return found.group(1)

    async def test_L2_P7_the_text_proves_the_number_and_goes_on_with_the_case(self, world: World) -> None:
        payload = await self._asks(world)
        talk = await world.write("whatsapp", ANA, f"Nube {payload}", start=payload)
        assert "¿Fuiste tú?" in world.sent("whatsapp")[-1].text
        assert await _person_of(world, "whatsapp", ANA) != await _person_of(world, "chat", "ana")
        await world.write("whatsapp", ANA, "Sí, fui yo", pressed="link:yes")
        ana = await _person_of(world, "chat", "ana")
        assert await _person_of(world, "whatsapp", ANA) == await _person_of(world, "sms", ANA) == ana
        [case] = await world.cases()
        [theirs] = [one for one in await world.conversations() if one.id == talk]
        assert theirs.case_id == case.id
        [person] = [one for one in await rows(world, Person) if one.id == ana]
        assert person.preferred_contact_id == (await contact(world, "whatsapp", ANA)).id

    async def test_P8_whoever_was_sent_the_link_by_somebody_else_is_joined_to_nobody(self, world: World) -> None:
        payload = await self._asks(world)
        await world.write("whatsapp", "+573005550000", "", start=payload)
        await world.write("whatsapp", "+573005550000", "no fui yo", pressed="link:no")
        await world.write("whatsapp", "+573005550000", "Sí, fui yo", pressed="link:yes")
        assert await _person_of(world, "whatsapp", "+573005550000") != await _person_of(world, "chat", "ana")

    async def test_it_serves_once_and_for_a_day(self, world: World, clock: Clock) -> None:
        payload = await self._asks(world)
        clock.advance(timedelta(hours=24, seconds=1))
        await world.write("whatsapp", ANA, "", start=payload)
        assert "ya se usó o venció" in world.sent("whatsapp")[-1].text

    async def test_where_the_number_of_the_account_is_not_known_no_link_is_promised(
        self, database_url: str, clock: Clock, tmp_path: Path
    ) -> None:
        channels = _channels(clock)
        channels["whatsapp"] = Memory("whatsapp", features=CHAT, now=clock)
        async with a_world(database_url, clock, tmp_path, channels=channels) as world:
            await world.write("chat", "ana", BROKEN)
            await world.write("chat", "ana", "prefiero por WhatsApp")
            assert "Por WhatsApp todavía no puedo escribirte" in world.sent("chat")[-1].text


class TestUndo:
    """P8: what a number has joined comes apart exactly."""

    async def test_P8_two_people_with_everything_are_as_they_were(self, world: World) -> None:
        await world.write("whatsapp", ANA, "Quiero copia de mi factura 7788")
        await world.write("telegram", "77", BROKEN)
        before = await _who(world)
        await world.write("telegram", "77", "", phone=ANA)
        assert await _who(world) != before
        await _undo(world)
        assert await _who(world) == before

    async def test_P8_a_number_that_goes_back_does_so_on_every_account(
        self, database_url: str, clock: Clock, tmp_path: Path
    ) -> None:
        """The SMS account came later: the number was kept for it with the join."""
        channels = _channels(clock)
        sms = channels.pop("sms")
        async with a_world(database_url, clock, tmp_path, channels=channels) as world:
            await world.write("whatsapp", ANA, "Quiero copia de mi factura 7788")
            other = await _person_of(world, "whatsapp", ANA)
            clock.advance(timedelta(minutes=1))
            later = World(_with(world.parts, sms), clock)
            await later.write("telegram", "77", BROKEN)
            await later.write("telegram", "77", "", phone=ANA)
            await _undo(later)
            assert await _person_of(later, "whatsapp", ANA) == await _person_of(later, "sms", ANA) == other
            assert await _person_of(later, "telegram", "77") != other


def _with(parts: Parts, channel: Memory) -> Parts:
    return replace(
        parts,
        channels={**parts.channels, channel.name: channel},
        kinds={**parts.kinds, channel.name: channel.name},
    )


async def _undo(world: World) -> None:
    """The newest join first, as an administrator would."""
    me = await world.agent("jefa", "Jefa", "admin")
    entries = [one for one in await rows(world, Audit) if one.action == "people joined"]
    async with world.parts.database.transaction() as tx:
        for entry in reversed(entries):
            await Joins(world.parts, tx).undo(entry.id, me)


async def _who(world: World) -> list[list[tuple[Any, ...]]]:
    """Everything that a join may touch."""
    return [
        [(one.id, one.name, one.preferred_contact_id) for one in await rows(world, Person)],
        [(one.id, one.person_id, one.verified_at, one.verified_by) for one in await rows(world, ContactPoint)],
        [(one.id, one.person_id, one.case_id) for one in await rows(world, Conversation)],
        [(one.id, one.person_id) for one in await rows(world, Case)],
    ]
