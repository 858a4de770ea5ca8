"""Telegram through a whole Acuse: albums, edits, repetitions, blocks, reactions. Telegram itself is a function."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from telegram import Update

from bot.hooks import Forged, Hooks
from bot.policy import Policy
from channels.channel import House, Request
from channels.telegram import Settings, Telegram
from channels.telegram_faults import Faults
from channels.telegram_hook import HEADER, Hook
from channels.telegram_reading import read
from storage.tables import Attachment, Outgoing
from tests.bot.rows import contact, messages, outgoing, rows
from tests.conftest import Clock
from tests.world import World, a_world

ANA = 77
HOUSE = House(bytes(32), "https://nube.example")


class BotApi:
    """Takes what we send; blocked people refuse it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []
        self.blocked = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rsplit("/", 1)[1]
        if method == "getMe":
            return _ok({"id": 1, "is_bot": True, "first_name": "Acuse", "username": "acuse_demo_bot"})
        if self.blocked:
            description = "Forbidden: bot was blocked by the user"
            return httpx.Response(403, json={"ok": False, "error_code": 403, "description": description})
        self.sent.append(dict(parse_qsl(request.read().decode("utf-8", "replace"))))
        message = {"message_id": 1000 + len(self.sent), "date": 1, "chat": {"id": ANA, "type": "private"}}
        return _ok(message)


def _ok(result: Any) -> httpx.Response:
    return httpx.Response(200, json={"ok": True, "result": result})


@pytest.fixture
def api() -> BotApi:
    return BotApi()


@pytest.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path, api: BotApi) -> AsyncIterator[World]:
    settings = Settings.model_validate({"token": "4242:AAE", "webhook": True})
    channel = Telegram("telegram", settings, now=clock, house=HOUSE, transport=httpx.MockTransport(api))
    policy = Policy(undo_seconds=0)
    async with a_world(database_url, clock, tmp_path, policy=policy, channels={"telegram": channel}) as made:
        yield made
    await channel.close()


