"""What an outgoing server may answer, and the mail that it is given."""

import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from channels.channel import Address, File, Outbound, Unavailable, Undeliverable
from channels.mail_marks import Marks
from channels.mail_writing import to_html, write_mail
from tests.channels.mail_standin import AtMail

MARKS = Marks("soporte@nube.example", bytes(32))
NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.fixture
async def at_mail() -> AsyncIterator[AtMail]:
    standin = AtMail()
    yield standin
    await standin.close()


def outbound(text: str = "Lo recibimos.", *, key: str = "k1", to: str = "ana@test.local", **more: Any) -> Outbound:
    return Outbound(key=key, to=Address("email", to), text=text, **more)


def written(*, contents: tuple[bytes, ...] = (), name: str = "Nube", **more: Any) -> EmailMessage:
    return write_mail(outbound(**more), contents, sender="soporte@nube.example", name=name, marks=MARKS, now=NOW)


@pytest.mark.parametrize(
    ("verb", "answer", "expected", "remedy"),
    [
        ("RCPT", "550 5.1.1 nobody here", Undeliverable, "5.1.1"),
        ("RCPT", "450 4.2.1 greylisted", Unavailable, "4.2.1"),
        ("RCPT", "554 5.7.1 Relay access denied", Unavailable, "smtp.username"),
        ("RCPT", "550 5.7.1 <ana@test.local>: unable to relay", Unavailable, "smtp.username"),
        ("RCPT", "550 Please turn on SMTP Authentication in your mail client", Unavailable, "smtp.username"),
        ("RCPT", "554 mailbox unavailable: relaying denied", Unavailable, "smtp.username"),
        ("RCPT", "530 5.7.57 Client not authenticated to send mail", Unavailable, "smtp.username"),
        ("MAIL", "553 5.7.1 not your address", Unavailable, "own address"),
        ("MAIL", "451 4.3.0 later", Unavailable, "4.3.0"),
        ("END", "552 5.3.4 too large", Undeliverable, "5.3.4"),
        ("END", "451 4.7.1 later", Unavailable, "4.7.1"),
        ("AUTH", "535 5.7.8 wrong", Unavailable, "app password"),
        ("CONNECT", "421 too busy", Unavailable, "421"),
    ],
)
async def test_an_answer_is_named_by_its_remedy(
    at_mail: AtMail, verb: str, answer: str, expected: type[Exception], remedy: str
) -> None:
    at_mail.smtp.says[verb] = [answer]
    with pytest.raises(expected, match=remedy):
        await at_mail.channel.send(outbound())
    assert at_mail.smtp.taken == []
    assert await at_mail.channel.send(outbound())


@pytest.mark.parametrize(
    ("verb", "answer", "means"),
    [
        ("RCPT", "550 5.1.1 nobody here", "address"),
        ("RCPT", "550 5.1.10 no such recipient", "address"),
        ("RCPT", "550 5.2.1 disabled", "address"),
        ("RCPT", "550 No such user here", "address"),
        ("RCPT", "550 5.1.1 <catalogin@x.co>: User unknown", "address"),
        ("RCPT", "550 5.1.1 please log in and relay: no such user", "address"),
        ("RCPT", "550 <catalog.in@x.co>: User unknown", "address"),
        ("RCPT", "550 <login@relay.x.co>: User unknown", "address"),
        ("RCPT", "550 relay@x.co: User unknown", "address"),
        ("RCPT", "550 relay-22.x.co says: no such user", "address"),
        ("RCPT", "550 <5.1.1@x.co>: not today", "message"),
        ("RCPT", "550 <no.such.user@x.co>: not today", "message"),
        ("RCPT", "550 5.7.26 Unauthenticated email from x.co is not accepted due to its DMARC policy", "message"),
        ("END", "550 5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM", "message"),
        ("END", "550 5.7.1 Unauthenticated email from x.co is not accepted due to domain's DMARC policy", "message"),
        ("END", "550 5.7.1 This message does not have authentication information", "message"),
        ("RCPT", "550 blocked using a list of spammers", "message"),
        ("RCPT", "552 5.2.2 mailbox full", "message"),
        ("RCPT", "550 5.7.1 not you", "message"),
        ("RCPT", "550 sorry", "message"),
        ("END", "552 5.3.4 message too large", "message"),
        ("END", "554 5.7.1 rejected by content policy", "message"),
        ("END", "550 5.7.350 looks like spam", "message"),
        ("END", "554 Transaction failed", "message"),
    ],
)
async def test_only_a_bad_address_makes_an_address_bad(at_mail: AtMail, verb: str, answer: str, means: str) -> None:
    at_mail.smtp.says[verb] = [answer]
    with pytest.raises(Undeliverable) as caught:
        await at_mail.channel.send(outbound())
    assert caught.value.means == means


