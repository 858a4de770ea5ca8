"""One speaker: from the commit of a take-over on, the bot says nothing in any conversation of the case."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from bot.refusals import AlreadyTaken
from nlu.understander import Settings, open_understander
from storage.tables import Audit
from tests.bot.rows import contact, outgoing, rows, send_all
from tests.bot.test_turn import Thinking
from tests.conftest import Clock
from tests.world import World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


class Pause:
    """The model thinks until it is let go."""

    def __init__(self) -> None:
        self.thinks = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, _: str) -> None:
        """Say that it thinks, and wait."""
        self.thinks.set()
        await self.go.wait()


@pytest_asyncio.fixture
async def pause() -> Pause:
    """Made in the loop of the test."""
    return Pause()


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path, pause: Pause) -> AsyncIterator[World]:
    """Its model can be made to think for long."""
    thinking = Thinking(await open_understander(Settings(enabled=False)), pause)
    async with a_world(database_url, clock, tmp_path, understander=thinking) as made:
        yield made


async def _two_talks(world: World) -> tuple[UUID, UUID]:
    """A case that is talked of in the chat and, by a link that proved it, on Telegram."""
    chat = await world.write("chat", "ana", BROKEN)
    ana = await contact(world, "chat", "ana")
    async with world.parts.database.transaction() as tx:
        await tx.people.add_contact(ana.person_id, "telegram", "77", verified_by="link")
    telegram = await world.write("telegram", "77", "hola")
    async with world.parts.database.transaction() as tx:
        first, second = await tx.conversations.locked(chat), await tx.conversations.locked(telegram)
        assert first is not None
        assert second is not None
        second.case_id = first.case_id
    return chat, telegram


@pytest.mark.parametrize("where", ["chat", "telegram"])
async def test_a_take_over_while_the_model_thinks_silences_the_bot_everywhere(
    world: World, pause: Pause, where: str
) -> None:
    """P19: not one word of the bot's after the commit, here and in the case's other conversation."""
    chat, telegram = await _two_talks(world)
    sender = "ana" if where == "chat" else "77"
    await world.intake.keep(where, world.memory(where).write(sender, "¿y cómo va mi caso? llegó rota"))
    pause.thinks.clear()
    pause.go.clear()
    turn = asyncio.create_task(world.turns.run(chat if where == "chat" else telegram))
    await asyncio.wait_for(pause.thinks.wait(), 5)
    await world.desk(await world.agent()).take(chat)
    written = {row.id for row in await outgoing(world)}
    pause.go.set()
    await turn
    await send_all(world)
    assert [row for row in await outgoing(world) if row.id not in written] == []
    for account, address in (("chat", "ana"), ("telegram", "77")):
        await world.write(account, address, "llegó rota otra vez, ¿me oyen?")
    late = [row for row in await outgoing(world) if row.id not in written]
    assert [row.author for row in late if row.author == "bot"] == []


async def test_what_waits_is_withdrawn_in_all_conversations_and_never_leaves(world: World, clock: Clock) -> None:
    """P19 R006: also what was put back for a later try."""
    chat, telegram = await _two_talks(world)
    await world.intake.keep("chat", world.memory("chat").write("ana", "¿cómo va?"))
    await world.turns.run(chat)
    await world.intake.keep("telegram", world.memory("telegram").write("77", "¿cómo va?"))
    await world.turns.run(telegram)
    sent = {account: len(world.sent(account)) for account in ("chat", "telegram")}
    waiting = {row.id for row in await outgoing(world) if row.state == "queued"}
    assert len(waiting) == 2
    await world.desk(await world.agent()).take(telegram)
    states = {row.id: row.state for row in await outgoing(world)}
    assert {states[one] for one in waiting} == {"withdrawn"}  # with the take-over itself, for the agent to see
    clock.advance(timedelta(minutes=10))
    await world.ticker.tick()
    await send_all(world)
    states = {row.id: row.state for row in await outgoing(world)}
    assert {states[one] for one in waiting} == {"withdrawn"}
    assert len(world.sent("chat")) == sent["chat"]
    assert [one.text for one in world.sent("telegram")[sent["telegram"] :]] == [
        row.text for row in await outgoing(world) if row.author.startswith("notice:")
    ]


async def test_two_agents_press_take_at_once_and_one_wins(world: World) -> None:
    """R073: the other is told who has it."""
    chat, _ = await _two_talks(world)
    agents = [await world.agent(f"a{number}", f"Agente {number}") for number in range(4)]
    outcomes = await asyncio.gather(*(world.desk(me).take(chat) for me in agents), return_exceptions=True)
    winners = [me for me, outcome in zip(agents, outcomes, strict=True) if outcome is None]
    assert len(winners) == 1
    refused = [one for one in outcomes if one is not None]
    assert all(isinstance(one, AlreadyTaken) and winners[0].name in str(one) for one in refused)
    speakers = {one.speaker for one in await world.conversations()}
    assert speakers == {f"agent:{winners[0].id}"}


async def test_two_agents_take_two_conversations_of_one_case_at_once(world: World) -> None:
    """All are locked in one order: nobody waits for the other for ever, and one wins."""
    chat, telegram = await _two_talks(world)
    agents = [await world.agent(f"a{number}", f"Agente {number}") for number in range(4)]
    takes = [world.desk(me).take(chat if number % 2 else telegram) for number, me in enumerate(agents)]
    outcomes = await asyncio.gather(*takes, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["AlreadyTaken"] * 3 + ["NoneType"]


async def test_given_back_the_bot_answers_again(world: World) -> None:
    """What was said meanwhile is kept; the next word gets an Answer."""
    chat, _ = await _two_talks(world)
    desk = world.desk(await world.agent())
    await desk.take(chat)
    await world.write("chat", "ana", "fue ayer en la sede Centro")
    await desk.give_back(chat)
    await world.settle(chat)
    written = {row.id for row in await outgoing(world)}
    await world.write("chat", "ana", "¿cómo va mi caso?")
    answers = [row.author for row in await outgoing(world) if row.id not in written]
    assert answers == ["bot"]
    [case] = await world.cases()
    assert "sede Centro" in str(case.facts)


async def test_no_ack_of_the_bots_while_a_person_speaks(world: World, clock: Clock) -> None:
    """Not even after days of silence."""
    chat, _ = await _two_talks(world)
    await world.desk(await world.agent()).take(chat)
    clock.advance(timedelta(days=3))
    await world.write("chat", "ana", "¿hola?")
    assert [row.author for row in await outgoing(world, "ack")] == ["bot", "bot"]  # the two first ones


# --- a case that the talk has left


async def _left(world: World) -> tuple[UUID, UUID, str, str]:
    """Ana's first case is filed and open, and she reports a second one in the same chat: talk, kept place, codes."""
    talk = await world.write("chat", "ana", BROKEN)
    await world.write("chat", "ana", "fue el jueves pasado en la sede Centro")
    await world.write("chat", "ana", "sí, correcto")
    await world.write("chat", "ana", "Además quiero reclamar por otra cosa: me cobraron dos veces el pedido 77120.")
    if len(await world.cases()) == 1:
        await world.write("chat", "ana", "Es otro caso", pressed="same:no")
    first, second = await world.cases()
    places = {one.case_id: one.id for one in await world.conversations()}
    assert places[second.id] == talk
    return talk, places[first.id], first.code, second.code


