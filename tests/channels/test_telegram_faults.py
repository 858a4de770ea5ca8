"""What Telegram and the network do wrong, and what must be done about it. The network is a function."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from telegram import Update

from channels.channel import (
    Address,
    Blocked,
    Button,
    ChannelError,
    Edited,
    File,
    Media,
    Outbound,
    Unavailable,
    Undeliverable,
)
from channels.telegram import Settings, Telegram
from channels.telegram_reading import read

TOKEN = "4242:AAsecretSECRETsecret"
PAYLOADS = Path(__file__).parent.parent / "payloads" / "telegram"
SENT = {"message_id": 7, "date": 1, "chat": {"id": 77, "type": "private"}}
Answer = httpx.Response | Exception


def ok(result: Any) -> httpx.Response:
    return httpx.Response(200, json={"ok": True, "result": result})


def refused(code: int, description: str, **parameters: Any) -> httpx.Response:
    body = {"ok": False, "error_code": code, "description": description}
    return httpx.Response(code, json=body | ({"parameters": parameters} if parameters else {}))


class Network:
    """Answers each call with the next thing that the test laid ready."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.calls: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request.url.path.rsplit("/", 1)[1])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
async def telegram(network: Network) -> AsyncIterator[Telegram]:
    settings = Settings.model_validate({"token": TOKEN})
    channel = Telegram(
        "telegram", settings, now=lambda: datetime(2026, 3, 2, tzinfo=UTC), transport=httpx.MockTransport(network)
    )
    yield channel
    await channel.close()


def outbound(text: str = "Hola", to: str = "77", **fields: Any) -> Outbound:
    return Outbound(key="k1", to=Address("telegram", to), text=text, **fields)


FAULTS: list[tuple[str, Answer, type[ChannelError], str]] = [
    ("403", refused(403, "Forbidden: bot was blocked by the user"), Undeliverable, "blocked by the user"),
    ("400", refused(400, "Bad Request: chat not found"), Undeliverable, "Chat not found"),
    ("migrated", refused(400, "Bad Request: upgraded", migrate_to_chat_id=-100), Undeliverable, "migrated"),
    ("429", refused(429, "Too Many Requests: retry after 17", retry_after=17), Unavailable, "Flood"),
    ("401", refused(401, "Unauthorized"), Unavailable, "token of telegram is not accepted"),
    ("404", refused(404, "Not Found"), Unavailable, "token of telegram is not accepted"),
    ("409", refused(409, "Conflict: terminated by other getUpdates request"), Unavailable, "somebody else"),
    ("500", refused(500, "Internal Server Error"), Unavailable, "Internal"),
    ("502", httpx.Response(502, text="<html>Bad Gateway</html>"), Unavailable, "Bad Gateway"),
    ("nonsense", httpx.Response(200, text="<html>captive portal</html>"), Unavailable, "Invalid server response"),
    ("not ours", httpx.Response(200, json=["captive portal"]), Unavailable, "Invalid server response"),
    ("half", httpx.Response(200, json={"ok": True}), Unavailable, "Invalid server response"),
    ("timeout", httpx.ReadTimeout("slow"), Unavailable, "Timed out"),
    ("refused", httpx.ConnectError("All connection attempts failed"), Unavailable, "ConnectError"),
    ("leak", httpx.ConnectError(f"no route to https://api.telegram.org/bot{TOKEN}/x"), Unavailable, "<token>"),
]
CASES = pytest.mark.parametrize(
    ("answer", "kind", "words"), [fault[1:] for fault in FAULTS], ids=[f[0] for f in FAULTS]
)


@CASES
async def test_a_fault_is_named_by_what_must_be_done(
    telegram: Telegram, network: Network, answer: Answer, kind: type[ChannelError], words: str
) -> None:
    network.answers = [answer]
    with pytest.raises(kind, match=words) as caught:
        await telegram.send(outbound())
    assert type(caught.value) is kind
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__  # what the library raised is not shown: it may hold the token


