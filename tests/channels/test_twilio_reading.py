"""What Twilio posts: the signature cases of the specification, then each kind of message, number and report."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # it ships no types

from channels.channel import (
    Arrival,
    Blocked,
    ChannelError,
    DeliveryReport,
    Forged,
    House,
    Ignored,
    Inbound,
    Malformed,
    Request,
    Unavailable,
    Undeliverable,
    Unsupported,
)
from channels.twilio_errors import VERDICTS, fault
from channels.twilio_numbers import variants
from channels.twilio_sms import Settings as SmsSettings
from channels.twilio_sms import Sms
from channels.whatsapp import Settings, WhatsApp
from tests.channels.at_twilio import ACCOUNT, HERE, TOKEN, callback, signed, written

URL = f"{HERE}/webhooks/whatsapp"
NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
SECTION: dict[str, Any] = {"account_sid": ACCOUNT, "auth_token": TOKEN, "from_number": "+14155238886"}


def whatsapp(**settings: Any) -> WhatsApp:
    house = House(bytes(32), HERE, "Nube")
    return WhatsApp("whatsapp", Settings.model_validate(SECTION | settings), now=lambda: NOW, house=house)


def sms() -> Sms:
    house = House(bytes(32), HERE, "Nube")
    return Sms("sms", SmsSettings.model_validate(SECTION), now=lambda: NOW, house=house)


def one(arrivals: list[Arrival]) -> Inbound:
    (inbound,) = arrivals
    assert isinstance(inbound, Inbound)
    return inbound


def read(**more: str) -> Inbound:
    return one(whatsapp().read(signed(written(**more))))


def report(status: str, **more: str) -> DeliveryReport:
    (arrival,) = whatsapp().read(signed(callback(status, **more), url=f"{URL}/status?key=k-1"))
    assert isinstance(arrival, DeliveryReport)
    return arrival


# -- signatures


def test_the_exact_address_passes_with_and_without_its_port() -> None:
    assert one(whatsapp().read(signed(written(), url=URL))).text == "Hola"
    with_port = signed(written(), url=URL.replace("acuse.example", "acuse.example:443"))
    assert one(whatsapp().read(replace(with_port, url=URL))).text == "Hola"


@pytest.mark.parametrize("called", [URL.replace("https", "http"), "https://internal:8080/webhooks/whatsapp", URL + "/"])
def test_what_a_proxy_makes_of_the_address_does_not_pass(called: str) -> None:
    with pytest.raises(Forged):
        whatsapp().read(replace(signed(written(), url=URL), url=called))


def test_blanks_in_the_body_are_under_the_signature_and_gone_from_the_text() -> None:
    request = signed(written("  dos  palabras \r\n"))
    assert one(whatsapp().read(request)).text == "dos  palabras"
    trimmed = urlencode({**written("  dos  palabras \r\n"), "Body": "dos  palabras"}).encode()
    with pytest.raises(Forged):
        whatsapp().read(replace(request, body=trimmed))


@pytest.mark.parametrize("signature", ["", "x", "ñ", "a" * 28])
def test_a_wrong_or_missing_signature_is_forged(signature: str) -> None:
    request = signed(written())
    with pytest.raises(Forged):
        whatsapp().read(replace(request, headers={**request.headers, "x-twilio-signature": signature}))
    bare = {name: value for name, value in request.headers.items() if name != "x-twilio-signature"}
    with pytest.raises(Forged):
        whatsapp().read(replace(request, headers=bare))


def test_both_tokens_pass_while_they_are_changed() -> None:
    changing = whatsapp(auth_token_next="67890")
    for token in (TOKEN, "67890"):
        assert changing.read(signed(written(), token=token))
    with pytest.raises(Forged):
        changing.read(signed(written(), token="99999"))
    with pytest.raises(Forged):
        whatsapp().read(signed(written(), token="67890"))


def test_a_webhook_key_signs_with_another_algorithm() -> None:
    header = {"x-twilio-webhooks-signature-settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"}
    request = signed(written(), token="s3cret", algorithm="HMAC_SHA256", headers=header)
    assert whatsapp(shared_key="s3cret").read(request)
    with pytest.raises(Forged):  # the auth token is no webhook key
        whatsapp().read(signed(written(), token=TOKEN, algorithm="HMAC_SHA256", headers=header))
    unknown = {"x-twilio-webhooks-signature-settings": "key=1,algorithm=NONE"}
    with pytest.raises(Forged):
        whatsapp(shared_key="s3cret").read(replace(request, headers={**request.headers, **unknown}))


def test_an_event_in_json_is_checked_by_its_hash_and_passed_over() -> None:
    body = '{"type": "com.twilio.something"}'
    validator = RequestValidator(TOKEN)
    url = f"{URL}?bodySHA256={validator.compute_hash(body)}"
    headers = {"content-type": "application/json", "x-twilio-signature": validator.compute_signature(url, {})}
    request = Request(method="POST", url=url, headers=headers, body=body.encode())
    with pytest.raises(Unsupported):
        whatsapp().read(request)
    with pytest.raises(Forged):
        whatsapp().read(replace(request, body=b'{"type": "another"}'))
    bare = {**headers, "x-twilio-signature": validator.compute_signature(URL, {})}
    with pytest.raises(Forged):  # signed over the address alone: the body could be anything
        whatsapp().read(replace(request, url=URL, headers=bare))


def test_an_account_can_be_called_at_an_address_of_its_own() -> None:
    request = signed(written(), url="https://hooks.nube.example/webhooks/whatsapp?a=1")
    passed_on = replace(request, url=f"{URL}?a=1")
    assert whatsapp(public_url="https://hooks.nube.example").read(passed_on)
    with pytest.raises(Forged):
        whatsapp().read(passed_on)


@given(st.binary(max_size=300), st.text(max_size=60), st.sampled_from(["application/json", "", "text/plain; x"]))
def test_nothing_that_anybody_posts_makes_it_stumble(body: bytes, signature: str, kind: str) -> None:
    headers = {"content-type": kind, "x-twilio-signature": signature}
    with pytest.raises((Forged, Malformed)):
        READER.read(Request(method="POST", url=URL, headers=headers, body=body))


READER = whatsapp()


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), max_size=8))
def test_whatever_fields_twilio_adds_it_reads_on(more: dict[str, str]) -> None:
    fields = written("Hola") | {f"New{name}": value for name, value in more.items()}
    clean = {k.encode("utf-8", "ignore").decode(): v.encode("utf-8", "ignore").decode() for k, v in fields.items()}
    assert one(READER.read(signed(clean))).text == "Hola"


@pytest.mark.parametrize("missing", [("MessageSid", "SmsSid"), ("From",)])
def test_what_twilio_could_not_have_sent_is_malformed(missing: tuple[str, ...]) -> None:
    with pytest.raises(Malformed):
        whatsapp().read(signed({name: value for name, value in written().items() if name not in missing}))


# -- messages


def test_a_message_with_everything() -> None:
    more = {"NumMedia": "2", "OriginalRepliedMessageSid": "SM9", "Forwarded": "true"}
    more |= {"MediaUrl0": "https://api.twilio.com/m/0", "MediaContentType0": "image/jpeg"}
    more |= {"MediaUrl1": "https://api.twilio.com/m/1", "MediaContentType1": "application/pdf"}
    inbound = read(text="Llegó roto", **more)
    assert (inbound.key, inbound.provider_id) == ("SM" + "1" * 32,) * 2
    assert (inbound.sender.account, inbound.sender.value, inbound.name) == ("whatsapp", "+573001112233", "Ana")
    assert (inbound.sent_at, inbound.replies_to, inbound.voice) == (NOW, ("SM9",), False)
    assert [(m.name, m.declared_type, m.ref) for m in inbound.media] == [
        ("foto-1.jpg", "image/jpeg", "https://api.twilio.com/m/0"),
        ("documento-2.pdf", "application/pdf", "https://api.twilio.com/m/1"),
    ]


def test_a_pressed_button_and_a_chosen_line_bring_back_their_payload() -> None:
    pressed = read(text="Sí", ButtonText="Sí", ButtonPayload="solved:yes@PQR-7K3M9QX")
    assert (pressed.text, pressed.pressed) == ("Sí", "solved:yes@PQR-7K3M9QX")
    chosen = read(text="", ListId="type:queja", ListTitle="Algo salió mal")
    assert (chosen.text, chosen.pressed) == ("Algo salió mal", "type:queja")


def test_P24_a_voice_note_is_marked_as_spoken() -> None:
    media = {"NumMedia": "1", "MediaUrl0": "https://api.twilio.com/m", "MediaContentType0": "audio/ogg; codecs=opus"}
    spoken = read(text="", **media)
    assert spoken.voice and spoken.media[0].name == "audio-1.ogg" and spoken.media[0].declared_type == "audio/ogg"
    assert not read(text="escucha", **media).voice
    assert not read(text="").voice


def test_a_place_is_readable() -> None:
    place = read(text="", Latitude="4.65", Longitude="-74.05", Label="Sede Centro", Address="Cra 7 # 12")
    assert place.text == "📍 Sede Centro, Cra 7 # 12, 4.65,-74.05"


def test_a_user_without_a_number_is_an_opaque_id() -> None:
    inbound = read(sender="whatsapp:CO.1234567890123456", WaId="")
    assert (inbound.sender.value, inbound.same_as) == ("CO.1234567890123456", ())


@pytest.mark.parametrize(
    ("written_as", "also"),
    [
        ("+5511987654321", ("+551187654321",)),
        ("+551187654321", ("+5511987654321",)),
        ("+551132654321", ()),  # a landline
        ("+5491123456789", ("+541123456789",)),
        ("+541123456789", ("+5491123456789",)),
        ("+5215512345678", ("+525512345678",)),
        ("+525512345678", ("+5215512345678",)),
        ("+573001112233", ()),
        ("+34600111222", ()),
        ("+14155238886", ()),
        ("12345", ()),
        ("CO.525512345678", ()),
    ],
)
def test_P6_national_variants_are_one_person_and_the_reply_goes_where_it_was_written(
    written_as: str, also: tuple[str, ...]
) -> None:
    inbound = read(sender=f"whatsapp:{written_as}")
    assert (inbound.sender.value, inbound.same_as) == (written_as, also)
    assert all(written_as in variants(other) for other in also)


@pytest.mark.parametrize(
    ("body", "told", "opt"),
    [
        ("STOP", "", "stop"),
        (" stop ", "STOP", "stop"),
        ("Alto", "STOP", "stop"),  # a word of Advanced Opt-Out
        ("Cancel", "", "stop"),
        ("START", "START", "start"),
        ("unstop", "", "start"),
        ("BAJA", "", None),  # Twilio does nothing about it, so the dialogue must
        ("AYUDA", "HELP", None),
        ("no quiero que stop nada", "", None),
    ],
)
def test_opt_out_words_on_sms(body: str, told: str, opt: str | None) -> None:
    fields = written(body, sender="+573001112233", To="+15005550006", **({"OptOutType": told} if told else {}))
    inbound, *rest = sms().read(signed(fields, url=f"{HERE}/webhooks/sms"))
    assert isinstance(inbound, Inbound) and inbound.machine == (f"sms: {opt}" if opt else None)
    if opt is None:
        assert not rest
    else:
        (blocked,) = rest
        assert isinstance(blocked, Blocked) and blocked.opted_out and blocked.blocked == (opt == "stop")


@pytest.mark.parametrize("word", ["STOP", "BAJA", "ALTO"])
def test_on_whatsapp_no_carrier_stops_anything_so_the_dialogue_is_told(word: str) -> None:
    assert read(text=word).machine is None


# -- reports


@pytest.mark.parametrize("status", ["queued", "accepted", "scheduled", "sending", "receiving", "partially_delivered"])
def test_what_is_on_its_way_is_no_news(status: str) -> None:
    (arrival,) = whatsapp().read(signed(callback(status), url=URL))
    assert isinstance(arrival, Ignored)


@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
def test_what_became_of_a_message_is_told_by_both_names(status: str) -> None:
    told = report(status)
    assert (told.state, told.provider_id, told.key, told.recipient) == (status, "SM" + "2" * 32, "k-1", "+573001112233")
    assert told.means is None


SPECIFIED = {  # the table of channels.md A.1: class, and what the product does
    63016: ("soft", "window"), 63018: ("soft", "later"), 63017: ("soft", "later"), 63014: ("hard", "opted_out"),
    63024: ("hard", "address"), 63027: ("config", "account"), 63028: ("config", "account"),
    63029: ("config", "account"), 63032: ("soft", "message"), 63003: ("hard", "address"), 63013: ("config", "message"),
    63019: ("config", "message"), 63021: ("config", "message"), 63022: ("config", "message"),
    63038: ("soft", "later"), 21610: ("hard", "opted_out"), 21611: ("soft", "later"), 21617: ("bug", "message"),
    21211: ("hard", "address"), 21614: ("hard", "address"), 30003: ("soft", "later"), 30004: ("hard", "address"),
    30005: ("hard", "address"), 30006: ("hard", "address"), 30007: ("config", "account"), 30008: ("soft", "later"),
    11751: ("bug", "message"), 20429: ("soft", "later"),
}  # fmt: skip


@pytest.mark.parametrize("code", SPECIFIED)
def test_every_code_of_the_table_has_its_class_and_its_action(code: int) -> None:
    kind, means = SPECIFIED[code]
    assert (VERDICTS[code].kind, VERDICTS[code].means) == (kind, means)
    told = report("undelivered", ErrorCode=str(code))
    assert (told.state, told.means) == ("failed", means) and str(code) in (told.reason or "")
    assert told.permanent == (means in ("address", "opted_out"))  # else the address is good
    assert bool(told.retries) == (means == "later")
    assert told.alert == (VERDICTS[code].alert and means == "later")  # managers hear of a limit that passes, too
    error = fault(code, 400)
    if means == "later":
        assert isinstance(error, Unavailable) and error.retry_after == told.retries[0]
    else:
        assert isinstance(error, Undeliverable)
        assert error.means == (means if means in ("address", "opted_out", "account") else "message")


def test_a_handset_that_cannot_be_reached_is_tried_thrice() -> None:
    assert [wait.total_seconds() / 60 for wait in report("undelivered", ErrorCode="30003").retries] == [5, 60, 360]


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (None, 503, Unavailable),
        (None, 429, Unavailable),
        (None, 401, Unavailable),
        (12345, 400, Undeliverable),
        (20003, 401, Unavailable),
    ],
)
def test_what_stands_in_no_table_never_kills_an_address(
    code: int | None, status: int, kind: type[ChannelError]
) -> None:
    error = fault(code, status, "said")
    assert type(error) is kind
    assert not isinstance(error, Undeliverable) or error.means == "message"


def test_a_failure_without_a_code_is_told_in_twilios_words() -> None:
    told = report("failed")
    assert (told.means, told.permanent, told.reason) == ("message", False, "twilio: failed")
