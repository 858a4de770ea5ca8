"""WhatsApp and SMS on the wire: each call judged by Twilio's own descriptions."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from channels.channel import (
    Address,
    Button,
    DeliveryReport,
    File,
    House,
    Inbound,
    Media,
    Outbound,
    Unavailable,
    Undeliverable,
)
from channels.sms import segments
from channels.twilio_parts import Gone
from channels.twilio_sms import Settings as SmsSettings
from channels.twilio_sms import Sms
from channels.whatsapp import Settings, WhatsApp
from channels.whatsapp_templates import Template, candidates, faults_of, load
from demo.twilio_api import Form, Refusal, TwilioApi
from tests.channels.at_twilio import (
    ACCOUNT,
    ANA,
    HERE,
    NUMBER,
    TOKEN,
    a_twilio,
    callback,
    query_of,
    signed,
    wire,
)

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
SECTION: dict[str, Any] = {"account_sid": ACCOUNT, "auth_token": TOKEN, "from_number": NUMBER}
YES_NO = (Button("Sí", "solved:yes@PQR-7K3M9QX"), Button("Todavía no", "solved:no@PQR-7K3M9QX"))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def twilio(clock: Clock) -> AsyncIterator[TwilioApi]:
    made = a_twilio(now=clock)
    yield made
    assert made.faults == []


@pytest.fixture
async def texts(clock: Clock) -> AsyncIterator[TwilioApi]:
    """The same for SMS."""
    made = a_twilio("sms", now=clock)
    yield made
    assert made.faults == []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def whatsapp(twilio: TwilioApi, clock: Clock) -> AsyncIterator[WhatsApp]:
    house = House(bytes(32), HERE, "Nube")
    made = WhatsApp("whatsapp", Settings.model_validate(SECTION), now=clock, house=house, transport=wire(twilio))
    yield made
    await made.close()


def sms(twilio: TwilioApi, **settings: Any) -> Sms:
    house = House(bytes(32), HERE, "Nube")
    return Sms(
        "sms", SmsSettings.model_validate(SECTION | settings), now=lambda: NOW, house=house, transport=wire(twilio)
    )


def to_ana(text: str = "Recibimos tu queja.", **fields: Any) -> Outbound:
    given = {"key": "k-1", "to": Address("whatsapp", ANA), "text": text, **fields}
    return Outbound(**given)


async def test_free_text_goes_from_our_sender_and_reports_back_to_us(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    sid = await whatsapp.send(to_ana())
    (message,) = twilio.messages
    assert sid == message["sid"]
    assert (message["From"], message["To"]) == ("whatsapp:+14155238886", f"whatsapp:{ANA}")
    assert message["Body"] == "Recibimos tu queja." and "ContentSid" not in message
    assert message["StatusCallback"].startswith(f"{HERE}/webhooks/whatsapp/status?")
    assert query_of(message) == {"key": ["k-1"]}


async def test_an_opaque_id_is_written_to_as_it_came(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    await whatsapp.send(to_ana(to=Address("whatsapp", "CO.123456")))
    assert twilio.messages[0]["To"] == "whatsapp:CO.123456"


async def test_choices_are_buttons_then_a_list_then_numbers(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    await whatsapp.send(to_ana("¿Quedó bien resuelto?", buttons=YES_NO))
    assert twilio.messages[-1]["shown"] == (
        "¿Quedó bien resuelto?\n[Sí|solved:yes@PQR-7K3M9QX]\n[Todavía no|solved:no@PQR-7K3M9QX]"
    )
    five = tuple(Button(f"Opción {n}", f"p{n}") for n in range(1, 6))
    await whatsapp.send(to_ana("¿Cuál?", buttons=five))
    assert twilio.messages[-1]["shown"].splitlines() == ["¿Cuál?", *(f"(Opción {n}|p{n}|)" for n in range(1, 6))]
    long = (Button("Quiero que me lo reparen o devuelvan", "p1"), Button("Otra cosa", "p2"))
    await whatsapp.send(to_ana("¿Qué pides?", buttons=long))
    assert twilio.messages[-1]["shown"].splitlines() == [
        "¿Qué pides?",
        "(Quiero que me lo…|p1|Quiero que me lo reparen o devuelvan)",
        "(Otra cosa|p2|)",
    ]
    too_long = (Button("Quiero que me devuelvan el dinero " * 3, "p1"), Button("Otra cosa", "p2"))
    await whatsapp.send(to_ana("¿Qué pides?", buttons=too_long))
    assert twilio.messages[-1]["Body"].endswith("\n2. Otra cosa")
    await whatsapp.send(to_ana("x" * 1100, buttons=YES_NO))
    assert twilio.messages[-1]["Body"].endswith("\n\n1. Sí\n2. Todavía no")


async def test_one_content_serves_every_question_of_its_shape(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    for number in range(5):
        await whatsapp.send(
            to_ana(f"¿{number}?", key=f"k{number}", buttons=(Button("Sí", f"a{number}"), Button("No", "b")))
        )
    assert len(twilio.asked("Content")) == 1
    assert len({message["ContentSid"] for message in twilio.messages}) == 1


async def test_when_the_content_api_is_away_numbers_do(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    twilio.content.away = 1
    await whatsapp.send(to_ana("¿Sí?", buttons=YES_NO))
    assert twilio.messages[0]["Body"] == "¿Sí?\n\n1. Sí\n2. Todavía no"


# -- the window


async def test_P1_outside_the_window_free_text_never_leaves(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    """No template is approved yet: another way must be found, and nothing counts as sent."""
    await whatsapp.templates(push=True)
    with pytest.raises(Undeliverable) as caught:
        await whatsapp.send(to_ana(window_open=False))
    assert caught.value.means == "message" and twilio.messages == []


async def test_P2_outside_the_window_the_template_that_tells_most_is_sent(
    whatsapp: WhatsApp, twilio: TwilioApi
) -> None:
    twilio.content.adopt(load())
    blanks = {"name": "Ana", "code": "PQR-7K3M9QX", "status": "en revisión", "next": "la respuesta del taller"}
    await whatsapp.send(to_ana("Tu caso cambió.", kind="update", window_open=False, blanks=blanks))
    assert twilio.messages[-1]["shown"] == (
        "Hola Ana, tu caso PQR-7K3M9QX cambió a: en revisión. El próximo paso es la respuesta del taller y te"
        " avisaremos."
    )
    assert "Body" not in twilio.messages[-1]
    await whatsapp.send(to_ana("¿Quedó bien?", kind="closing", window_open=False, code="PQR-7K3M9QX", buttons=YES_NO))
    assert twilio.messages[-1]["shown"] == (
        "Hola de nuevo, completamos lo acordado en tu caso PQR-7K3M9QX. ¿Quedó bien resuelto?\n"
        "[Sí|solved:yes@PQR-7K3M9QX]\n[Todavía no|solved:no@PQR-7K3M9QX]"
    )


async def test_any_words_of_an_agent_fit_into_the_general_template(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    twilio.content.adopt(load())
    text = "Hola Ana:\n\n  Revisamos la foto.\tTe llamamos mañana."
    message = to_ana(text, kind="agent", window_open=False, code="PQR-7K3M9QX", language="en", buttons=YES_NO)
    await whatsapp.send(message)
    values = json.loads(twilio.messages[-1]["ContentVariables"])
    assert values["3"] == "Hola Ana: · Revisamos la foto. Te llamamos mañana. · 1. Sí · 2. Todavía no"
    assert twilio.messages[-1]["shown"].startswith("Hi again, there is news on your case PQR-7K3M9QX: Hola Ana")
    await whatsapp.send(to_ana("palabra " * 150, kind="agent", window_open=False))
    assert len(twilio.messages[-1]["shown"]) < 1024 and "…" in twilio.messages[-1]["shown"]


async def test_63016_is_sent_again_as_a_template_at_once(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    twilio.content.adopt(load())
    twilio.close_window(f"whatsapp:{ANA}")  # Twilio's clock, or its opinion, differs from ours
    await whatsapp.send(to_ana("Buenas noticias.", code="PQR-7K3M9QX"))
    (message,) = twilio.messages
    assert message["shown"].startswith("Hola de nuevo, hay novedades en tu caso PQR-7K3M9QX: Buenas noticias.")


async def test_a_template_that_is_refused_is_tried_in_the_next_language(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    twilio.content.adopt([one for one in load() if one.name == "caso_mensaje"])
    twilio.refusals.append(Refusal(400, 63027))
    await whatsapp.send(to_ana("Hola", window_open=False, code="PQR-7K3M9QX", language="pt"))
    (message,) = twilio.messages
    assert not message["shown"].startswith("Olá") and "PQR-7K3M9QX" in message["shown"]


# -- templates


async def test_templates_are_created_and_submitted_once(whatsapp: WhatsApp, twilio: TwilioApi, clock: Clock) -> None:
    states = await whatsapp.templates()
    assert {one.state for one in states} == {"missing"} and len(states) == 33
    assert all(one.remedy == "acuse templates push" for one in states)
    assert {one.state for one in await whatsapp.templates(push=True)} == {"pending"}
    made = len(twilio.content.contents)
    clock.now += timedelta(hours=1)
    assert {one.state for one in await whatsapp.templates(push=True)} == {"pending"}
    assert len(twilio.content.contents) == made == 33
    assert len(twilio.asked("Approval")) == 33
    twilio.content.decide()
    rejected = next(iter(twilio.content.contents.values()))
    rejected["approval_requests"].update(status="rejected", rejection_reason="PROMOTIONAL")
    clock.now += timedelta(hours=1)
    by_state = [one for one in await whatsapp.templates() if one.state != "approved"]
    assert [one.state for one in by_state] == ["rejected"] and "PROMOTIONAL" in (by_state[0].remedy or "")
    health = await whatsapp.check()
    assert health.ok and "32 of 33 templates approved" in health.detail


def test_the_shipped_templates_are_what_meta_takes_in_three_languages() -> None:
    templates = load()
    names = {one.name for one in templates}
    assert names >= {"caso_acuse", "caso_avance", "caso_datos", "caso_propuesta", "caso_prorroga", "caso_cierre"}
    assert names >= {"caso_seguimiento", "aviso_servicio", "caso_mensaje", "mensaje_pendiente"}
    for name in names:
        of = {one.language: one for one in templates if one.name == name}
        assert set(of) == {"es", "en", "pt"}
        assert len({(one.blanks, len(one.buttons)) for one in of.values()}) == 1
    assert len({one.friendly_name for one in templates}) == len(templates)
    assert all(one.friendly_name.replace("_", "").isalnum() and one.friendly_name.islower() for one in templates)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("{{name}}, hola", "beginning"),
        ("Hola {{name}}", "end"),
        ("Hola {{name}} {{code}}.", "side by side"),
        ("Hola {{nmae}}.", "not those"),
        ("Hola {{name}}." + "x" * 1024, "longer"),
    ],
)
def test_what_meta_would_refuse_is_found_before(body: str, fault: str) -> None:
    blanks = ("name", "code") if "code" in body else ("name",)
    template = Template("t", "es", "UTILITY", ("*",), blanks, ("Ana",), body, ())
    assert fault in "; ".join(faults_of(template))


def test_a_template_with_other_buttons_is_not_chosen() -> None:
    known = {"name", "code", "text"}
    names = [one.name for one in candidates(load(), "closing", "es", known, 3)]
    assert "caso_cierre" not in names and names[0] == "caso_mensaje"
    assert candidates(load(), "closing", "es", known, 2)[0].name == "caso_cierre"
    assert candidates(load(), "receipt", "es", {"text"}, 0)[0].name == "mensaje_pendiente"


# -- files


async def test_files_go_as_links_that_twilio_fetches(whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path) -> None:
    sha = "a" * 64
    (tmp_path / sha).write_bytes(b"%PDF-1.7")
    pdf = File("respuesta.pdf", "application/pdf", tmp_path / sha)
    odd = File("datos.ods", "application/vnd.oasis.opendocument.spreadsheet", tmp_path / sha)
    await whatsapp.send(to_ana("Va adjunta.", files=(pdf, odd)))
    first, second = twilio.messages
    assert first["MediaUrl"].startswith(f"{HERE}/f/{sha}.") and first["MediaUrl"].endswith("/respuesta.pdf")
    assert "Body" not in first
    assert second["Body"].startswith("Va adjunta.\n\ndatos.ods: https://acuse.example/f/") and second["StatusCallback"]


def refuse_bodies(twilio: TwilioApi, status: int) -> None:
    """From now on files and templates are taken, and no free text."""

    def free_text(form: Form) -> bool:
        return "Body" in form

    twilio.refusals.append(Refusal(status, 20500, when=free_text, times=None))


async def test_after_a_failure_only_what_has_not_left_is_sent(
    whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path
) -> None:
    (tmp_path / ("b" * 64)).write_bytes(b"%PDF-1.7")
    message = to_ana(files=(File("a.pdf", "application/pdf", tmp_path / ("b" * 64)),))
    refuse_bodies(twilio, 503)
    with pytest.raises(Unavailable):
        await whatsapp.send(message)
    twilio.refusals.clear()  # it is well again
    await whatsapp.send(message)
    assert ["MediaUrl" in one for one in twilio.messages] == [True, False]


def pdf(folder: Path) -> File:
    (folder / ("c" * 64)).write_bytes(b"%PDF-1.7")
    return File("respuesta.pdf", "application/pdf", folder / ("c" * 64))


async def test_P1_what_left_as_a_file_is_not_taken_for_the_template_that_follows(
    whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path
) -> None:
    """The file leaves, the text must wait, and then the window closes: the words must go all the same."""
    twilio.content.adopt(load())
    refuse_bodies(twilio, 429)
    message = to_ana(kind="agent", code="PQR-7K3M9QX", files=(pdf(tmp_path),))
    with pytest.raises(Unavailable):
        await whatsapp.send(message)
    assert len(twilio.messages) == 1
    sid = await whatsapp.send(replace(message, window_open=False))
    assert len(twilio.messages) == 2 and sid == twilio.messages[-1]["sid"]
    assert "Recibimos tu queja." in twilio.messages[-1]["shown"]


async def test_an_attempt_that_needs_fewer_parts_sends_what_has_not_left(
    whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path
) -> None:
    """Numbers for want of buttons take two messages; at the second attempt the buttons are there again."""
    buttons = (Button("Sí", "a"), Button("Todavía no", "b"))
    message = to_ana("x" * 1000, buttons=buttons, files=(pdf(tmp_path),))
    parts = await whatsapp._parts(message)
    assert len(parts) == 2
    file, *_ = parts
    gone = (Gone(file.mark, "SMfile"), Gone("text 1 of 2", "SMtext"))
    whatsapp._left.keep(message.key, gone)
    assert await whatsapp.send(message)
    (shown,) = twilio.messages
    assert "ContentSid" in shown and "MediaUrl" not in shown


async def test_what_has_left_whole_keeps_its_id(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    """Never an empty one, which would be a message that is told as sent and that nobody can find."""
    whatsapp._left.keep("k-1", (Gone("text 1 of 1", "SMtext"),))
    assert await whatsapp.send(to_ana()) == "SMtext"
    assert twilio.messages == []


async def test_P1_outside_the_window_every_file_is_a_link(
    whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path
) -> None:
    """Also in news for which Meta has approved a more telling template, and however much is said beside it."""
    twilio.content.adopt(load())
    blanks = {"name": "Ana", "status": "en revisión", "next": "la respuesta del taller"}
    message = to_ana(kind="update", code="PQR-7K3M9QX", blanks=blanks, window_open=False)
    for text in ("Va adjunta.", "palabra " * 150):
        await whatsapp.send(replace(message, text=text, buttons=YES_NO, files=(pdf(tmp_path), pdf(tmp_path))))
        shown = twilio.messages[-1]["shown"]
        assert shown.count(f"{HERE}/f/") == shown.count("/respuesta.pdf") == 2 and len(shown) < 1024
        assert text.split()[0] in shown and "PQR-7K3M9QX" in shown
    await whatsapp.send(replace(message, text="Tu caso cambió."))
    assert "en revisión" in twilio.messages[-1]["shown"]  # without files, the telling one


async def test_P1_files_for_which_a_template_has_no_room_are_refused_where_it_is_seen(
    whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path
) -> None:
    twilio.content.adopt(load())
    many = to_ana(code="PQR-7K3M9QX", files=(pdf(tmp_path),) * 9, window_open=False)
    with pytest.raises(Undeliverable, match="so many files") as caught:
        await whatsapp.send(many)
    assert caught.value.means == "message" and twilio.messages == []


async def test_P1_a_template_without_room_for_words_carries_no_file(
    whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path
) -> None:
    twilio.content.adopt([one for one in load() if one.name == "caso_avance"])
    blanks = {"name": "Ana", "status": "en revisión", "next": "la respuesta del taller"}
    message = to_ana(kind="update", code="PQR-7K3M9QX", blanks=blanks, window_open=False)
    with pytest.raises(Undeliverable, match="no template"):
        await whatsapp.send(replace(message, files=(pdf(tmp_path),)))
    assert twilio.messages == []


def told(whatsapp: WhatsApp, message: dict[str, Any], status: str, **more: str) -> DeliveryReport | None:
    """What a status callback for one call means; None: nothing."""
    fields = callback(status, sid=message["sid"], **more)
    (arrival,) = whatsapp.read(signed(fields, url=message["StatusCallback"]))
    return arrival if isinstance(arrival, DeliveryReport) else None


async def test_P1_a_part_that_fails_is_the_message_s_failure_and_each_arrival_is_told_as_its_own(
    whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path
) -> None:
    sid = await whatsapp.send(to_ana(files=(pdf(tmp_path), pdf(tmp_path))))
    first, second, text = twilio.messages
    assert sid == first["sid"]
    assert [query_of(one) for one in twilio.messages] == [
        {"key": ["k-1"], "part": ["1"]},
        {"key": ["k-1"], "part": ["2"], "of": [sid]},
        {"key": ["k-1"], "part": ["3"], "last": ["1"], "of": [sid]},
    ]
    for number, part in enumerate((first, second, text), start=1):
        assert (told(whatsapp, part, "sent") is None) == (number < 3)
        for status in ("delivered", "read", "failed"):
            report = told(whatsapp, part, status, **({"ErrorCode": "63019"} if status == "failed" else {}))
            assert report is not None and (report.state, report.provider_id, report.key) == (status, sid, "k-1")
            assert (report.part, report.last_part) == (number, number == 3)
            assert report.means == ("message" if status == "failed" else None)


async def test_a_message_in_one_part_reports_as_itself(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    sid = await whatsapp.send(to_ana())
    assert query_of(twilio.messages[0]) == {"key": ["k-1"]}
    for status in ("sent", "delivered", "read", "undelivered"):
        settled = told(whatsapp, twilio.messages[0], status)
        assert settled is not None and (settled.provider_id, settled.key, settled.part) == (sid, "k-1", None)


async def test_a_file_alone_is_never_tried_again_later(whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path) -> None:
    """The text may be delivered meanwhile, which would be taken for all of it: it goes another way at once."""
    await whatsapp.send(to_ana(files=(pdf(tmp_path),)))
    file, text = (told(whatsapp, one, "failed", ErrorCode="63018") for one in twilio.messages)
    assert file is not None and (file.means, file.permanent, file.retries) == ("message", False, ())
    assert text is not None and text.means == "later" and text.retries


async def test_parts_of_two_attempts_are_one_message(whatsapp: WhatsApp, twilio: TwilioApi, tmp_path: Path) -> None:
    refuse_bodies(twilio, 503)
    message = to_ana(files=(pdf(tmp_path),))
    with pytest.raises(Unavailable):
        await whatsapp.send(message)
    twilio.refusals.clear()  # it is well again
    sid = await whatsapp.send(message)
    file, text = twilio.messages
    assert file["sid"] == sid and query_of(text)["of"] == [sid]


async def test_without_a_public_address_no_files_and_no_reports(twilio: TwilioApi) -> None:
    made = WhatsApp(
        "w", Settings.model_validate(SECTION), now=lambda: NOW, house=House(bytes(32)), transport=wire(twilio)
    )
    assert not made.features.files and not made.features.receipts
    await made.send(to_ana())
    assert "StatusCallback" not in twilio.messages[0]
    health = await made.check()
    assert not health.ok and "public_url" in (health.remedy or "")
    await made.close()


async def received(whatsapp: WhatsApp, media: Media) -> bytes:
    return b"".join([piece async for piece in whatsapp.fetch(media)])


async def test_a_file_is_fetched_with_our_credentials_and_the_redirect_without(
    whatsapp: WhatsApp, twilio: TwilioApi
) -> None:
    at_twilio, _ = twilio.keep("MM1", "audio/ogg", b"OggS" * 1000)
    assert await received(whatsapp, Media(ref=at_twilio)) == b"OggS" * 1000
    assert [(one.url.hostname, one.headers.get("authorization", "")[:5]) for one in twilio.requests] == [
        ("api.twilio.com", "Basic"),
        ("mms.example-cdn.com", ""),
    ]


async def test_a_file_that_is_stored_here_is_deleted_at_twilio_and_nowhere_else(
    whatsapp: WhatsApp, twilio: TwilioApi, caplog: pytest.LogCaptureFixture
) -> None:
    """A.1: what people sent does not lie with the provider for years."""
    caplog.set_level(logging.INFO)
    at_twilio, _ = twilio.keep("MM1", "audio/ogg", b"OggS")
    await whatsapp.discard(Media(ref=at_twilio))
    assert [(one.method, one.url.hostname) for one in twilio.requests] == [("DELETE", "api.twilio.com")]
    with pytest.raises(Undeliverable):
        await received(whatsapp, Media(ref=at_twilio))
    await whatsapp.discard(Media(ref=at_twilio))  # it is gone already
    asked = len(twilio.requests)
    await whatsapp.discard(Media(ref="https://evil.example/x"))
    assert len(twilio.requests) == asked and "a file stays" not in caplog.text


async def test_who_wants_to_keeps_files_at_twilio(twilio: TwilioApi, clock: Clock) -> None:
    settings = Settings.model_validate({**SECTION, "keep_media": True})
    house = House(b"secret", public_url=HERE, company="Nube")
    keeps = WhatsApp("whatsapp", settings, now=clock, house=house, transport=wire(twilio))
    at_twilio, _ = twilio.keep("MM1", "audio/ogg", b"OggS")
    await keeps.discard(Media(ref=at_twilio))
    assert twilio.requests == []
    await keeps.close()


@pytest.mark.parametrize(
    "ref", ["https://evil.example/x", "http://api.twilio.com/x", "https://api.twilio.com.evil.example/x", "", "x"]
)
async def test_nothing_is_fetched_from_where_twilio_is_not(whatsapp: WhatsApp, twilio: TwilioApi, ref: str) -> None:
    with pytest.raises(Undeliverable):
        await received(whatsapp, Media(ref=ref))
    assert twilio.requests == []


@pytest.mark.parametrize(("status", "kind"), [(404, Undeliverable), (410, Undeliverable), (500, Unavailable)])
async def test_a_file_that_cannot_be_had(
    whatsapp: WhatsApp, twilio: TwilioApi, status: int, kind: type[Exception]
) -> None:
    address, _ = twilio.keep("MM1", "image/jpeg", b"")
    twilio.media_status = status
    with pytest.raises(kind):
        await received(whatsapp, Media(ref=address))
    twilio.media_status = 307
    with pytest.raises(Undeliverable):
        await received(whatsapp, Media(ref=address))


# -- trouble


async def test_twilio_says_how_long_to_wait(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    twilio.refusals.append(Refusal(429, 20429, wait=7))
    with pytest.raises(Unavailable) as caught:
        await whatsapp.send(to_ana())
    assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(("code", "means"), [(21610, "opted_out"), (21211, "address"), (63013, "message")])
async def test_a_refusal_says_what_follows_from_it(
    whatsapp: WhatsApp, twilio: TwilioApi, code: int, means: str
) -> None:
    twilio.refusals.append(Refusal(400, code))
    with pytest.raises(Undeliverable) as caught:
        await whatsapp.send(to_ana())
    assert caught.value.means == means and TOKEN not in str(caught.value)


async def test_wrong_credentials_lose_nothing_and_are_named(twilio: TwilioApi) -> None:
    wrong = Settings.model_validate(SECTION | {"auth_token": "wrong"})
    made = WhatsApp("w", wrong, now=lambda: NOW, house=House(bytes(32), HERE), transport=wire(twilio))
    with pytest.raises(Unavailable):
        await made.send(to_ana())
    health = await made.check()
    assert not health.ok and "channels.w" in (health.remedy or "")
    await made.close()


async def test_everything_can_be_pointed_at_another_server(twilio: TwilioApi) -> None:
    section = Settings.model_validate(SECTION | {"api_base_url": "http://127.0.0.1:9009/twilio/"})
    made = WhatsApp("w", section, now=lambda: NOW, house=House(bytes(32), HERE), transport=wire(twilio, "/twilio"))
    await made.send(to_ana(buttons=YES_NO))
    await made.notice(Inbound(key="SM1", sender=Address("w", ANA), text="x", sent_at=NOW))
    assert {f"{one.url.scheme}://{one.url.netloc}/" for one in twilio.requests} == {"http://127.0.0.1:9009/"}
    await made.close()


async def test_the_typing_sign_harms_nobody(whatsapp: WhatsApp, twilio: TwilioApi) -> None:
    inbound = Inbound(key="SM" + "5" * 32, sender=Address("whatsapp", ANA), text="x", sent_at=NOW)
    await whatsapp.notice(inbound)
    assert twilio.typing == [inbound.key]
    await whatsapp.close()
    await whatsapp.notice(inbound)


@pytest.mark.parametrize(
    "wrong",
    [
        {"account_sid": "SK1"},
        {"from_number": None},
        {"messaging_service_sid": "MG1"},
        {"auth_token": None},
    ],
)
def test_a_wrong_section_is_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(SECTION | wrong)


async def test_a_check_sees_where_twilio_calls(whatsapp: WhatsApp, twilio: TwilioApi, texts: TwilioApi) -> None:
    """The commonest fault of an installation: the webhook is not set, or set elsewhere."""
    twilio.content.adopt(load())
    for channel, own, stand_in in ((whatsapp, "whatsapp", twilio), (sms(texts), "sms", texts)):
        (sender,) = stand_in.webhooks
        for wrong in ("", "https://demo.twilio.com/welcome/sms/reply"):
            stand_in.webhooks[sender] = wrong
            health = await channel.check()
            assert not health.ok and f"{HERE}/webhooks/{own}" in (health.remedy or "")
        stand_in.webhooks[sender] = f"{HERE}/webhooks/{own}#rc=2"
        assert (await channel.check()).ok
        await channel.close()


# -- SMS


async def test_an_sms_names_us_and_the_case_and_is_cheap(texts: TwilioApi) -> None:
    text = (
        "Recibimos tu reclamo. Te responderemos a más tardar el lunes 21 de diciembre. ¿Nos envías el número? Gracias"
    )
    await sms(texts).send(to_ana(text, code="PQR-7K3M9QX"))
    (message,) = texts.messages
    assert message["Body"].startswith("Nube PQR-7K3M9QX: Recibimos") and "mas tardar" in message["Body"]
    assert segments(message["Body"]).count == 1 and message["SmartEncoded"] == "true"
    assert (message["To"], message["From"]) == (ANA, "+14155238886")
    await sms(texts, transliterate="never").send(to_ana(text, code="PQR-7K3M9QX"))
    assert "más tardar" in texts.messages[-1]["Body"] and "SmartEncoded" not in texts.messages[-1]


async def test_a_sender_that_cannot_be_answered_tells_another_way(texts: TwilioApi) -> None:
    texts.webhooks["Nube"] = ""
    await sms(texts, two_way=False, from_number="Nube").send(to_ana("Hola", language="en"))
    assert texts.messages[0]["Body"] == f"Nube: Hola\nTo reply: {HERE}/chat"
    await sms(texts, two_way=False, answer_at="601 555 0101").send(to_ana("Hola"))
    assert texts.messages[1]["Body"] == "Nube: Hola\nPara responder: 601 555 0101"


async def test_a_messaging_service_sends_in_place_of_a_number(texts: TwilioApi) -> None:
    service = "MG" + "1" * 32
    await sms(texts, from_number=None, messaging_service_sid=service).send(to_ana())
    assert texts.messages[0]["MessagingServiceSid"] == service and "From" not in texts.messages[0]


def test_what_sms_and_whatsapp_can_show() -> None:
    spoken = WhatsApp("w", Settings.model_validate(SECTION), now=lambda: NOW, house=House(bytes(32), HERE)).features
    assert (spoken.buttons, spoken.text_limit, spoken.free_text_window) == (10, 1600, timedelta(hours=24))
    assert (spoken.burst, spoken.receipts) == (timedelta(seconds=8), True)
    short = sms(a_twilio("sms")).features
    assert (short.buttons, short.files, short.burst) == (0, False, timedelta(seconds=20))
    assert short.late_ack == timedelta(seconds=60)
