"""Which thread a mail belongs to, whether it is about something new, and what programs hang onto mail (P13)."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from channels.channel import DeliveryReport, Inbound
from channels.mail_marks import Marks
from channels.mail_reading import Reader
from channels.mail_subject import is_other, topic_of

FIXTURES = Path(__file__).parents[1] / "payloads" / "email"
MARKS = Marks("soporte@nube.example", bytes(32))
SUBJECT = "Su reclamo por el pedido 4471 [PQR-7K3M9QX]"
OURS = MARKS.message_id("k1", SUBJECT)
READER = Reader("email", MARKS, frozenset({"soporte@nube.example"}))
AT = datetime(2026, 3, 3, 15, 15, tzinfo=UTC)


def raw(name: str) -> bytes:
    encoded = "".join(f"={ord(one):02X}" if one in "<>@." else one for one in OURS)
    text = (FIXTURES / f"{name}.eml").read_bytes()
    return text.replace(b"{OURS}", OURS.encode()).replace(b"{OURSQ}", encoded.encode())


def read(name: str, reader: Reader = READER) -> Inbound:
    arrival = reader.read(raw(name), AT)
    assert isinstance(arrival, Inbound), arrival
    return arrival


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("thread-outlook-desktop", "Sigue sin llegar."),
        ("thread-apple-iphone", "Nada todavía."),
        ("thread-gmail-app", "Todavía no llega."),
        ("thread-encoded-references", "Sigue igual."),
        ("thread-gmail-urgent", "Por favor."),
    ],
)
def test_p13_an_answer_names_the_mail_of_ours_that_it_answers(name: str, text: str) -> None:
    inbound = read(name)
    assert inbound.replies_to[0] == OURS and not inbound.subject_changed
    assert inbound.text == text and inbound.machine is None


@pytest.mark.parametrize("name", ["thread-outlook-changed", "thread-apple-changed", "thread-gmail-changed"])
def test_p13_a_new_subject_on_an_old_answer_is_told(name: str) -> None:
    inbound = read(name)
    assert inbound.subject_changed and inbound.replies_to[0] == OURS and "Recibimos" not in inbound.text
    assert "Recibimos su reclamo." in inbound.extra["quoted"]


def test_p13_outlook_keeps_the_first_topic_where_the_mail_answered_is_not_ours() -> None:
    assert read("thread-outlook-kept-topic").subject_changed


def test_a_mail_that_answers_nothing_has_changed_nothing() -> None:
    assert not read("neighbour").subject_changed


def test_a_subject_that_names_the_case_is_about_the_case() -> None:
    mail = raw("thread-gmail-changed").replace(b"Subject: ", b"Subject: PQR-7K3M9QX ")
    arrival = READER.read(mail, AT)
    assert isinstance(arrival, Inbound) and not arrival.subject_changed


@pytest.mark.parametrize(
    ("new", "known", "other"),
    [
        ("Re: Mi pedido", "Mi pedido", False),
        ("RV: RE: Mi  Pedido!", "mi pedido", False),
        ("Re[2]: AW: Mi pedido [PQR-7K3M9QX]", "Mi pedido", False),
        ("[External] Re: Mi pedido", "Mi pedido", False),
        ("Mi pedido: todavía nada", "Mi pedido", False),
        ("URGENTE mi pedido", "Mi pedido", False),
        ("Atención", "Atencion", False),
        ("Re:", "Mi pedido", False),
        ("", "Mi pedido", False),
        ("Mi factura", "Mi pedido", True),
        ("Mi", "Mi pedido", True),
    ],
)
def test_what_two_subjects_have_in_common(new: str, known: str, other: bool) -> None:
    assert is_other(new, known) is other
    assert MARKS.is_other_subject(MARKS.message_id("k", known), new) is other


def test_prefixes_do_not_eat_words() -> None:
    assert topic_of("Reclamo: pedido 4471") == ("reclamo", "pedido", "4471")
    assert topic_of("Información") == ("informacion",)


def test_ids_of_before_are_still_ours_and_say_nothing_of_their_subject() -> None:
    old = MARKS.message_id("k1")
    assert MARKS.is_ours(old) and MARKS.is_ours(OURS) and not MARKS.is_other_subject(old, "Otra cosa")
    forged = OURS.split(".")
    forged[2] = "00000000"
    assert not MARKS.is_ours(".".join(forged)) and MARKS.is_ours(OURS.upper())


def test_the_same_mail_over_another_way_is_the_same_message() -> None:
    """Delivered for two of our addresses, or carried to another server with other notes on it."""
    first = READER.read(b"Received: by mx1; x\r\nDelivered-To: soporte@nube.example\r\n" + raw("neighbour"), AT)
    other = READER.read(
        b"X-Spam-Score: 1\r\nDelivered-To: ventas@nube.example\r\n" + raw("neighbour").replace(b"\r\n", b"\n"), AT
    )
    assert isinstance(first, Inbound) and isinstance(other, Inbound) and first.key == other.key
    third = READER.read(raw("neighbour").replace(b"vecino", b"hermano"), AT)
    assert isinstance(third, Inbound) and third.key != first.key  # the id alone swallows nothing


def test_invitations_and_winmail_dat_come_along_as_files() -> None:
    invite = read("invite")
    assert invite.text == "Propongo esta hora para la visita." and invite.machine is None
    assert [(one.name, one.declared_type) for one in invite.media] == [("invitacion.ics", "text/calendar")]
    assert b"BEGIN:VEVENT" in (invite.media[0].content or b"")
    alone = read("invite-only")
    assert alone.text == "Visita del tecnico" and [one.name for one in alone.media] == ["invitacion.ics"]
    winmail = read("winmail")
    assert winmail.text == "Van las fotos." and [one.name for one in winmail.media] == ["winmail.dat"]
    assert (winmail.media[0].content or b"").startswith(b"\x78\x9f\x3e\x22")


@pytest.mark.parametrize(("name", "recipient"), [("arf-abuse", "ana@example.com"), ("complaint-hotmail", None)])
def test_a_complaint_about_ours_is_an_opt_out_of_somebody_who_got_it(name: str, recipient: str | None) -> None:
    report = READER.read(raw(name), AT)
    assert isinstance(report, DeliveryReport), report
    assert (report.provider_id, report.state, report.means) == (OURS, "delivered", "opted_out")
    assert not report.permanent and report.recipient == recipient and "abuse" in (report.reason or "")


def test_a_not_spam_report_is_no_complaint() -> None:
    assert (read("arf-not-spam").machine or "").startswith("report")


def test_a_list_through_which_our_own_mail_comes_makes_nobody_a_machine() -> None:
    assert read("google-group").machine == "Precedence: list"
    own = Reader("email", MARKS, own_lists=frozenset({"soporte.nube.example"}))
    assert read("google-group", own).machine is None
    assert read("newsletter", own).machine == "List-Unsubscribe"
