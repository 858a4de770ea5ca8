"""Voice notes that somebody listens to: heard, not heard, too late, twice, and across a restart."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import text
from telegram import Update

from bot.chat import Chat
from bot.listening import AGAIN, BRIEF, PATIENCE, Listening
from bot.media import MediaFetcher
from channels.channel import Inbound, Media
from channels.memory import Memory
from channels.telegram_reading import read as read_telegram
from channels.twilio_reading import Fields
from channels.twilio_reading import read as read_twilio
from channels.webchat import Settings, WebChat
from storage.tables import Attachment, Conversation, Message
from tests.bot.rows import outgoing, rows
from tests.conftest import Clock
from tests.world import CHAT, World, a_world

OGG = b"OggS" + bytes(200)
VOICE = Media(name="audio-1.ogg", declared_type="audio/ogg", content=OGG)
BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero que me la cambien."


class Ears:
    """Listens as it is told."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.ready = True
        self.says: str | None = BROKEN
        self.trouble: Exception | None = None
        self.asked: list[tuple[bytes, str | None, str | None]] = []

    async def warm(self) -> None:
        """It is always ready."""

    async def transcribe(self, path: Path, mime: str | None, language: str | None) -> str | None:
        """What it was told to hear."""
        self.asked.append((path.read_bytes(), mime, language))
        if self.trouble is not None:
            raise self.trouble
        return self.says


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path, ears: Ears) -> AsyncIterator[World]:
    channels: dict[str, Any] = {name: Memory(name, features=CHAT, now=clock) for name in ("chat", "telegram")}
    channels["webchat"] = WebChat("webchat", Settings(), now=clock)
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        made.parts = replace(made.parts, hearing=ears)
        yield _again(made)


def _again(world: World) -> World:
    return World(world.parts, world.clock)


async def lines(world: World) -> list[str]:
    return [line for row in await outgoing(world) for line in row.lines]


async def turns_woken(world: World) -> int:
    async with world.parts.database.transaction() as tx:
        connection = await tx.session.connection()
        query = "SELECT count(*) FROM procrastinate_jobs WHERE queueing_lock LIKE 'turn:%'"
        return int((await connection.execute(text(query))).scalar_one())


async def heard(world: World) -> None:
    """Listen to all that waits, and do what follows from it."""
    while await Listening(world.parts).listen():
        pass
    for one in await world.conversations():
        await world.settle(one.id)


async def test_P24_a_voice_note_is_acknowledged_at_once_and_answered_as_what_it_says(world: World, ears: Ears) -> None:
    await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    assert await lines(world) == ["ack"]  # and nothing else yet
    assert await turns_woken(world) == 0
    assert await Listening(world.parts).listen()
    assert await turns_woken(world) == 1
    await heard(world)
    said = await lines(world)
    assert "voice_heard" in said and "voice_received" not in said and "file_received" not in said
    [case] = await world.cases()
    assert "48213" in str(case.facts) and "evidence" not in case.facts
    assert ears.asked == [(OGG, "audio/ogg", None)]
    [message] = await rows(world, Message)
    assert (message.text, message.extra["transcript"]) == ("", BROKEN) and "listening" not in message.extra
    [answer] = [row for row in await outgoing(world) if "voice_heard" in row.lines]
    assert f"«{BROKEN}»" in answer.text
    await heard(world)
    assert await lines(world) == said and len(ears.asked) == 1  # once


async def test_P24_the_safety_net_hears_an_alarm(world: World, ears: Ears) -> None:
    ears.says = "La plancha explotó y mi hija tiene quemaduras, estamos en urgencias"
    await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    [talk] = await world.conversations()
    assert talk.flagged_at is None
    await heard(world)
    [talk] = await world.conversations()
    assert talk.urgent


