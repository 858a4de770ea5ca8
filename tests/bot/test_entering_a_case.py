"""A talk that comes to belong to a case: whoever speaks in it, the bot never takes the word from a person."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest_asyncio

from bot.delivery import Deliveries
from channels.memory import Memory
from tests.bot.rows import contact, outgoing, send_all, somebody_waits
from tests.conftest import Clock
from tests.world import CHAT, MAIL, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


class _Linked(Memory):
    """A messenger in which the bot has a name: a link leads into it."""

    async def deep_link(self, payload: str) -> str:
        """The link as the messenger would have it."""
        return f"https://t.example/nube?start={payload}"


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """A chat, mail, and a messenger that can be linked to."""
    channels = {
        "chat": Memory("chat", features=CHAT, now=clock),
        "telegram": _Linked("telegram", features=CHAT, now=clock),
        "email": Memory("email", features=MAIL, now=clock),
    }
    async with a_world(database_url, clock, tmp_path, channels=dict(channels)) as made:
        yield made


async def _one_person(world: World) -> tuple[UUID, UUID]:
    """A case in the chat, and a talk without one on Telegram, of the same person, who prefers Telegram."""
    telegram = await world.write("telegram", "77", "hola")
    chat = await world.write("chat", "ana", BROKEN)
    ana, other = await contact(world, "chat", "ana"), await contact(world, "telegram", "77")
    async with world.parts.database.transaction() as tx:
        await tx.people.join(ana.person_id, other.person_id)
        (await tx.people.get(ana.person_id)).preferred_contact_id = other.id
    return chat, telegram


async def _speakers(world: World) -> dict[str, str]:
    return {one.account: one.speaker for one in await world.conversations()}


async def test_p19_news_of_a_case_leave_the_word_to_the_agent_who_holds_that_talk(world: World) -> None:
    chat, telegram = await _one_person(world)
    pedro, eva = await world.agent(), await world.agent("eva", "Eva")
    await world.desk(pedro).take(telegram)
    await world.desk(eva).move(chat, "clasificado")
    assert (await _speakers(world))["telegram"] == f"agent:{pedro.id}"
    await send_all(world)
    before = len(world.sent("telegram"))
    await world.write("telegram", "77", "hola, sigo esperando")
    assert len(world.sent("telegram")) == before


async def test_p19_what_did_not_arrive_is_no_word_of_the_bots_where_an_agent_speaks(world: World) -> None:
    chat, telegram = await _one_person(world)
    pedro = await world.agent()
    await world.desk(pedro).take(telegram)
    [receipt] = await outgoing(world, "receipt")
    async with world.parts.database.transaction() as tx:
        row = await tx.outbox.get(receipt.id, lock=True)
        assert row is not None
        await Deliveries(world.parts).failed(tx, row, "gone", means="address")
    assert (await _speakers(world))["telegram"] == f"agent:{pedro.id}"
    assert [one for one in await outgoing(world, "receipt") if one.conversation_id == telegram] == []
    assert next(one for one in await world.conversations() if one.id == chat).flag_reason == "undelivered"


async def test_p19_a_link_into_a_talk_that_an_agent_holds_leaves_them_the_word(world: World) -> None:
    telegram = await world.write("telegram", "77", "hola")
    await world.write("chat", "ana", BROKEN)
    await world.write("chat", "ana", "prefiero por telegram")
    found = re.search(r"start=(\S+)", world.sent("chat")[-1].text)
    assert found is not None
    ana, other = await contact(world, "chat", "ana"), await contact(world, "telegram", "77")
    async with world.parts.database.transaction() as tx:
        await tx.people.join(ana.person_id, other.person_id)
    pedro = await world.agent()
    await world.desk(pedro).take(telegram)
    before = len(world.sent("telegram"))
    await world.write("telegram", "77", "/start", start=found.group(1))
    await world.write("telegram", "77", "hola, sigo esperando")
    talk = next(one for one in await world.conversations() if one.id == telegram)
    assert (talk.speaker, talk.case_id is not None) == (f"agent:{pedro.id}", True)
    said = world.sent("telegram")[before:]
    authors = {row.id: row.author for row in await outgoing(world)}
    assert all(authors[UUID(one.key)].startswith("notice:") for one in said)


async def test_p19_a_new_thread_of_a_case_that_is_just_taken_is_the_agents(world: World) -> None:
    """Mail that comes while the take-over commits: it waits for the case's row, and only then asks who speaks."""
    talk = await world.write("email", "ana@x.co", BROKEN, thread="<a@x>", authentic=True)
    await send_all(world)
    ours = next(one.provider_id for one in await outgoing(world, "receipt"))
    pedro = await world.agent()
    async with world.parts.database.transaction() as tx:
        old = await tx.conversations.locked(talk)
        assert old is not None and old.case_id is not None
        old.closed_at = world.clock()  # what is answered now begins a thread of its own
    async with world.parts.database.transaction() as tx:
        await tx.cases.get(old.case_id, lock=True)
        again = await tx.conversations.locked(talk)
        assert again is not None
        again.speaker = f"agent:{pedro.id}"
        mail = world.memory("email").write("ana@x.co", "¿y bien?", thread="<b@x>", replies_to=(ours or "",))
        coming = asyncio.create_task(world.intake.keep("email", mail))
        await somebody_waits(world)
    kept = await coming
    assert kept is not None and kept.conversation_id != talk
    fresh = next(one for one in await world.conversations() if one.id == kept.conversation_id)
    assert (fresh.speaker, fresh.case_id) == (f"agent:{pedro.id}", old.case_id)