async def test_a_page_of_html_fills_neither_log_nor_reason(
    telegram: Telegram, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    network.answers = [httpx.Response(502, text="<p>Bad Gateway</p>" * 1000)]
    with pytest.raises(Unavailable) as caught:
        await telegram.send(outbound())
    assert len(str(caught.value)) < 350
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_the_wait_that_telegram_asks_for_is_passed_on(telegram: Telegram, network: Network) -> None:
    network.answers = [refused(429, "Too Many Requests: retry after 17", retry_after=17)]
    with pytest.raises(Unavailable) as caught:
        await telegram.send(outbound())
    assert caught.value.retry_after == timedelta(seconds=17)


@CASES
async def test_a_listener_gives_up_with_a_reason_and_starts_again_where_it_was(
    telegram: Telegram, network: Network, answer: Answer, kind: type[ChannelError], words: str
) -> None:
    text = json.loads((PAYLOADS / "text.json").read_text("utf-8"))
    network.answers = [answer, ok([text])]
    with pytest.raises(Unavailable, match=words):  # a listener knows no other end
        await anext(telegram.listen({"offset": 5}))
    assert ((await anext(telegram.listen({"offset": 5}))).cursor or {})["offset"] == text["update_id"] + 1


async def test_edits_blocks_and_what_nobody_knows_come_through_the_listener(
    telegram: Telegram, network: Network
) -> None:
    names = ["of_tomorrow", "edited", "broken", "kicked"]
    network.answers = [ok([json.loads((PAYLOADS / f"{name}.json").read_text("utf-8")) for name in names])]
    listener = telegram.listen(None)
    kinds = [type(await anext(listener)) for _ in names]
    assert (kinds[1], kinds[3]) == (Edited, Blocked)


async def test_what_we_cannot_read_for_a_reason_of_our_own_is_logged_and_passed_over(
    telegram: Telegram, network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(*_: Any, **__: Any) -> None:
        raise KeyError("private words")

    monkeypatch.setattr("channels.telegram_reading._message", stumble)
    network.answers = [ok([json.loads((PAYLOADS / "text.json").read_text("utf-8"))])]
    assert (await anext(telegram.listen(None))).cursor == {"offset": 731204402}
    assert "KeyError" in caplog.text and "private words" not in caplog.text


async def test_a_call_that_we_got_wrong_is_an_error_of_ours(
    telegram: Telegram, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    network.answers = [refused(400, "Bad Request: BUTTON_DATA_INVALID"), refused(400, "Bad Request: chat not found")]
    with pytest.raises(Undeliverable):
        await telegram.send(outbound(buttons=(Button("Sí", "x" * 65),)))
    assert [(record.levelname, "k1" in record.message) for record in caplog.records if record.levelno >= 40] == [
        ("ERROR", True)
    ]
    caplog.clear()
    with pytest.raises(Undeliverable):
        await telegram.send(outbound())
    assert [record for record in caplog.records if record.levelno >= 40] == []


async def test_a_second_attempt_does_not_say_again_what_has_left(
    telegram: Telegram, network: Network, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    files = (File("a.pdf", "application/pdf", tmp_path / "a"), File("b.pdf", "application/pdf", tmp_path / "a"))
    network.answers = [ok(SENT), refused(502, "Bad Gateway"), ok(SENT), ok(SENT | {"message_id": 9})]
    with pytest.raises(Unavailable):
        await telegram.send(outbound(files=files))
    assert await telegram.send(outbound(files=files)) == "77:9"
    assert network.calls == ["sendDocument", "sendDocument", "sendDocument", "sendMessage"]
    network.answers = [ok(SENT)] * 3
    await telegram.send(outbound(files=files))  # the same key again, after it was done: everything again
    assert len(network.calls) == 7


async def test_a_picture_that_telegram_does_not_show_goes_as_a_document(
    telegram: Telegram, network: Network, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    network.answers = [refused(400, "Bad Request: PHOTO_INVALID_DIMENSIONS"), ok(SENT)]
    await telegram.send(outbound(files=(File("a.png", "image/png", tmp_path / "a"),)))
    assert network.calls == ["sendPhoto", "sendDocument"]


@pytest.mark.parametrize(
    ("size", "kind", "call"), [(10 * 2**20 + 1, "image/png", "sendDocument"), (9 * 2**20, "image/gif", "sendDocument")]
)
async def test_a_picture_is_a_document_when_it_is_large_or_moves(
    telegram: Telegram, network: Network, tmp_path: Path, size: int, kind: str, call: str
) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(size)
    network.answers = [ok(SENT)]
    await telegram.send(outbound(files=(File("a", kind, tmp_path / "a"),)))
    assert network.calls == [call]


@pytest.mark.parametrize("message", ["no number", "empty", "no file", "too large"])
async def test_what_can_never_go_out_is_not_tried(
    telegram: Telegram, network: Network, tmp_path: Path, message: str
) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(50 * 2**20 + 1)
    hopeless = {
        "no number": outbound(to="ana"),
        "empty": outbound("  "),
        "no file": outbound(files=(File("a", "text/plain", tmp_path / "none"),)),
        "too large": outbound(files=(File("a", "text/plain", tmp_path / "large"),)),
    }
    with pytest.raises(Undeliverable):
        await telegram.send(hopeless[message])
    assert network.calls == []


async def fetch(telegram: Telegram, media: Media) -> bytes:
    return b"".join([piece async for piece in telegram.fetch(media)])


LIMIT = 20 * 2**20


async def test_a_file_that_is_too_large_is_refused_before_anything_is_asked(
    telegram: Telegram, network: Network
) -> None:
    with pytest.raises(Undeliverable, match="20 MB"):
        await fetch(telegram, Media(ref="f", size=LIMIT + 1))
    assert network.calls == []


async def test_a_file_that_turns_out_too_large_is_not_downloaded(telegram: Telegram, network: Network) -> None:
    network.answers = [ok({"file_id": "f", "file_unique_id": "u", "file_size": LIMIT + 1, "file_path": "a/b"})]
    with pytest.raises(Undeliverable, match="20 MB"):
        await fetch(telegram, Media(ref="f"))
    assert network.calls == ["getFile"]


async def test_a_download_stops_at_the_limit_whatever_was_declared(telegram: Telegram, network: Network) -> None:
    network.answers = [
        ok({"file_id": "f", "file_unique_id": "u", "file_size": 10, "file_path": "a/b"}),
        httpx.Response(200, content=bytes(LIMIT + 70_000)),
    ]
    with pytest.raises(Undeliverable, match="20 MB"):
        await fetch(telegram, Media(ref="f", size=10))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(404), Undeliverable),
        (httpx.Response(502), Unavailable),
        (httpx.Response(302, headers={"location": "https://elsewhere.example"}), Unavailable),
        (httpx.ReadError(f"https://api.telegram.org/file/bot{TOKEN}/a/b"), Unavailable),
    ],
    ids=["gone", "busy", "redirected", "broke off"],
)
async def test_a_download_that_fails(
    telegram: Telegram, network: Network, answer: Answer, kind: type[ChannelError]
) -> None:
    network.answers = [ok({"file_id": "f", "file_unique_id": "u", "file_path": "a/b"}), answer]
    with pytest.raises(kind) as caught:
        await fetch(telegram, Media(ref="f"))
    assert TOKEN not in str(caught.value)


@CASES
async def test_check_never_raises_and_names_a_remedy(
    telegram: Telegram, network: Network, answer: Answer, kind: type[ChannelError], words: str
) -> None:
    network.answers = [answer]
    health = await telegram.check()
    assert not health.ok and health.remedy
    assert TOKEN not in f"{health}"


async def test_check_bears_an_answer_that_is_none_of_telegrams(telegram: Telegram, network: Network) -> None:
    network.answers = [ok({"hello": "world"})]
    health = await telegram.check()
    assert not health.ok and "api_base_url" in (health.remedy or "")


ME = {"id": 1, "is_bot": True, "first_name": "Acuse", "username": "acuse_demo_bot"}


async def test_a_deep_link_names_the_bot_and_asks_for_it_once(telegram: Telegram, network: Network) -> None:
    network.answers = [ok(ME)]
    assert await telegram.deep_link("Zk3_q9-Lx0") == "https://t.me/acuse_demo_bot?start=Zk3_q9-Lx0"
    assert await telegram.deep_link("x" * 64) == f"https://t.me/acuse_demo_bot?start={'x' * 64}"
    assert network.calls == ["getMe"]


@pytest.mark.parametrize("payload", ["", "x" * 65, "PQR 1", "ñ", "a\n"])
async def test_a_deep_link_takes_only_what_telegram_takes(telegram: Telegram, payload: str) -> None:
    with pytest.raises(ValueError, match="payload"):
        await telegram.deep_link(payload)


async def test_a_button_that_cannot_be_settled_does_no_harm(telegram: Telegram, network: Network) -> None:
    update = Update.de_json(json.loads((PAYLOADS / "pressed.json").read_text("utf-8")), None)
    pressed = read(update, account="telegram", now=datetime(2026, 3, 2, tzinfo=UTC))
    network.answers = [refused(400, "Bad Request: query is too old"), httpx.ReadTimeout("slow")]
    await telegram.settle(pressed)  # type: ignore[arg-type]  # it is an Inbound; test_telegram_reading says so
    assert network.calls == ["answerCallbackQuery", "editMessageReplyMarkup"]


async def test_the_token_is_never_logged(
    telegram: Telegram, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    """A0-12: also where the address of a file holds it."""
    caplog.set_level(logging.DEBUG)
    network.answers = [
        ok(SENT),
        refused(502, f"Bad Gateway at /bot{TOKEN}/sendMessage"),
        ok({"file_id": "f", "file_unique_id": "u", "file_path": "a/b"}),
        httpx.Response(200, content=b"x"),
    ]
    await telegram.send(outbound())
    with pytest.raises(Unavailable):
        await telegram.send(outbound())
    await fetch(telegram, Media(ref="f"))
    Telegram("other", Settings.model_validate({"token": TOKEN}), now=lambda: datetime.now(UTC))
    assert caplog.records
    assert TOKEN not in caplog.text


async def test_many_sends_at_once_keep_apart(telegram: Telegram, network: Network) -> None:
    network.answers = [ok(SENT | {"message_id": number}) for number in range(50)]
    ids = await asyncio.gather(*(telegram.send(outbound(str(number))) for number in range(50)))
    assert len(set(ids)) == 50


@pytest.mark.parametrize(
    "section",
    [{}, {"token": ""}, {"token": "Zwiebel"}, {"token": TOKEN, "colour": 1}, {"token": TOKEN, "api_base_url": "ftp"}],
)
def test_settings_that_cannot_work_are_refused_without_showing_the_token(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(section)
    assert TOKEN not in str(caught.value) and "Zwiebel" not in str(caught.value)
    assert TOKEN not in repr(Settings.model_validate({"token": f" {TOKEN}\n"}))