@pytest.mark.parametrize("how", ["nothing", "blank", "raises"])
async def test_P24_what_cannot_be_made_out_is_politely_asked_for_in_writing(world: World, ears: Ears, how: str) -> None:
    ears.says = {"nothing": None, "blank": "  ", "raises": BROKEN}[how]
    ears.trouble = RuntimeError("broken") if how == "raises" else None
    await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    await heard(world)
    assert (await lines(world))[:2] == ["ack", "voice_received"]
    assert len([row for row in await outgoing(world) if row.kind != "ack"]) == 1
    [message] = await rows(world, Message)
    assert "transcript" not in message.extra
    await heard(world)
    assert len(ears.asked) == 1


async def test_P24_nobody_waits_for_a_listener_who_does_not_come_back(world: World, ears: Ears, clock: Clock) -> None:
    conversation = await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    clock.advance(PATIENCE - timedelta(seconds=1))
    await world.ticker.tick()
    await world.settle(conversation)
    assert await lines(world) == ["ack"]
    clock.advance(timedelta(seconds=1))
    await world.ticker.tick()
    await world.settle(conversation)
    answered = await lines(world)
    assert answered[:2] == ["ack", "voice_received"]
    await heard(world)
    assert await lines(world) == answered and ears.asked == []  # what was answered is not listened to any more


async def test_P24_words_that_come_too_late_change_nothing(world: World, ears: Ears, clock: Clock) -> None:
    """The bot asked for them in writing while somebody still listened: one note, one answer."""
    conversation = await world.write("chat", "ana", "", media=(VOICE,), voice=True)

    class Slow(Ears):
        async def transcribe(self, path: Path, mime: str | None, language: str | None) -> str | None:
            clock.advance(PATIENCE)
            await world.settle(conversation)
            return BROKEN

    await Listening(replace(world.parts, hearing=Slow())).listen()
    await heard(world)
    assert "voice_received" in await lines(world) and "voice_heard" not in await lines(world)
    assert not await world.cases()
    [message] = await rows(world, Message)
    assert "transcript" not in message.extra


async def test_P24_a_restart_in_the_middle_loses_nothing_and_answers_once(
    world: World, ears: Ears, clock: Clock
) -> None:
    await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    begun = asyncio.Event()

    class Cut(Ears):
        async def transcribe(self, path: Path, mime: str | None, language: str | None) -> str | None:
            begun.set()
            await asyncio.Event().wait()
            return None

    dying = asyncio.create_task(Listening(replace(world.parts, hearing=Cut())).listen())
    await asyncio.wait_for(begun.wait(), 20)
    dying.cancel()
    await asyncio.wait([dying])
    assert not await Listening(world.parts).listen()  # for all we know, another worker listens to it
    clock.advance(AGAIN)
    await heard(_again(world))
    assert len([one for one in await outgoing(world) if one.kind == "ack"]) == 1
    assert (await lines(world)).count("voice_heard") == 1 and len(await world.cases()) == 1


async def test_two_workers_listen_to_one_note_once(world: World, ears: Ears) -> None:
    await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    assert sum(await asyncio.gather(*(Listening(world.parts).listen() for _ in range(4)))) == 1
    await heard(world)
    assert len(ears.asked) == 1 and (await lines(world)).count("voice_heard") == 1


async def test_P24_what_is_written_beside_a_note_is_answered_together_and_waits_only_briefly(
    world: World, ears: Ears, clock: Clock
) -> None:
    ears.says = "La licuadora llegó rota y quiero que me la cambien"
    await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    conversation = await world.write("chat", "ana", "es el pedido 48213")
    assert await lines(world) == ["ack"]
    await heard(world)
    [case] = await world.cases()
    assert "48213" in str(case.facts) and (await lines(world)).count("voice_heard") == 1
    await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    before = len(await outgoing(world))
    await world.write("chat", "ana", "¿y cuándo me responden?")
    assert len(await outgoing(world)) == before
    clock.advance(BRIEF)
    await world.ticker.sweep()
    await world.settle(conversation)
    assert len(await outgoing(world)) > before


