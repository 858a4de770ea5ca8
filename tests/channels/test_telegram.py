"""Telegram against an emulator, with each call of ours judged by the published description of the Bot API."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from channels.channel import Address, Arrival, Button, File, House, Inbound, Media, Outbound, Unavailable, Undeliverable
from channels.telegram import Settings, Telegram
from tests.channels.telegram_wire import Judge, Wire, emulating

NOW = datetime(2026, 3, 2, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
ALL_OURS = {
    *("getMe", "getWebhookInfo", "getUpdates", "getFile", "sendMessage", "sendPhoto", "sendDocument"),
    *("answerCallbackQuery", "editMessageReplyMarkup", "sendChatAction", "setWebhook", "deleteWebhook"),
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with emulating() as base:
        yield base


class Bot:
    """A bot of our own at the emulator, and the people who write to it."""

    def __init__(self, base: str, judge: Judge | None) -> None:
        self.token = f"4242:{uuid4().hex}"
        self.base = base
        self.wire = Wire(judge)
        settings = Settings.model_validate({"token": self.token, "api_base_url": base})
        self.channel = Telegram(
            "telegram",
            settings,
            now=lambda: NOW,
            transport=self.wire,
            poll=timedelta(seconds=2),
        )

    async def hear(self, **update: Any) -> None:
        async with httpx.AsyncClient() as client:
            body = {"token": self.token, "update": update}
            (await client.post(f"{self.base}/__fixture/updates", json=body)).raise_for_status()

    async def hear_text(self, text: str) -> None:
        person = {"id": 77, "is_bot": False, "first_name": "Ana"}
        chat = {"id": 77, "type": "private", "first_name": "Ana"}
        await self.hear(message={"message_id": 5, "date": 1772461800, "from": person, "chat": chat, "text": text})

    def file_ids(self) -> list[str]:
        results = [answer["result"] for answer in self.wire.answers if isinstance(answer["result"], dict)]
        photos = [result["photo"][-1]["file_id"] for result in results if "photo" in result]
        return photos + [result["document"]["file_id"] for result in results if "document" in result]


@pytest.fixture
async def bot(emulator: str, judge_call: Judge | None) -> AsyncIterator[Bot]:
    made = Bot(emulator, judge_call)
    yield made
    await made.channel.close()
    assert made.wire.faults == []


def outbound(text: str = "Hola", **fields: Any) -> Outbound:
    return Outbound(key="k1", to=Address("telegram", "77"), text=text, **fields)


async def soon(attempt: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await attempt():
            await asyncio.sleep(0.02)


async def first(bot: Bot, since: dict[str, int] | None) -> Arrival:
    """What a listener that starts now is given; another one that was just cut off may still hold the line."""
    async with asyncio.timeout(20):
        while True:
            with suppress(Unavailable):
                async with aclosing(bot.channel.listen(since)) as arrivals:  # type: ignore[type-var]  # is a generator
                    return await anext(arrivals)
            await asyncio.sleep(0.02)


def text_of(arrival: Arrival) -> str:
    assert isinstance(arrival, Inbound)
    return arrival.text


async def test_an_update_is_confirmed_only_when_the_next_one_is_asked_for(bot: Bot) -> None:
    await bot.hear_text("one")
    await bot.hear_text("two")
    assert text_of(await first(bot, None)) == "one"  # given, never committed
    assert text_of(await first(bot, None)) == "one"  # so it comes again
    listener = bot.channel.listen(None)
    one, two = await anext(listener), await anext(listener)  # `one` is committed, `two` is not
    assert (text_of(one), text_of(two)) == ("one", "two")
    assert all("offset" not in poll for poll in bot.wire.said("getUpdates"))
    assert text_of(await first(bot, dict(one.cursor or {}))) == "two"

    async def confirmed() -> bool:
        return bot.wire.said("getUpdates")[-1].get("offset") == str((two.cursor or {})["offset"])

    asking = asyncio.ensure_future(anext(listener))  # now `two` is committed too
    await soon(confirmed)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await bot.hear_text("three")
    assert text_of(await first(bot, None)) == "three"  # even without a cursor


async def test_what_was_written_while_we_were_away_is_read_on_the_first_start(bot: Bot) -> None:
    await bot.hear_text("before you were there")
    assert text_of(await first(bot, None)) == "before you were there"
    polls = bot.wire.said("getUpdates")
    kinds = ["message", "edited_message", "callback_query", "my_chat_member", "message_reaction"]
    assert [json.loads(poll["allowed_updates"]) for poll in polls] == [kinds] * len(polls)
    assert polls[0]["timeout"] == "2"


async def test_silence_is_waited_out_and_the_next_message_comes_at_once(bot: Bot) -> None:
    listening = asyncio.ensure_future(first(bot, None))

    async def polled_again() -> bool:
        return len(bot.wire.said("getUpdates")) > 1

    await soon(polled_again)
    await bot.hear_text("still there?")
    assert text_of(await listening) == "still there?"


async def test_a_question_with_buttons_is_pressed_and_settled(bot: Bot) -> None:
    buttons = (Button("Sí", "yes:1"), Button("Todavía no", "no:1"), Button("Quiero hablar con una persona", "human"))
    sent = await bot.channel.send(outbound("¿Quedó bien resuelto? <no> & *ni* _esto_", buttons=buttons))
    question = bot.wire.answers[-1]["result"]
    assert sent == f"77:{question['message_id']}"
    assert question["text"] == "¿Quedó bien resuelto? <no> & *ni* _esto_"
    assert "parse_mode" not in bot.wire.said("sendMessage")[0]
    rows = question["reply_markup"]["inline_keyboard"]
    assert [[button["text"] for button in row] for row in rows] == [
        ["Sí", "Todavía no"],
        ["Quiero hablar con una persona"],
    ]

    person = {"id": 77, "is_bot": False, "first_name": "Ana"}
    await bot.hear(
        callback_query={"id": "900", "from": person, "message": question, "chat_instance": "1", "data": "no:1"}
    )
    pressed = await first(bot, None)
    assert isinstance(pressed, Inbound)
    assert (pressed.pressed, pressed.text, pressed.replies_to) == ("no:1", "Todavía no", (sent,))
    await bot.channel.settle(pressed)
    assert bot.wire.said("answerCallbackQuery") == [{"callback_query_id": "900"}]
    assert bot.wire.said("editMessageReplyMarkup") == [{"chat_id": "77", "message_id": str(question["message_id"])}]


async def test_settling_what_is_no_button_asks_nothing(bot: Bot) -> None:
    await bot.hear_text("hola")
    arrival = await first(bot, None)
    assert isinstance(arrival, Inbound)
    before = len(bot.wire.calls)
    await bot.channel.settle(arrival)
    assert len(bot.wire.calls) == before


async def fetched(bot: Bot, media: Media) -> bytes:
    return b"".join([piece async for piece in bot.channel.fetch(media)])


async def test_R014_a_photo_goes_out_with_its_words_and_can_be_fetched(bot: Bot, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    picture = File("a.png", "image/png", tmp_path / "a.png")
    await bot.channel.send(outbound("Así quedó", files=(picture,), buttons=(Button("Sí", "yes"),)))
    assert [method for method, _ in bot.wire.calls] == ["sendPhoto"]
    assert bot.wire.said("sendPhoto")[0]["caption"] == "Así quedó"
    assert await fetched(bot, Media(ref=bot.file_ids()[0], size=len(PNG))) == PNG


async def test_R014_a_document_goes_out_under_its_name_and_can_be_fetched(bot: Bot, tmp_path: Path) -> None:
    content = b"%PDF-1.7" + bytes(200_000)
    (tmp_path / "x").write_bytes(content)
    await bot.channel.send(outbound("", files=(File("respuesta ñ.pdf", "application/pdf", tmp_path / "x"),)))
    assert [method for method, _ in bot.wire.calls] == ["sendDocument"]
    assert "caption" not in bot.wire.said("sendDocument")[0]
    assert await fetched(bot, Media(ref=bot.file_ids()[0])) == content


async def test_files_go_first_and_the_buttons_stand_under_the_text(bot: Bot, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    files = (File("a.png", "image/png", tmp_path / "a.png"), File("a.svg", "image/svg+xml", tmp_path / "a.png"))
    sent = await bot.channel.send(outbound("Dos archivos", files=files, buttons=(Button("Sí", "yes"),)))
    assert [method for method, _ in bot.wire.calls] == ["sendPhoto", "sendDocument", "sendMessage"]
    assert ["reply_markup" in parameters for _, parameters in bot.wire.calls] == [False, False, True]
    assert sent == f"77:{bot.wire.answers[-1]['result']['message_id']}"


async def test_a_text_that_is_too_long_by_telegrams_measure_is_cut_and_nothing_gets_lost(bot: Bot) -> None:
    text = "😡" * 2049 + "fin"  # 2,052 characters for us, 4,101 units for Telegram
    await bot.channel.send(outbound(text, buttons=(Button("Sí", "yes"),)))
    pieces = bot.wire.said("sendMessage")
    assert "".join(piece["text"] for piece in pieces) == text
    assert ["reply_markup" in piece for piece in pieces] == [False, True]


async def test_a_file_that_telegram_does_not_know_is_gone(bot: Bot) -> None:
    with pytest.raises(Undeliverable, match="file_id"):
        await fetched(bot, Media(ref="nothing"))


async def test_check_says_who_we_are(bot: Bot) -> None:
    await bot.hear_text("hola")
    health = await bot.channel.check()
    assert (health.ok, health.detail, health.remedy) == (True, "Fixture, 1 waiting", None)


async def test_check_tells_of_a_webhook_that_takes_our_messages(bot: Bot) -> None:
    async with httpx.AsyncClient() as client:
        await client.post(f"{bot.base}/bot{bot.token}/setWebhook", data={"url": "https://elsewhere.example/hook"})
    health = await bot.channel.check()
    assert not health.ok
    assert "webhook" in health.detail
    assert health.remedy is not None and "deleteWebhook" in health.remedy and bot.token not in health.remedy
    with pytest.raises(Unavailable, match="somebody else"):
        await anext(bot.channel.listen(None))


async def test_every_kind_of_call_that_we_make_is_one_that_telegram_describes(
    bot: Bot, described: object, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    files = (File("a.png", "image/png", tmp_path / "a.png"), File("a.pdf", "application/pdf", tmp_path / "a.png"))
    await bot.channel.check()
    await bot.channel.send(outbound(buttons=(Button("Sí", "yes"),), files=files))
    await fetched(bot, Media(ref=bot.file_ids()[0]))
    person = {"id": 77, "is_bot": False, "first_name": "Ana"}
    question = bot.wire.answers[2]["result"] | {"chat": {"id": 77, "type": "private"}}
    await bot.hear(callback_query={"id": "9", "from": person, "message": question, "chat_instance": "1", "data": "x"})
    pressed = await first(bot, {"offset": 1})
    assert isinstance(pressed, Inbound)
    await bot.channel.settle(pressed)
    await bot.channel.notice(pressed)
    await bot.channel.send(outbound(buttons=(Button("Mi número", "", asks="phone"), Button("No", "no"))))
    await called_and_asking_again(bot)
    assert {method for method, _ in bot.wire.calls} == ALL_OURS
    assert bot.wire.faults == []


async def called_and_asking_again(bot: Bot) -> None:
    house = House(bytes(32), "http://127.0.0.1:1")
    for webhook in (True, False):
        settings = Settings.model_validate({"token": bot.token, "api_base_url": bot.base, "webhook": webhook})
        channel = Telegram(
            "telegram", settings, now=lambda: NOW, house=house, transport=bot.wire, poll=timedelta(seconds=1)
        )
        listening = asyncio.ensure_future(anext(channel.listen(None)))
        wanted = "setWebhook" if webhook else "deleteWebhook"

        async def said(wanted: str = wanted) -> bool:
            return len(bot.wire.said(wanted)) > 0

        await soon(said)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await channel.close()
