"""What Telegram sends, read from payloads in the shape of the Bot API: an oddity that is met is a file and a line."""

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from telegram import Update

from channels.channel import Address, Arrival, Blocked, DeliveryReport, Edited, Ignored, Inbound, Media
from channels.telegram_reading import offset, read
from channels.telegram_request import Request

PAYLOADS = Path(__file__).parent.parent / "payloads" / "telegram"
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
READ_AT = 1772463600
WRITTEN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
ANA = Address("tg", "5512345678")
MOIST = Media(name="photo-4102.jpg", declared_type="image/jpeg", size=186211, ref="AgACAgEAAxkBAAIx")


def payload(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return loaded


def arrival(name: str) -> Arrival:
    """The way that a payload takes when it comes from a poll."""
    answer = Request.parse_json_payload(json.dumps({"ok": True, "result": [payload(name)]}).encode())
    return read(Update.de_json(answer["result"][0], None), account="tg", now=NOW)


def inbound(name: str) -> Inbound:
    read_one = arrival(name)
    assert isinstance(read_one, Inbound), read_one
    return read_one


@pytest.fixture(autouse=True)
def _timedelta(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    yield


def test_a_text_with_everything_that_telegram_says_of_it() -> None:
    assert inbound("text") == Inbound(
        key="731204401",
        sender=ANA,
        text="Buenas, el pedido 88231 llegó roto y nadie responde 😡",
        sent_at=WRITTEN,
        name="Ana María Gómez",
        language="es",
        provider_id="5512345678:4101",
        cursor={"offset": 731204402, "at": READ_AT},
    )


@pytest.mark.parametrize(
    ("name", "text", "media"),
    [
        (
            "photo",
            "así llegó la caja",
            Media(name="photo-4102.jpg", declared_type="image/jpeg", size=186211, ref="AgACAgEAAxkBAAIx"),
        ),
        (
            "document",
            "",
            Media(name="factura 88231.pdf", declared_type="application/pdf", size=84213, ref="BQACAgEAAxkBAAIdoc"),
        ),
        ("voice", "", Media(name="voice-4104.ogg", declared_type="audio/ogg", size=28471, ref="AwACAgEAAxkBAAIvoice")),
        ("audio", "", Media(name="llamada.mp3", declared_type="audio/mpeg", size=982110, ref="CQACAgEAAxkBAAIaudio")),
        (
            "video",
            "",
            Media(name="IMG_2041.MOV", declared_type="video/quicktime", size=25000000, ref="BAACAgEAAxkBAAIvideo"),
        ),
        (
            "video_note",
            "",
            Media(name="video-4107.mp4", declared_type="video/mp4", size=410000, ref="DQACAgEAAxkBAAInote"),
        ),
        ("animation", "", Media(name="fuga.mp4", declared_type="video/mp4", size=50000, ref="CgACAgEAAxkBAAIanim")),
        ("sticker_without_emoji", "", Media(name="sticker-4110", size=17810, ref="CAACAgEAAxkBAAIstick")),
    ],
)
def test_a_file_is_a_reference_and_is_read_once(name: str, text: str, media: Media) -> None:
    assert (inbound(name).text, inbound(name).media) == (text, (media,))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sticker", "👍"),
        ("dice", "🎲"),
        ("poll", "¿Mañana hay servicio?"),
        ("location", "4.609713, -74.081749"),
        ("venue", "Tienda Centro, Cra 7 # 12-30 (4.609713, -74.081749)"),
        ("contact_own", "Ana María Gómez +573001234567"),
        ("checklist", "Lo que falló\n- El router\n- La factura"),
    ],
)
def test_what_has_no_text_is_read_as_a_person_would_see_it(name: str, text: str) -> None:
    assert inbound(name).text == text
    assert inbound(name).media == ()


@pytest.mark.parametrize(
    ("name", "card", "proved"),
    [
        ("contact_own", "+573001234567", "+573001234567"),
        ("contact_of_somebody_else", "+573007654321", None),
        ("contact_forwarded", "+573001234567", None),
        ("contact_through_an_inline_bot", "+573001234567", None),
        ("contact_that_nobody_vouches_for", "+573001234567", None),
        ("text", None, None),
    ],
)
def test_R012_a_phone_number_is_vouched_for_only_when_it_is_the_senders_own(
    name: str, card: str | None, proved: str | None
) -> None:
    assert (inbound(name).extra.get("phone"), inbound(name).phone) == (card, proved)


@pytest.mark.parametrize(
    ("name", "spoken"), [("voice", True), ("video_note", True), ("voice_with_words", False), ("audio", False)]
)
def test_P24_what_was_only_spoken_says_so(name: str, spoken: bool) -> None:
    assert inbound(name).voice is spoken
    assert inbound(name).media


def test_P23_the_language_is_known_whatever_the_country() -> None:
    assert (inbound("start_in_brazil").language, inbound("text").language) == ("pt", "es")
    nobodys = payload("text")
    del nobodys["message"]["from"]["language_code"]
    unknown = read(Update.de_json(nobodys, None), account="tg", now=NOW)
    assert isinstance(unknown, Inbound) and unknown.language is None


def test_a_link_that_stands_behind_other_words_is_kept_as_proof() -> None:
    assert inbound("hidden_link").text == (
        "¿Esto es de ustedes? Actualice sus datos AQUÍ o en https://nube.example\nhttps://nuve-pagos.example/x?y=1"
    )


def test_a_reaction_to_a_message_of_ours_proves_that_it_was_read() -> None:
    assert arrival("reaction") == DeliveryReport(
        account="tg",
        provider_id="5512345678:4096",
        state="read",
        at=WRITTEN + timedelta(seconds=30),
        recipient=ANA.value,
        cursor={"offset": payload("reaction")["update_id"] + 1, "at": READ_AT},
    )