async def test_a_case_that_was_left_is_still_listed_found_and_shown(world: World) -> None:
    """R067: it is open, so people at the desk see it, with what was said of it."""
    talk, kept, first, second = await _left(world)
    rooms = world.rooms(await world.agent())
    assert {one.code for one in (await rooms.queue("open")).lines} == {first, second}
    assert [one.id for one in await rooms.search(first)] == [kept]
    assert BROKEN in [one.text for one in (await rooms.room(kept)).entries]
    assert await world.write("chat", "ana", "¿hola?") == talk  # the address has one line as before


async def test_news_and_words_about_a_left_case_go_into_the_line_that_the_person_reads(
    world: World, clock: Clock
) -> None:
    """R073: whoever answers there has the whole line, and the second case keeps its own question."""
    talk, kept, first, second = await _left(world)
    me = await world.agent()
    desk = world.desk(me)
    await desk.move(kept, "en_investigacion")
    await send_all(world)
    assert first in world.sent("chat")[-1].text
    assert {one.conversation_id for one in await outgoing(world) if one.kind != "alert"} == {talk}

    await desk.take(kept)
    assert {one.speaker for one in await world.conversations()} == {f"agent:{me.id}"}
    await desk.reply(kept, "Hola, es por la licuadora.", key="1")
    clock.advance(timedelta(minutes=1))
    await send_all(world)
    assert world.sent("chat")[-1].text == "Hola, es por la licuadora."
    assert "Hola, es por la licuadora." in [one.text for one in (await world.rooms(me).room(kept)).entries]
    before = len(await outgoing(world))
    await world.write("chat", "ana", "¿cuándo llega?")
    assert len(await outgoing(world)) == before  # nobody talks over the agent

    await desk.give_back(kept)
    assert {one.speaker for one in await world.conversations()} == {"bot"}
    assert {case.code: case.status for case in await world.cases()}[first] == "en_investigacion"
    assert (await world.rooms(me).room(talk)).line.code == second


# --- instead of a colleague who is away


async def test_a_manager_takes_over_from_an_agent_and_an_agent_does_not(world: World) -> None:
    """R073: in all conversations of the case; the audit says from whom."""
    chat, _ = await _two_talks(world)
    marta = await world.agent("marta", "Marta")
    await world.desk(marta).take(chat)
    with pytest.raises(AlreadyTaken, match="Marta"):
        await world.desk(await world.agent("pedro", "Pedro")).take(chat, over=True)
    boss = await world.agent("luz", "Luz", role="manager")
    with pytest.raises(AlreadyTaken, match="Marta"):
        await world.desk(boss).take(chat)
    await world.desk(boss).take(chat, over=True)
    assert {one.speaker for one in await world.conversations()} == {f"agent:{boss.id}"}
    [case] = await world.cases()
    assert case.assigned_to == boss.id
    [audit] = [one for one in await rows(world, Audit) if one.action == "take over"]
    assert (audit.actor, audit.detail) == (f"agent:{boss.id}", {"taken_from": f"agent:{marta.id}"})