async def test_long_ids_leave_as_they_are_and_a_thread_is_not_torn(at_mail: AtMail) -> None:
    """The library wrote a line of long ids as encoded words, which no program reads as ids."""
    chain = tuple(f"<acuse.{number:024x}.0123456789abcdef@soporte.una-empresa.example.com.co>" for number in range(9))
    sent = await at_mail.channel.send(outbound(replies_to=chain, subject="¿Qué pasó? " + "Ñandú " * 30))
    read = message_from_bytes(at_mail.smtp.taken[0], policy=default)
    assert read["References"].split() == list(chain) and read["In-Reply-To"] == chain[-1]
    assert read["Message-ID"].strip() == sent and b"=?utf-8?q?=3C" not in at_mail.smtp.taken[0]
    assert at_mail.smtp.taken[0].isascii() and max(map(len, at_mail.smtp.taken[0].split(b"\r\n"))) < 998


@pytest.mark.parametrize("kind", ["survey", "followup", "broadcast", "marketing"])
def test_what_one_may_do_without_can_be_ended_by_one_click(kind: str) -> None:
    mail = written(kind=kind, unsubscribe="https://nube.example/u/abc")
    assert mail["List-Unsubscribe"] == "<https://nube.example/u/abc>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_what_is_owed_cannot_be_and_a_bad_link_is_left_out() -> None:
    for kind, link in (
        ("receipt", "https://a.co/u"),
        ("closing", "https://a.co/u"),
        ("survey", None),
        ("survey", "http://a.co/u"),
        ("survey", "https://a.co/u>\r\nBcc: eva@example.com"),
    ):
        mail = written(kind=kind, unsubscribe=link)
        assert mail["List-Unsubscribe"] is None and mail["List-Unsubscribe-Post"] is None and mail["Bcc"] is None