@pytest.mark.parametrize(
    ("hours", "asked"), [(0, 5), (23, 5), (25, None)], ids=["just now", "what Telegram still has", "long ago"]
)
def test_an_offset_from_which_telegram_has_nothing_left_is_not_used(hours: int, asked: int | None) -> None:
    """After a week of silence it counts on from a number of its choice: an old offset could confirm new messages."""
    assert offset({"offset": 5, "at": READ_AT}, NOW + timedelta(hours=hours)) == asked


def test_a_cursor_of_an_earlier_release_is_used_and_none_means_the_oldest() -> None:
    assert (offset({"offset": 5}, NOW), offset(None, NOW)) == (5, None)


def test_a_location_is_kept_as_numbers() -> None:
    assert inbound("location").extra == {"location": {"latitude": 4.609713, "longitude": -74.081749}}


def test_the_pictures_of_an_album_come_one_by_one_and_know_that_they_belong_together() -> None:
    first, second = inbound("album_1"), inbound("album_2")
    assert first.extra["album"] == second.extra["album"] == "13678901234567890"
    assert first.key != second.key
    assert (first.text, second.text) == ("los dos daños", "")


def test_a_deep_link_brings_its_payload_and_the_text_does_not_show_it() -> None:
    assert (inbound("start_payload").start, inbound("start_payload").text) == ("Zk3_q9-Lx0", "/start")
    assert (inbound("start").start, inbound("start").text) == ("", "/start")
    assert inbound("text").start is None


def test_an_answer_names_what_it_answers() -> None:
    assert inbound("reply").replies_to == ("5512345678:4095",)


@pytest.mark.parametrize(
    ("name", "original", "text", "after", "media"),
    [
        ("edited", "5512345678:4101", "Buenas, el pedido 88232 llegó roto", 45, ()),
        ("edited_caption", "5512345678:4102", "así llegó la caja, mojada", 50, (MOIST,)),
    ],
)
def test_an_edit_names_its_first_version_and_the_file_that_it_has_now(
    name: str, original: str, text: str, after: int, media: tuple[Media, ...]
) -> None:
    number = payload(name)["update_id"]
    assert arrival(name) == Edited(
        key=str(number),
        original=original,
        sender=ANA,
        text=text,
        sent_at=WRITTEN + timedelta(seconds=after),
        media=media,
        cursor={"offset": number + 1, "at": READ_AT},
    )


def test_a_pressed_button_has_its_payload_its_words_and_what_settling_needs() -> None:
    pressed = inbound("pressed")
    assert (pressed.pressed, pressed.text, pressed.sent_at) == ("no:9f2c", "Todavía no", NOW)
    assert pressed.sender == ANA
    assert pressed.replies_to == ("5512345678:4096",)
    assert pressed.extra == {"callback": "23675192345678901", "chat": 5512345678, "message": 4096}


def test_a_button_under_a_message_that_telegram_no_longer_shows_still_counts() -> None:
    pressed = inbound("pressed_under_an_old_message")
    assert (pressed.pressed, pressed.text) == ("yes:0001", "")


def test_leaving_and_coming_back() -> None:
    seconds = timedelta(seconds=1)
    assert arrival("kicked") == Blocked(
        address=ANA,
        blocked=True,
        at=WRITTEN + 5 * seconds,
        cursor={"offset": payload("kicked")["update_id"] + 1, "at": READ_AT},
    )
    back = arrival("back_again")
    assert isinstance(back, Blocked)
    assert not back.blocked


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("group", "not a private chat"),
        ("added_to_group", "not a private chat"),
        ("from_a_bot", "written by a bot"),
        ("channel_post", "a kind of update that we do not read"),
        ("pinned", "without text or file"),
        ("of_tomorrow", "a kind of update that we do not read"),
        ("broken", "a kind of update that we do not read"),
        ("pressed_inline", "a button that is not under a message of ours"),
        ("live_location_moved", "a live location moved"),
        ("reaction_taken_back", "taken back"),
        ("reaction_in_a_group", "not a private chat"),
    ],
)
def test_what_we_do_not_read_only_moves_the_cursor(name: str, why: str) -> None:
    ignored = arrival(name)
    assert isinstance(ignored, Ignored)
    assert why in ignored.why
    assert ignored.cursor == {"offset": payload(name)["update_id"] + 1, "at": READ_AT}


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
def test_every_arrival_can_be_stored_as_json(path: Path) -> None:
    read_one = arrival(path.stem)
    for name in {"cursor", "extra"} & {field.name for field in fields(read_one)}:
        assert json.loads(json.dumps(getattr(read_one, name))) == getattr(read_one, name)


def test_what_a_database_cannot_keep_is_taken_out() -> None:
    odd = payload("text")
    odd["message"]["text"] = "ro\x00to \ud83d"
    odd["message"]["from"]["first_name"] = "A\x00na"
    read_one = read(Update.de_json(odd, None), account="tg", now=NOW)
    assert isinstance(read_one, Inbound)
    assert (read_one.text, read_one.name) == ("roto ?", "Ana Gómez")


def test_a_part_that_the_library_cannot_read_does_not_take_the_words_along() -> None:
    assert inbound("half_broken").text == "¿y esto?"


def test_one_update_that_cannot_be_read_does_not_take_the_others_along() -> None:
    batch = {"ok": True, "result": [payload("text"), payload("broken"), payload("photo")]}
    answer = Request.parse_json_payload(json.dumps(batch).encode())
    kinds = [type(read(Update.de_json(item, None), account="tg", now=NOW)) for item in answer["result"]]
    assert kinds == [Inbound, Ignored, Inbound]
