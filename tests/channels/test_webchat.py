"""What a browser may say, and what it may not."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from channels.channel import Address, DeliveryReport, Inbound, Malformed, Media, Outbound
from channels.webchat import Settings, WebChat

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.fixture
def web() -> WebChat:
    return WebChat("web", Settings(), now=lambda: NOW)


async def test_sending_names_the_row_that_the_stream_shows(web: WebChat) -> None:
    assert await web.send(Outbound(key="0195-a", to=Address("web", "s"), text="Hola")) == "web:0195-a"


def test_the_session_and_the_browsers_id_make_the_key(web: WebChat) -> None:
    photo = Media(name="a.jpg", content=b"x")
    written = NOW - timedelta(hours=3)  # offline until now
    assert web.inbound("s1", "c1", " llegó roto\n", media=[photo], language="es-CO", sent_at=written) == Inbound(
        key="s1:c1",
        sender=Address("web", "s1"),
        text="llegó roto",
        sent_at=written,
        media=(photo,),
        language="es-CO",
    )


@pytest.mark.parametrize("said", [{"text": "x"}, {"pressed": "yes:1"}, {"media": [Media(content=b"x")]}])
def test_a_message_needs_a_text_a_button_or_a_file(web: WebChat, said: dict[str, Any]) -> None:
    assert web.inbound("s1", "c1", said.pop("text", ""), **said)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"text": " \n"}, "empty"),
        ({"text": "\x00"}, "empty"),
        ({"text": "x" * 20_001}, "longer"),
        ({"session": ""}, "session"),
        ({"session": "a:b"}, "session"),
        ({"session": "x" * 129}, "session"),
        ({"session": "s1\n"}, "session"),
        ({"client_id": "1:2"}, "message id"),
        ({"client_id": "x" * 65}, "message id"),
        ({"media": [Media(content=b"x")] * 11}, "10 files"),
        ({"pressed": ""}, "button"),
        ({"pressed": "ñ" * 33}, "button"),
        ({"pressed": "a\x00"}, "button"),
        ({"sent_at": datetime(2026, 3, 2, 14, 30)}, "zone"),  # noqa: DTZ001  # the naive time is the case
    ],
)
def test_what_no_browser_of_ours_sends_is_malformed(web: WebChat, change: dict[str, Any], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        web.inbound(**({"session": "s1", "client_id": "c1", "text": "x"} | change))


def test_the_limits_themselves_are_allowed(web: WebChat) -> None:
    said = web.inbound("s" * 128, "c" * 64, "x" * 20_000, media=[Media(content=b"x")] * 10, pressed="ñ" * 32)
    assert len(said.text) == 20_000


@pytest.mark.parametrize("off", [timedelta(minutes=5), timedelta(days=-8), timedelta(days=-9999)])
def test_a_clock_that_is_wrong_is_not_believed(web: WebChat, off: timedelta) -> None:
    assert web.inbound("s1", "c1", "x", sent_at=NOW + off).sent_at == NOW
    assert web.inbound("s1", "c1", "x").sent_at == NOW


def test_a_clock_of_another_zone_is_believed(web: WebChat) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=-5)))
    assert web.inbound("s1", "c1", "x", sent_at=there).sent_at == NOW


@pytest.mark.parametrize("language", [None, "", "es_CO", "<script>", "e", "x" * 40])
def test_a_language_that_is_none_is_left_out(web: WebChat, language: str | None) -> None:
    assert web.inbound("s1", "c1", "x", language=language).language is None


def test_what_a_database_cannot_keep_is_taken_out(web: WebChat) -> None:
    assert web.inbound("s1", "c1", "ro\x00to \ud83d").text == "roto ?"


def test_the_browser_says_that_a_message_was_delivered_or_read(web: WebChat) -> None:
    assert web.report("s1", "web:0195-a", "delivered") == DeliveryReport(
        account="web", provider_id="web:0195-a", state="delivered", at=NOW, recipient="s1"
    )
    assert web.report("s1", "web:0195-a", "read").state == "read"
    for provider_id, state in (("web:0195-a", "failed"), ("77:1", "read")):
        with pytest.raises(Malformed):
            web.report("s1", provider_id, state)


def test_settings() -> None:
    given = Settings.model_validate({"title": "Ayuda", "allowed_origins": ["https://www.Example.com", "http://x:8080"]})
    assert given.allowed_origins == ["https://www.example.com", "http://x:8080"]
    assert given.unread_fallback_seconds == 30


@pytest.mark.parametrize(
    "section",
    [
        {"allowed_origins": ["*"]},
        {"allowed_origins": ["https://x.example/chat"]},
        {"allowed_origins": ["example.com"]},
        {"unread_fallback_seconds": 0},
        {"title": "x" * 81},
    ],
)
def test_settings_that_cannot_work_are_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(section)
