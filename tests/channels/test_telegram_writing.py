"""What leaves for Telegram: how it is cut, what stands under it, what follows from a refusal."""

import json
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import ReplyKeyboardMarkup

from channels.channel import Address, Button, File, Inbound, Outbound, Rate, Unavailable, Undeliverable
from channels.telegram import Settings, Telegram
from channels.telegram_writing import keyboard, parts, smaller

LIMIT = 4096
SENT = {"message_id": 7, "date": 1, "chat": {"id": 77, "type": "private"}}
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1e8\U0001f1f4"
HAND = "\U0001f44b\U0001f3fe"
ACCENTED = "e\u0301"


class Api:
    """Takes the calls and answers with what the test laid ready, else with success."""

    def __init__(self) -> None:
        self.answers: list[httpx.Response] = []
        self.calls: list[tuple[str, dict[str, str]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rsplit("/", 1)[1]
        self.calls.append((method, dict(parse_qsl(request.read().decode("utf-8", "replace")))))
        return self.answers.pop(0) if self.answers else httpx.Response(200, json={"ok": True, "result": SENT})

    def refuse(self, code: int, description: str) -> None:
        body = {"ok": False, "error_code": code, "description": description}
        self.answers.append(httpx.Response(code, json=body))


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def telegram(api: Api) -> AsyncIterator[Telegram]:
    settings = Settings.model_validate({"token": "4242:AAE"})
    made = Telegram("tg", settings, now=lambda: datetime(2026, 3, 2, tzinfo=UTC), transport=httpx.MockTransport(api))
    yield made
    await made.close()


def outbound(text: str = "Hola", **fields: Any) -> Outbound:
    return Outbound(key="k1", to=Address("tg", "77"), text=text, **fields)


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def texts(text: str) -> list[str]:
    return [part.text for part in parts(outbound(text))]


@pytest.mark.parametrize("mark", ["\n\n", "\n", " "])
def test_a_cut_falls_behind_a_paragraph_a_line_or_a_word(mark: str) -> None:
    before = "palabra " * 400 + "fin." + mark
    link = "https://nube.example/confirmar/" + "k" * 1000
    assert texts(before + link + " adiós") == [before, link + " adiós"]


def test_a_paragraph_is_a_better_place_than_a_line_and_a_line_than_a_word() -> None:
    text = "x" * 3000 + "\n\n" + "y" * 500 + "\n" + "z" * 200 + " " + "w" * 1000
    assert [len(piece) for piece in texts(text)] == [3002, 1702]


@pytest.mark.parametrize("letter", [FAMILY, FLAG, HAND, ACCENTED, "\u2764\ufe0f"], ids=ascii)
@pytest.mark.parametrize("shift", range(4))
def test_a_letter_that_is_made_of_several_is_never_cut(letter: str, shift: int) -> None:
    pieces = texts("x" * shift + letter * 4000)
    rest = "".join(pieces)[shift:]
    assert rest == letter * 4000 and all(units(piece) <= LIMIT for piece in pieces)
    assert all(piece.lstrip("x").replace(letter, "") == "" for piece in pieces)


def test_a_prank_of_thousands_of_accents_still_goes_out() -> None:
    zalgo = "e" + "\u0301" * 9000
    assert "".join(texts(zalgo)) == zalgo


@given(st.text(st.sampled_from("ab \n\u00f1\U0001f621" + FAMILY + FLAG + ACCENTED), max_size=6000))
def test_whatever_is_written_goes_out_whole_and_no_part_is_too_long(text: str) -> None:
    pieces = texts(text * 4)
    assert "".join("".join(pieces).split()) == "".join(text.split()) * 4
    assert all(0 < units(piece) <= LIMIT and piece.strip() for piece in pieces)
    assert all(not unicodedata.combining(piece[0]) for piece in pieces[1:])


async def test_words_that_mean_something_in_markup_go_out_as_they_are_and_no_link_is_opened_by_telegram(
    telegram: Telegram, api: Api
) -> None:
    await telegram.send(outbound("<b>5 < 6</b> & *a* _b_ [c](d) `e` https://nube.example/confirmar/k1"))
    [(_, given)] = api.calls
    assert given["text"] == "<b>5 < 6</b> & *a* _b_ [c](d) `e` https://nube.example/confirmar/k1"
    assert "parse_mode" not in given and "entities" not in given
    assert json.loads(given["link_preview_options"]) == {"is_disabled": True}  # to draw it, Telegram would open it


async def test_what_telegram_finds_too_long_all_the_same_goes_out_in_halves(telegram: Telegram, api: Api) -> None:
    text = "palabra " * 400
    api.refuse(400, "Bad Request: message is too long")
    await telegram.send(outbound(text, buttons=(Button("Sí", "yes"),)))
    halves = [given for _, given in api.calls[1:]]
    assert len(halves) == 2 and "".join(one["text"] for one in halves) == text.strip()
    assert ["reply_markup" in one for one in halves] == [False, True]


async def test_a_caption_that_telegram_finds_too_long_follows_its_file(
    telegram: Telegram, api: Api, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    for kind, call in (("image/png", "sendPhoto"), ("application/pdf", "sendDocument")):
        api.calls.clear()
        api.refuse(400, "Bad Request: message caption is too long")
        await telegram.send(outbound("Así quedó", files=(File("a", kind, tmp_path / "a"),)))
        assert [method for method, _ in api.calls] == [call, call, "sendMessage"]


async def test_cutting_comes_to_an_end(telegram: Telegram, api: Api) -> None:
    for _ in range(20):
        api.refuse(400, "Bad Request: message is too long")
    with pytest.raises(Undeliverable) as caught:
        await telegram.send(outbound("x" * 4000))
    assert caught.value.means == "message"
    assert len(api.calls) < 15
    assert smaller(parts(outbound("corto"))[0]) == []


@pytest.mark.parametrize(
    ("code", "description", "means"),
    [
        (403, "Forbidden: bot was blocked by the user", "address"),
        (403, "Forbidden: user is deactivated", "address"),
        (403, "Forbidden: bot can't initiate conversation with a user", "address"),
        (400, "Bad Request: chat not found", "address"),
        (400, "Bad Request: PEER_ID_INVALID", "address"),
        (400, "Bad Request: have no rights to send a message", "address"),
        (400, "Bad Request: BUTTON_DATA_INVALID", "message"),
        (400, "Bad Request: text must be encoded in UTF-8", "message"),
        (400, "Bad Request: wrong file identifier/HTTP URL specified", "message"),
        (400, "Bad Request: can't parse entities", "message"),
    ],
)
async def test_P15_a_refused_message_says_nothing_against_a_good_address(
    telegram: Telegram, api: Api, code: int, description: str, means: str
) -> None:
    api.refuse(code, description)
    with pytest.raises(Undeliverable) as caught:
        await telegram.send(outbound())
    assert caught.value.means == means


@pytest.mark.parametrize("missing", ["empty", "no file"])
async def test_P15_what_we_cannot_send_says_nothing_against_the_address(
    telegram: Telegram, tmp_path: Path, missing: str
) -> None:
    message = outbound(" ") if missing == "empty" else outbound(files=(File("a", "text/plain", tmp_path / "none"),))
    with pytest.raises(Undeliverable) as caught:
        await telegram.send(message)
    assert caught.value.means == "message"


async def test_a_flood_in_the_middle_of_a_message_waits_as_told_and_goes_on_from_there(
    telegram: Telegram, api: Api, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    files = tuple(File(name, "application/pdf", tmp_path / "a") for name in ("a.pdf", "b.pdf"))
    api.answers = [httpx.Response(200, json={"ok": True, "result": SENT})]
    api.answers.append(
        httpx.Response(
            429,
            json={
                "ok": False,
                "error_code": 429,
                "description": "Too Many Requests: retry after 3",
                "parameters": {"retry_after": 3},
            },
        )
    )
    with pytest.raises(Unavailable) as caught:
        await telegram.send(outbound(files=files))
    assert caught.value.retry_after == timedelta(seconds=3)
    await telegram.send(outbound(files=files))
    assert [method for method, _ in api.calls] == ["sendDocument", "sendDocument", "sendDocument", "sendMessage"]


async def test_what_telegram_bears_is_told_to_those_who_send(telegram: Telegram) -> None:
    second = timedelta(seconds=1)
    assert telegram.features.pace == (Rate(1, second, "recipient"), Rate(30, second, "account"))


def test_R012_a_button_asks_for_the_phone_and_the_others_bring_their_words() -> None:
    shown = keyboard((Button("Compartir mi número", "", asks="phone"), Button("Ahora no", "no")))
    assert isinstance(shown, ReplyKeyboardMarkup)
    assert shown.to_dict() == {
        "keyboard": [[{"text": "Compartir mi número", "request_contact": True}], [{"text": "Ahora no"}]],
        "one_time_keyboard": True,
        "resize_keyboard": True,
    }


async def test_the_person_sees_that_somebody_types(telegram: Telegram, api: Api) -> None:
    came = Inbound(key="1", sender=Address("tg", "77"), text="hola", sent_at=datetime(2026, 3, 2, tzinfo=UTC))
    for _ in range(5):  # five quick messages are no reason for five calls
        await telegram.notice(came)
    assert api.calls == [("sendChatAction", {"chat_id": "77", "action": "typing"})]
    api.refuse(403, "Forbidden: bot was blocked by the user")
    await telegram.notice(replace(came, sender=Address("tg", "78")))  # nobody is the worse for it
    assert len(api.calls) == 2


async def test_P10_after_a_silence_the_oldest_is_asked_for_again(telegram: Telegram, api: Api) -> None:
    """After a week Telegram counts on from any number: with the last offset kept, a lower one would be lost unseen."""
    update = {
        "update_id": 900,
        "message": {
            "message_id": 1,
            "date": 1772461800,
            "from": {"id": 77, "is_bot": False, "first_name": "Ana"},
            "chat": {"id": 77, "type": "private"},
            "text": "hola",
        },
    }
    later = update | {"update_id": 5}
    for batch in ([update], [], [later]):
        api.answers.append(httpx.Response(200, json={"ok": True, "result": batch}))
    listener = telegram.listen({"offset": 900})
    assert [(await anext(listener)).cursor, (await anext(listener)).cursor] == [
        {"offset": 901, "at": 1772409600},
        {"offset": 6, "at": 1772409600},
    ]
    assert [given.get("offset") for _, given in api.calls] == ["900", "901", None]
