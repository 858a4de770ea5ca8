"""What agents see and decide: dates that do not move, codes that stay the customer's, names that read as codes."""

import re
from datetime import timedelta
from uuid import UUID

import pytest

from bot import rooms
from bot.codes import parse
from tests.bot.rows import outgoing
from tests.conftest import Clock
from tests.world import World

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


async def test_a_corrected_type_counts_its_term_from_the_reception(world: World, clock: Clock) -> None:
    """L: the day of reception is day 0, whenever somebody corrects what it was."""
    talk = await world.write("chat", "ana", BROKEN)
    [case] = await world.cases()
    desk = world.desk(await world.agent())
    clock.advance(timedelta(days=6))
    await desk.classify(talk, "peticion")
    await desk.classify(talk, case.type)
    [after] = await world.cases()
    assert (after.type, after.due) == (case.type, case.due)


async def test_no_list_shows_a_one_time_code(world: World) -> None:
    """R012: the last words of a line are those of the talk, neither a code nor an alert of ours."""
    talk = await world.write("chat", "ana", BROKEN)
    await world.write("chat", "ana", "prefiero por correo: ana@x.example")
    [mail] = await outgoing(world, "code")
    digits = re.search(r"\d{6}", mail.text)
    assert digits is not None
    async with world.parts.database.transaction() as tx:
        for row in await tx.outbox.after(talk, mail.number):
            row.state = "withdrawn"  # by a take-over, say
            tx.session.add(row)
    page = await world.rooms(await world.agent()).queue("all")
    assert digits.group() not in page.lines[0].last_text


async def test_every_flagged_conversation_is_on_some_page(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most urgent first, then who waits longest; page after page and none twice."""
    monkeypatch.setattr(rooms, "PAGE", 2)
    wanted: list[UUID] = []
    for number, urgent in enumerate((False, True, False, False, True, False)):
        clock.advance(timedelta(minutes=1))
        talk = await world.write("chat", f"p{number}", BROKEN)
        async with world.parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(talk)
            assert conversation is not None
            conversation.flagged_at, conversation.urgent = clock(), urgent
        wanted.append(talk)
    seen: list[UUID] = []
    before, eyes = None, world.rooms(await world.agent())
    while seen == [] or before is not None:
        page = await eyes.queue("flagged", before=before)
        seen += [line.id for line in page.lines]
        before = page.next
    assert seen == [wanted[n] for n in (1, 4, 0, 2, 3, 5)]


async def test_a_name_that_could_be_a_code_is_found(world: World) -> None:
    """One word in thirty of seven letters passes the check symbol."""
    name = "Alberto"
    assert parse(name) is not None
    await world.write("chat", "ana", BROKEN, name=name)
    assert [one.name for one in await world.rooms(await world.agent()).search(name)] == [name]
