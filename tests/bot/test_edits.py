"""What a person changes in what they wrote: each revision is kept, and nobody answers words that are gone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from bot.media import MediaFetcher
from bot.views import Entry
from channels.channel import Address, Edited, Media
from channels.telegram import Settings as TelegramSettings
from channels.telegram import Telegram
from demo.telegram import TelegramStandIn
from nlu.understander import Settings, open_understander
from tests.bot.rows import messages, somebody_waits
from tests.bot.test_turn import Thinking
from tests.conftest import Clock
from tests.world import World, a_world

FIRST = "Llegó rota la licuadora del pedido 11111, quiero otra"


PNG = b"\x89PNG\r\n\x1a\n"


def _edit(clock: Clock, key: str, text: str, **fields: Any) -> Edited:
    return Edited(key=key, original="m1", sender=Address("chat", "ana"), text=text, sent_at=clock(), **fields)


def _photo(ref: str, size: int) -> Media:
    return Media(name="foto.png", size=size, ref=ref)


async def _entry(world: World) -> Entry:
    """The message as the desk shows it, its files fetched."""
    await MediaFetcher(world.parts).fetch_some()
    rooms = world.rooms(await world.agent(f"agent-{len(await messages(world))}-{world.clock().timestamp()}"))
    [talk] = await world.conversations()
    room = await rooms.room(talk.id)
    [entry] = [one for one in room.entries if one.kind == "in"]
    return entry


async def test_two_edits_at_once_are_two_revisions(world: World, clock: Clock) -> None:
    talk = await world.write("chat", "ana", FIRST, provider_id="m1")
    async with world.parts.database.transaction() as tx:
        await tx.conversations.locked(talk)
        first = asyncio.create_task(world.intake.keep("chat", _edit(clock, "e1", "uno")))
        await somebody_waits(world, 1)
        second = asyncio.create_task(world.intake.keep("chat", _edit(clock, "e2", "dos")))
        await somebody_waits(world, 2)
    await asyncio.gather(first, second)
    [message] = await messages(world)
    revisions = [(one["key"], one["was"]) for one in message.revisions]
    assert revisions == [("e1", FIRST), ("e2", "uno")]
    assert message.text == "dos"


async def test_an_edit_that_comes_while_the_turn_thinks_is_what_is_answered(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    edited: list[str] = []

    async def meanwhile(_: str) -> None:
        if not edited:
            edited.append("once")
            await world.intake.keep("chat", _edit(clock, "e1", FIRST.replace("11111", "48213")))

    thinking = Thinking(await open_understander(Settings(enabled=False)), meanwhile)
    async with a_world(database_url, clock, tmp_path, understander=thinking) as world:
        await world.write("chat", "ana", FIRST, provider_id="m1")
        [case] = await world.cases()
        assert case.facts["order"] == ["48213"]
        assert len(world.sent("chat")) == 2  # Ack and Receipt


async def test_another_photo_under_the_same_words_is_kept_and_the_first_stays_with_its_version(
    world: World, clock: Clock
) -> None:
    memory = world.memory("chat")
    memory.files |= {"one": PNG + b"1", "two": PNG + b"22"}
    await world.write("chat", "ana", FIRST, provider_id="m1", media=(_photo("one", 9),))
    await _entry(world)
    clock.advance(timedelta(minutes=1))
    edit = _edit(clock, "e1", FIRST, media=(_photo("two", 10),))
    for _ in range(2):
        await world.intake.keep("chat", edit)
    entry = await _entry(world)
    [revision] = entry.revisions
    assert revision["was"] == FIRST
    assert [(one.size, one.state) for one in entry.files] == [(10, "stored")]
    assert [(one.size, one.state) for one in revision["files"]] == [(9, "stored")]


async def test_other_words_under_the_same_photo_make_no_second_file(world: World, clock: Clock) -> None:
    """A provider may name the same file otherwise."""
    world.memory("chat").files |= {"one": PNG + b"1", "renamed": PNG + b"1"}
    await world.write("chat", "ana", FIRST, provider_id="m1", media=(_photo("one", 9),))
    await _entry(world)
    await world.intake.keep("chat", _edit(clock, "e1", "uno", media=(_photo("one", 9),)))
    await world.intake.keep("chat", _edit(clock, "e2", "dos", media=(_photo("renamed", 9),)))
    await world.intake.keep("chat", _edit(clock, "e3", "tres"))  # of a channel that does not speak of files
    clock.advance(timedelta(minutes=1))
    entry = await _entry(world)
    assert (len(entry.files), entry.text) == (1, "tres")
    assert [(one["was"], one["files"]) for one in entry.revisions] == [(FIRST, []), ("uno", []), ("dos", [])]


async def test_a_file_that_comes_whole_with_an_edit_is_on_the_disk_first(world: World, clock: Clock) -> None:
    first = Media(name="a.png", content=PNG + b"1")
    await world.write("chat", "ana", FIRST, provider_id="m1", media=(first,))
    await world.intake.keep("chat", _edit(clock, "e1", FIRST, media=(first,)))
    await world.intake.keep("chat", _edit(clock, "e2", FIRST, media=(first, Media(name="b.png", content=PNG + b"2"))))
    entry = await _entry(world)
    assert [(one.name, one.state) for one in entry.files] == [("a.png", "stored"), ("b.png", "stored")]


async def test_an_edited_photo_and_its_words_come_from_telegram_itself(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    """The real channel at the demo's Telegram: both pictures are fetched, each with its version."""
    telegram = TelegramStandIn("4242:AAE", now=clock, people={77: "Ana"}, pace=timedelta(0))
    settings = TelegramSettings.model_validate({"token": telegram.token})
    wire = httpx.ASGITransport(app=telegram.app)
    channel = Telegram("telegram", settings, now=clock, transport=wire, poll=timedelta(seconds=1))
    async with a_world(database_url, clock, tmp_path, channels={"telegram": channel}) as world:
        number = telegram.write(77, "así llegó", file=("foto.png", "image/png", PNG + b"1"))
        telegram.edit(77, number, "así llegó, mojada", file=("foto.png", "image/png", PNG + b"22"))
        heard = channel.listen(None)
        for _ in range(2):
            async with asyncio.timeout(10):
                await world.intake.keep("telegram", await anext(heard))
        entry = await _entry(world)
        assert isinstance(heard, AsyncIterator) and entry.text == "así llegó, mojada"
        assert [(one.size, one.state) for one in entry.files] == [(10, "stored")]
        [revision] = entry.revisions
        assert revision["was"] == "así llegó"
        assert [(one.size, one.state) for one in revision["files"]] == [(9, "stored")]
    await channel.close()