class Ana:
    """Somebody who uses Telegram; `repeat` says how often Telegram brings each update."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world = world
        self.clock = clock
        self.number = 0
        self.language = "es-419"

    async def does(self, kind: str = "message", *, repeat: int = 1, **fields: Any) -> int:
        self.number += 1
        person = {"id": ANA, "is_bot": False, "first_name": "Ana", "language_code": self.language}
        about: dict[str, Any] = {
            "chat": {"id": ANA, "type": "private"},
            "from": person,
            "date": int(self.clock().timestamp()),
        }
        body = about | ({"message_id": self.number} if "message" in kind else {}) | fields
        update = Update.de_json({"update_id": 500 + self.number, kind: body}, None)
        for _ in range(repeat):
            await self.world.intake.keep("telegram", read(update, account="telegram", now=self.clock()))
        return int(body.get("message_id", 0))

    async def waits(self) -> None:
        """The burst is over, and what follows from it happens: one message a second, as Telegram wants it."""
        for seconds in (3.1, 1.1):
            self.clock.advance(timedelta(seconds=seconds))
            await self.world.ticker.tick()
            for one in await self.world.conversations():
                await self.world.settle(one.id)


@pytest.fixture
def ana(world: World, clock: Clock) -> Ana:
    return Ana(world, clock)


def photo(number: int) -> list[dict[str, Any]]:
    return [{"file_id": f"f{number}", "file_unique_id": f"u{number}", "width": 90, "height": 90, "file_size": 1000}]


def _answers(sent: list[Outgoing]) -> list[Outgoing]:
    return [one for one in sent if one.kind != "ack"]


async def test_an_album_is_one_burst_and_gets_one_answer(world: World, ana: Ana) -> None:
    """Telegram brings each picture by itself; only the first has the words. Each may come twice."""
    words = "El televisor llegó con la pantalla rota, pedido 88231. Quiero que me lo cambien."
    await ana.does(media_group_id="7", photo=photo(1), caption=words, repeat=2)
    for number in (2, 3):
        await ana.does(media_group_id="7", photo=photo(number), repeat=2)
    await ana.waits()
    assert [one.text for one in await messages(world)] == [words, "", ""]
    assert [one.ref for one in await rows(world, Attachment, "ref")] == ["f1", "f2", "f3"]
    assert len(await outgoing(world, "ack")) == 1
    assert len(_answers(await outgoing(world))) == 1
    [case] = await world.cases()
    assert case.type == "reclamo"


async def test_an_edit_is_kept_beside_the_first_version_and_answered_as_it_now_reads(world: World, ana: Ana) -> None:
    number = await ana.does(text="El pedido 88231 llegó roto")
    await ana.does(
        "edited_message", message_id=number, text="El pedido 99999 llegó roto", edit_date=1772461900, repeat=2
    )
    await ana.waits()
    [message] = await messages(world)
    assert message.text == "El pedido 99999 llegó roto"
    assert [one["was"] for one in message.revisions] == ["El pedido 88231 llegó roto"]
    assert len(_answers(await outgoing(world))) == 1


async def test_who_blocks_us_is_not_written_to_until_coming_back(world: World, ana: Ana) -> None:
    await ana.does(text="Hola, quiero poner una queja por el trato en la sede norte")
    await ana.waits()
    member = {"user": {"id": 1, "is_bot": True, "first_name": "Acuse"}}
    gone, here = member | {"status": "kicked", "until_date": 0}, member | {"status": "member"}
    await ana.does("my_chat_member", old_chat_member=here, new_chat_member=gone)
    assert (await contact(world, "telegram", "77")).blocked_at is not None
    await ana.does("my_chat_member", old_chat_member=gone, new_chat_member=here)
    assert (await contact(world, "telegram", "77")).blocked_at is None


async def test_a_person_who_blocked_us_unseen_is_found_out_when_we_write(world: World, ana: Ana, api: BotApi) -> None:
    api.blocked = True
    await ana.does(text="Hola, el pedido 88231 llegó roto")
    await ana.waits()
    assert (await contact(world, "telegram", "77")).blocked_at is not None
    assert {one.state for one in await outgoing(world)} <= {"failed", "withdrawn", "queued"}
    assert api.sent == []


async def test_a_thumb_under_our_message_proves_that_it_was_read(world: World, ana: Ana) -> None:
    await ana.does(text="El pedido 88231 llegó roto")
    await ana.waits()
    sent = (await outgoing(world))[-1]
    assert sent.state == "sent" and sent.provider_id is not None
    number = int(sent.provider_id.split(":")[1])
    thumb = [{"type": "emoji", "emoji": "👍"}]
    person = {"id": ANA, "is_bot": False, "first_name": "Ana"}
    await ana.does("message_reaction", message_id=number, user=person, old_reaction=[], new_reaction=thumb, repeat=3)
    assert (await outgoing(world))[-1].state == "read"
    assert len(await messages(world)) == 1


async def test_P23_the_first_word_of_all_is_a_start_without_words_and_is_answered_in_the_persons_language(
    world: World, ana: Ana, api: BotApi
) -> None:
    ana.language = "pt-br"
    await ana.does(text="/start")
    await ana.waits()
    assert api.sent[0]["text"].startswith("Recebi sua mensagem")
    assert {one.language for one in await outgoing(world)} == {"pt"}
    assert len(await world.cases()) == 0


def call(number: int, text: str, *, secret: str | None = None) -> Request:
    """What Telegram posts for a message of Ana's."""
    hook = Hook("telegram", "4242:AAE", HOUSE, Faults("telegram", "4242:AAE"))
    person, chat = {"id": ANA, "is_bot": False, "first_name": "Ana"}, {"id": ANA, "type": "private"}
    message = {"message_id": number, "date": 1772461800 + number, "from": person, "chat": chat, "text": text}
    body = json.dumps({"update_id": 500 + number, "message": message}).encode()
    return Request(method="POST", url=str(hook.url), headers={HEADER: secret or str(hook.secret)}, body=body)


async def test_P5_twenty_calls_at_once_with_one_message_are_one_message_and_one_answer(world: World, ana: Ana) -> None:
    hooks = Hooks(world.parts, world.intake)
    replies = await asyncio.gather(*(hooks.take("telegram", call(1, "El pedido 88231 llegó roto")) for _ in range(20)))
    assert {reply.status for reply in replies} == {204}
    await ana.waits()
    assert len(await messages(world)) == 1
    assert (len(await outgoing(world, "ack")), len(_answers(await outgoing(world)))) == (1, 1)


async def test_P4_ten_messages_at_once_of_somebody_new_are_one_person_and_one_talk(world: World, ana: Ana) -> None:
    hooks = Hooks(world.parts, world.intake)
    await asyncio.gather(*(hooks.take("telegram", call(number, f"parte {number}")) for number in range(1, 11)))
    await ana.waits()
    assert len(await world.conversations()) == 1
    assert sorted(one.text for one in await messages(world)) == sorted(f"parte {number}" for number in range(1, 11))
    assert (len(await outgoing(world, "ack")), len(_answers(await outgoing(world)))) == (1, 1)


async def test_a_stranger_who_calls_leaves_nothing(world: World) -> None:
    with pytest.raises(Forged):
        await Hooks(world.parts, world.intake).take("telegram", call(1, "soy Ana", secret="guessed"))
    assert await messages(world) == []
