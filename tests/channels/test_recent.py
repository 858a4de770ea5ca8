"""What channels remember of messages and people is bounded, also while nothing ever succeeds."""

from pathlib import Path

import httpx
import pytest

from channels.channel import Address, File, House, Outbound, Unavailable
from channels.recent import LIMIT, Recent
from channels.slack import Slack
from channels.telegram import Settings as TelegramSettings
from channels.telegram import Telegram
from channels.whatsapp import Settings as WhatsAppSettings
from channels.whatsapp import WhatsApp
from tests.channels.at_slack import TEAM, a_slack, account, now
from tests.channels.at_twilio import ACCOUNT, HERE, TOKEN


def test_the_one_that_was_kept_longest_ago_is_forgotten() -> None:
    known: Recent[int] = Recent(2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        known.keep(key, value)
    assert (known.get("a"), known.get("b"), known.get("c"), len(known)) == (3, None, 4, 2)
    known.drop("a")
    known.drop("never there")
    assert known.get("a") is None


@pytest.fixture
def file(tmp_path: Path) -> File:
    path = tmp_path / ("a" * 64)
    path.write_bytes(b"%PDF-1.7")
    return File("a.pdf", "application/pdf", path)


def message(number: int, *files: File, to: str = "77") -> Outbound:
    return Outbound(key=f"k{number}", to=Address("a", to), text="Va.", files=files)


MANY = range(LIMIT + 5)


async def test_twilio_that_takes_files_and_never_texts_fills_nothing(file: File) -> None:
    async def half(request: httpx.Request) -> httpx.Response:
        if b"MediaUrl" in request.content:
            return httpx.Response(201, json={"sid": "SM1", "status": "queued"})
        return httpx.Response(503)

    section = {"account_sid": ACCOUNT, "auth_token": TOKEN, "from_number": "+14155238886"}
    channel = WhatsApp(
        "w",
        WhatsAppSettings.model_validate(section),
        now=now,
        house=House(bytes(32), HERE),
        transport=httpx.MockTransport(half),
    )
    for number in MANY:
        with pytest.raises(Unavailable):
            await channel.send(message(number, file, to="+573001112233"))
    assert len(channel._left) == LIMIT
    await channel.close()


async def test_telegram_that_takes_files_and_never_texts_fills_nothing(file: File) -> None:
    sent = {"message_id": 1, "date": 0, "chat": {"id": 77, "type": "private"}}

    async def half(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("sendDocument"):
            return httpx.Response(200, json={"ok": True, "result": sent})
        return httpx.Response(502, json={"ok": False, "error_code": 502, "description": "Bad Gateway"})

    settings = TelegramSettings.model_validate({"token": "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"})
    channel = Telegram("tg", settings, now=now, transport=httpx.MockTransport(half))
    for number in MANY:
        with pytest.raises(Unavailable):
            await channel.send(message(number, file, file))
    assert len(channel._left) == LIMIT
    await channel.close()


async def test_slack_remembers_the_newest_rooms_and_asks_for_the_others_again() -> None:
    async with a_slack() as slack:
        channel = account(slack.url, socket=False)
        assert isinstance(channel, Slack)
        for number in MANY:
            channel._rooms.keep(f"U{number}", f"D{number}")
        slack.person(f"U{MANY[-1]}", "Luis")
        await channel.send(message(1, to=f"{TEAM}:U0ANA"))
        await channel.send(message(2, to=f"{TEAM}:U{MANY[-1]}"))
        assert len(slack.asked("conversations.open")) == 1 and len(channel._rooms) == LIMIT
        await channel.close()


async def test_slack_that_takes_files_and_never_texts_fills_nothing(file: File) -> None:
    async with a_slack() as slack:
        channel = account(slack.url, socket=False)
        for number in MANY[1:]:
            channel._left.keep(f"k{number}", 1)
        slack.errors.append(("chat.postMessage", "internal_error"))
        with pytest.raises(Unavailable):
            await channel.send(message(0, file, to=f"{TEAM}:U0ANA"))
        assert len(channel._left) == LIMIT and channel._left.get("k0") == 1
        await channel.close()