async def test_without_a_model_or_with_a_broken_one_nobody_waits(world: World, ears: Ears) -> None:
    ears.ready = False
    await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    assert "voice_received" in await lines(world)


async def test_what_waits_when_the_model_turns_out_to_be_broken_is_answered_at_once(world: World, ears: Ears) -> None:
    conversation = await world.write("chat", "ana", "", media=(VOICE,), voice=True)
    ears.ready, ears.says = False, None
    await world.settle(conversation)
    assert await lines(world) == ["ack"]  # held by its row, whichever process looks
    await heard(world)
    assert "voice_received" in await lines(world)


async def test_P24_a_note_that_telegram_still_holds_is_heard_once_it_is_fetched(world: World, ears: Ears) -> None:
    person = {"id": 77, "is_bot": False, "first_name": "Ana", "language_code": "pt"}
    voice = {"file_id": "v1", "file_unique_id": "u1", "duration": 3, "mime_type": "audio/ogg", "file_size": len(OGG)}
    body = {"chat": {"id": 77, "type": "private"}, "from": person, "date": int(world.clock().timestamp())}
    update = Update.de_json({"update_id": 1, "message": body | {"message_id": 5, "voice": voice}}, None)
    arrival = read_telegram(update, account="telegram", now=world.clock())
    assert isinstance(arrival, Inbound) and arrival.voice
    await heard_after_fetching(world, ears, "telegram", arrival, "v1")
    assert ears.asked[0][2] == "pt"


async def test_P24_a_note_that_twilio_still_holds_is_heard_once_it_is_fetched(world: World, ears: Ears) -> None:
    address = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"
    form = {
        "MessageSid": "MM1", "From": "whatsapp:+573001112233", "To": "whatsapp:+14155238886", "Body": "",
        "NumMedia": "1",
        "MediaUrl0": address, "MediaContentType0": "audio/ogg; codecs=opus", "ProfileName": "Ana",
    }  # fmt: skip
    fields = Fields({name: [value] for name, value in form.items()})
    [arrival] = read_twilio(fields, "https://nube.example/twilio", account="chat", now=world.clock())
    assert isinstance(arrival, Inbound) and arrival.voice
    await heard_after_fetching(world, ears, "chat", arrival, address)


async def heard_after_fetching(world: World, ears: Ears, account: str, arrival: Inbound, ref: str) -> None:
    await world.keep(arrival)
    assert not await Listening(world.parts).listen()  # there is nothing to listen to yet
    world.memory(account).files[ref] = OGG
    await MediaFetcher(world.parts).fetch_some()
    await heard(world)
    assert len(ears.asked) == 1 and ears.asked[0][0] == OGG
    assert (await lines(world)).count("voice_heard") == 1 and len(await world.cases()) == 1


async def test_P24_a_note_whose_file_is_refused_is_asked_for_in_writing(world: World, ears: Ears) -> None:
    await world.write("chat", "ana", "", media=(Media(name="audio-1.ogg", ref="gone"),), voice=True)
    await MediaFetcher(world.parts).fetch_some()
    [file] = await rows(world, Attachment)
    assert file.state == "refused"
    await heard(world)
    assert ears.asked == [] and len(await outgoing(world)) == 2


async def test_a_transcript_is_shown_under_its_recording_and_never_as_typed(world: World, ears: Ears) -> None:
    chat = Chat(world.parts, world.intake, "webchat", "s" * 20)
    await chat.say("c1", "", files=[("nota.ogg", OGG)])
    await heard(world)
    [mine] = [one for one in await chat.history() if one.who == "me"]
    assert (mine.text, mine.transcript) == ("", BROKEN) and mine.files
    me = await world.agent()
    [talk] = await rows(world, Conversation)
    room = await world.rooms(me).room(talk.id)
    [entry] = [one for one in room.entries if one.kind == "in"]
    assert (entry.text, entry.transcript) == ("", BROKEN)
    found = await world.rooms(me).search("licuadora")
    assert [line.id for line in found] == [talk.id]