async def test_a_large_mail_is_composed_and_written_out_beside_the_event_loop(
    at_mail: AtMail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: dict[str, set[int]] = {}

    def watch(name: str) -> None:
        original = getattr(EmailMessage, name)

        def watched(*args: Any, **more: Any) -> Any:
            where.setdefault(name, set()).add(threading.get_ident())
            return original(*args, **more)

        monkeypatch.setattr(EmailMessage, name, watched)

    watch("add_attachment")
    watch("as_bytes")
    (tmp_path / "a").write_bytes(bytes(range(256)) * 80)
    await at_mail.channel.send(outbound(files=(File("a.bin", "application/octet-stream", tmp_path / "a"),)))
    assert len(at_mail.smtp.taken) == 1 and set(where) == {"add_attachment", "as_bytes"}
    assert all(threading.get_ident() not in threads for threads in where.values())


async def test_no_server_is_unavailable(at_mail: AtMail) -> None:
    await at_mail.smtp.close()
    with pytest.raises(Unavailable, match="host and port"):
        await at_mail.channel.send(outbound())


@pytest.mark.parametrize("how", ["silent", "deadly"])
@pytest.mark.parametrize(
    ("verb", "in_doubt"), [("END", True), ("DATA", True), ("RCPT", False), ("MAIL", False), ("AUTH", False)]
)
async def test_what_breaks_off_after_data_began_may_have_arrived(
    at_mail: AtMail, verb: str, in_doubt: bool, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.mail_smtp.TIME_LIMIT", 0.2)
    getattr(at_mail.smtp, how).add(verb)
    with pytest.raises(Unavailable) as caught:
        await at_mail.channel.send(outbound())
    assert caught.value.may_have_arrived is in_doubt
    assert "host and port" not in str(caught.value) and ("may have arrived" in str(caught.value)) is in_doubt


async def test_a_refusal_of_the_mail_itself_leaves_no_doubt(at_mail: AtMail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.mail_smtp.TIME_LIMIT", 0.2)
    at_mail.smtp.says["END"] = ["451 4.7.1 later"]
    at_mail.smtp.silent.add("RSET")  # asked by the library after a refusal
    with pytest.raises(Unavailable) as caught:
        await at_mail.channel.send(outbound())
    assert not caught.value.may_have_arrived


async def test_a_server_without_login_is_used_without_one() -> None:
    open_relay = AtMail()
    open_relay.smtp.auth = False
    section = open_relay.channel.settings.model_dump(mode="json")
    section["password"] = "s3creto"
    section["smtp"]["username"] = ""
    anonymous = type(open_relay.channel)(
        "email", type(open_relay.channel.settings).model_validate(section), now=lambda: NOW, secret=bytes(32)
    )
    with pytest.raises(Unavailable):
        await open_relay.channel.send(outbound())
    assert await anonymous.send(outbound())
    await open_relay.close()


async def test_neither_password_nor_text_stands_in_an_error(at_mail: AtMail) -> None:
    at_mail.smtp.says["AUTH"] = ["535 5.7.8 wrong"]
    with pytest.raises(Unavailable) as caught:
        await at_mail.channel.send(outbound("secreto del cliente"))
    assert "s3creto" not in str(caught.value) and "cliente" not in str(caught.value)
    assert "s3creto" not in repr(at_mail.channel.settings)


def test_the_same_message_has_the_same_id_at_every_attempt_and_nobody_can_make_one_up() -> None:
    assert written(key="a")["Message-ID"] == written(key="a")["Message-ID"] != written(key="b")["Message-ID"]
    own = MARKS.message_id("a")
    assert MARKS.is_ours(own) and not Marks("soporte@nube.example", bytes(31) + b"x").is_ours(own)
    assert not MARKS.is_ours(own.replace("acuse.", "acuse.0", 1)) and not MARKS.is_ours("<a@b.co>")


def test_the_reply_address_names_the_case_and_is_signed() -> None:
    address = written(code="PQR-7K3M9QX")["Reply-To"]
    assert MARKS.code_of(address.upper()) == "PQR-7K3M9QX"
    assert MARKS.code_of(address.replace("7k3m9qx", "7k3m9qy")) is None
    assert MARKS.code_of("soporte@nube.example") is None
    assert MARKS.reply_address("x\r\nBcc: a@b.co") is None


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Re: Mi pedido", "Re: Mi pedido [PQR-7K3M9QX]"),
        ("Re: Mi pedido [PQR-7K3M9QX]", "Re: Mi pedido [PQR-7K3M9QX]"),
        (None, "[PQR-7K3M9QX]"),
    ],
)
def test_the_token_stands_in_the_subject_once(subject: str | None, expected: str) -> None:
    assert written(subject=subject, code="PQR-7K3M9QX")["Subject"] == expected


def test_automatic_mail_says_so_and_a_persons_does_not() -> None:
    machine, person = written(automatic="auto-replied"), written(automatic=None)
    assert (machine["Auto-Submitted"], machine["X-Auto-Response-Suppress"]) == ("auto-replied", "All")
    assert person["Auto-Submitted"] is None and person["X-Auto-Response-Suppress"] is None
    assert machine["List-Unsubscribe"] is None and machine["Date"].datetime == NOW


def test_a_long_thread_keeps_the_first_and_the_last_twenty() -> None:
    ids = tuple(f"<m{number}@test.local>" for number in range(40))
    mail = written(replies_to=(*ids, "not an id", "<x y@z>\r\nBcc: a@b.co"))
    assert mail["In-Reply-To"] == ids[-1]
    assert mail["References"].split() == [ids[0], *ids[-20:]]


def test_a_header_cannot_be_smuggled_in() -> None:
    mail = written(
        subject="Hola\r\nBcc: eva@example.com\n\nX: y", name='Nube"\r\nBcc: eva@example.com', language="es\r\nX: y"
    )
    read = mail.as_bytes()
    assert mail["Content-Language"] == "es" and b"\nBcc:" not in read and b"\nX:" not in read
    assert mail["From"].addresses[0].addr_spec == "soporte@nube.example"
    for to in (
        "ana@test.local\r\nBcc: eva@example.com",
        "ana@test.local, eva@example.com",
        "ana",
        "Ana <ana@test.local>",
    ):
        with pytest.raises(Undeliverable):
            written(to=to)


def test_plain_text_comes_first_and_the_html_is_escaped(tmp_path: Path) -> None:
    file = File('../"año".pdf', "application/pdf", tmp_path / "a")
    mail = written(text="Uno & <b>dos</b>\n\nhttps://a.co/?x=1&y=2.", files=(file,), contents=(b"%PDF",), name="Ñandú")
    body = [part.get_content_type() for part in mail.walk()]
    assert body == ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/pdf"]
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain and html and plain.get_content().startswith("Uno & <b>dos</b>\n")
    assert "<p>Uno &amp; &lt;b&gt;dos&lt;/b&gt;</p>" in html.get_content()
    assert '<a href="https://a.co/?x=1&amp;y=2">' in html.get_content()
    assert [one.get_content() for one in mail.iter_attachments()] == [b"%PDF"]
    assert mail["From"].addresses[0].display_name == "Ñandú"


def test_only_web_addresses_become_links() -> None:
    page = to_html('javascript:alert(1) data:text/html,x ftp://a "https://a.co/"><script>', "t", "es")
    assert page.count("<a ") == 1 and "<script" not in page and 'lang="es"' in page
