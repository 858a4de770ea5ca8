"""One telephone that is written in two ways, and messages that were spoken."""

import asyncio

from channels.channel import Media
from storage.tables import ContactPoint, Person
from tests.bot.rows import outgoing, rows
from tests.world import World

OLD, NEW = "+5215512345678", "+525512345678"


async def test_P6_two_ways_to_write_a_number_are_one_person_and_each_gets_its_own_answers(world: World) -> None:
    await world.write("chat", OLD, "Hola", same_as=(NEW,), name="Ana")
    await world.write("chat", NEW, "Hola otra vez", same_as=(OLD,), name="Ana")
    assert len(await rows(world, Person)) == 1
    assert {one.address for one in await rows(world, ContactPoint)} == {OLD, NEW}
    assert world.sent("chat", OLD) and world.sent("chat", NEW)
    await world.write("chat", "+573001112233", "Hola")
    assert len(await rows(world, Person)) == 2


async def test_P6_both_ways_at_once_are_one_person(world: World) -> None:
    memory = world.memory("chat")
    pairs = [(OLD, (NEW,)), (NEW, (OLD,))] * 5
    arrivals = [memory.write(one, f"mensaje {n}", same_as=other) for n, (one, other) in enumerate(pairs)]
    await asyncio.gather(*(world.intake.keep("chat", one) for one in arrivals))
    assert len(await rows(world, Person)) == 1
    assert len(await rows(world, ContactPoint)) == 2


async def test_P24_a_voice_note_is_acknowledged_kept_and_asked_for_in_writing(world: World) -> None:
    voice = Media(name="audio-1.ogg", declared_type="audio/ogg", content=b"OggS" + bytes(200))
    await world.write("chat", "ana", "", media=(voice,), voice=True)
    lines = [line for row in await outgoing(world) for line in row.lines]
    assert lines[0] == "ack" and "voice_received" in lines and "file_received" not in lines


async def test_words_beside_a_recording_are_read_as_words(world: World) -> None:
    voice = Media(name="audio-1.ogg", declared_type="audio/ogg", content=b"OggS" + bytes(200))
    memory = world.memory("chat")
    await world.intake.keep("chat", memory.write("ana", "", media=(voice,), voice=True))
    await world.write("chat", "ana", "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra.")
    lines = [line for row in await outgoing(world) for line in row.lines]
    assert "voice_received" not in lines and await world.cases()
