"""When a sender counts as proved: our own server's note, or a signature of the sender's own domain."""

from datetime import UTC, datetime

import dkim  # type: ignore[import-untyped]  # it ships no types
import pytest

from channels.channel import Inbound
from channels.mail_marks import Marks
from channels.mail_reading import Reader
from tests.channels.test_email_folders import at_mail, listening, message

AT = datetime(2026, 3, 3, 15, 15, tzinfo=UTC)
MARKS = Marks("soporte@nube.example", bytes(32))
# made for these tests, used nowhere else
KEY = b"""-----BEGIN RSA PRIVATE KEY-----
MIICXgIBAAKBgQC/UBBzvEwKCf7YGOvJRlcZCgMsdFucxCzpgvJwkkFkh6FYrJRx
wq/LSbO84EI/Eidn26zm2enGDf4UA3PJ8Js+6tpH3b/W6Z/JTg2PYWyroLt91Moy
6AXNlLMmIYxQ0TdJxpXb/R9B7N5ulqpPyW+hoto83v9V6+2fqhOAeAqMDwIDAQAB
AoGBAIrs8jWJTFKR9Z0pY7fSu5b0PV+/03Mgxlh//dwfaRs+nr0M/fMqZIwkJkCH
PbQdU75IuOMe5XMsYBBafW/sqF6iWhRBV74N4O8bU0JMnPr/fSehu1E4zLsXhOi/
Gw+SOULJ4OJ+M4562zGb/are9Wyn+uwtKzS4K2WqBwweExPRAkEA8pIjEy3VXdOg
LPhBnLm1s9AbbFEOoDlejLmTSMMTlLsBZgfpz3DQe0TI405dhjvw0VIRBUuwMZNO
7hfbswXE1wJBAMnnd04y1042Ir+GT7X/DRMrf4EvdUeDg6iu1CI6mf49F/QBLpNF
qf4jWfohowumT+T62VP9XTWYI5htoJ8h04kCQG+WElSMTQ7wf0qwmV5Df/bL0RGu
6A+E1J3f8IUUWDmfHTGWilRHDWDnb5JBRnytrkZcfj/1ZYQow7J7fzGHgdkCQQCb
Tr1rHZiYxPO9t6chK+v2zwLpcIQaWoOwAauUGNfTxVLjkvUsu+2jW7YevjkZAPl7
/amm/cHxM/JNkiZ3wiFhAkEAxKpqFRAa6X7o7ugzmxtDt1KiD8T83iSBkknJdvtN
SXtmtc1ShV+9hRt0pFXTljmi//PIWBXu+qvQ+nBET/WpTw==
-----END RSA PRIVATE KEY-----
"""
PUBLIC = (
    b"v=DKIM1; k=rsa; p="
    b"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC/UBBzvEwKCf7YGOvJRlcZCgMsdFucxCzpgvJwkkFkh6FYrJRxwq"
    b"/LSbO84EI/Eidn26zm2enGDf4UA3PJ8Js+6tpH3b/W6Z/JTg2PYWyroLt91Moy6AXNlLMmIYxQ0TdJxpXb/R9B7N5u"
    b"lqpPyW+hoto83v9V6+2fqhOAeAqMDwIDAQAB"
)
ZONE = {f"s1._domainkey.{domain}": PUBLIC for domain in ("example.com", "mail.example.com", "evil.example", "com")}


def mail(sender: str = "ana@example.com", text: str = "Acepto.", head: str = "") -> bytes:
    return f"{head}From: Ana <{sender}>\r\nSubject: Oferta\r\nMessage-ID: <a@b.co>\r\n\r\n{text}\r\n".encode()


def signed(raw: bytes, domain: str = "example.com", *, length: bool = False, algorithm: bytes = b"rsa-sha256") -> bytes:
    line = dkim.DKIM(raw, signature_algorithm=algorithm).sign(b"s1", domain.encode(), KEY, length=length)
    return bytes(line) + raw


def proved(raw: bytes, zone: dict[str, bytes] = ZONE) -> bool:
    arrival = Reader("email", MARKS, text_record=zone.get).read(raw, AT)
    assert isinstance(arrival, Inbound)
    return arrival.authentic


def test_a_signature_of_the_senders_own_domain_proves_the_sender() -> None:
    assert proved(signed(mail()))
    assert proved(signed(mail("ana@mail.example.com")))  # the domain above answers for it
    assert proved(signed(signed(mail()), "evil.example"))  # one good one is enough


@pytest.mark.parametrize(
    "raw",
    [
        mail(),
        signed(mail(), "evil.example"),
        signed(mail(), "mail.example.com"),  # whoever holds a part does not speak for the whole
        signed(mail(), "com"),
        signed(mail("ana@notexample.com")),
        signed(mail()).replace(b"Acepto", b"Rechazo"),
        signed(mail()).replace(b"ana@", b"eva@"),
        signed(mail(), length=True) + b"y pago el doble\r\n",
        signed(mail(), length=True),
        signed(mail()).replace(b"Subject", b"From: Eva <eva@evil.example>\r\nSubject", 1),
        b"From: Eva <eva@example.com>\r\n" + signed(mail()),
        b"DKIM-Signature: v=1; a=rsa-sha256; d=\xff; s=\r\n" + mail(),
        b"DKIM-Signature: " + b"x=" * 5000 + b"\r\n" + mail(),
    ],
)
def test_nothing_else_does(raw: bytes) -> None:
    assert not proved(raw)


def test_a_key_that_is_gone_proves_nothing() -> None:
    assert not proved(signed(mail()), {})
    assert not proved(signed(mail()), {"s1._domainkey.example.com": b"v=DKIM1; k=rsa; p="})


def test_only_three_signatures_are_looked_at() -> None:
    asked: list[str] = []

    def text_record(name: str) -> bytes | None:
        asked.append(name)
        return None

    raw = mail()
    for _ in range(6):
        raw = signed(raw, "evil.example")
    Reader("email", MARKS, text_record=text_record).read(raw, AT)
    assert len(asked) <= 3


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ({}, True),
        ({"trusted_authserv": "mx.nube.example"}, False),
        ({"check_signatures": False}, False),
        ({"trusted_authserv": ["mx.nube.example"], "check_signatures": True}, True),
    ],
)
async def test_the_dns_is_asked_where_no_server_is_trusted_or_when_told_to(
    settings: dict[str, object], asks: bool
) -> None:
    async with at_mail(text_record=ZONE.get, **settings) as at:
        at.imap.mails.append(signed(mail()))
        async with listening(at) as listener:
            assert (await message(listener)).authentic is asks


def test_the_note_of_a_server_that_nobody_configured_is_worth_nothing() -> None:
    note = "Authentication-Results: mx.nube.example; dmarc=pass header.from=example.com\r\n"
    for names, good in (([], False), (["mx.nube.example"], True), (["mx"], False)):
        arrival = Reader("email", MARKS, trusted_authserv=frozenset(names)).read(mail(head=note), AT)
        assert isinstance(arrival, Inbound) and arrival.authentic is good


OURS = "mx.nube.example"
PASS = "dmarc=pass header.from=example.com"
FAIL = "dmarc=fail header.from=example.com"


def noted(note: str) -> bool:
    raw = mail(head=f"Authentication-Results: {note}\r\n")
    arrival = Reader("email", MARKS, trusted_authserv=frozenset([OURS])).read(raw, AT)
    assert isinstance(arrival, Inbound)
    return arrival.authentic


@pytest.mark.parametrize(
    "note",
    [
        f"{OURS}; {PASS}",
        f"{OURS.upper()} 1; DMARC=Pass header.from=EXAMPLE.com;",
        f"{OURS}; spf=pass (a (nested; b) c) smtp.mailfrom=a@b.co; dmarc=pass (p=NONE) header.from=example.com",
        f"{OURS}; dkim=pass header.i=@example.com header.s=s1 header.b=Ab/C+d=; spf=pass (google.com: domain of"
        f" ana@example.com designates 2607:f8b0::1 as permitted sender) smtp.mailfrom=ana@example.com; {PASS}",
        f'{OURS}; dkim=fail ("body hash did not verify") header.b="a/b="; {PASS}',
        f'{OURS}; spf=pass smtp.mailfrom="ana; gomez "@example.com; {PASS}',
        f"{OURS}; spf=pass smtp.mailfrom=x.co; dmarc=pass action=none header.from=example.com; arc=none",
    ],
)
def test_the_notes_that_real_servers_write_are_understood(note: str) -> None:
    assert noted(note)


@pytest.mark.parametrize(
    "note",
    [
        f'{OURS}; {FAIL}; spf=pass smtp.mailfrom="a; {PASS} "@evil.com',
        f'{OURS}; spf=pass smtp.mailfrom="a; {PASS} "@evil.com',
        f'{OURS}; spf=pass smtp.mailfrom="a\\"; {PASS} ; x.y=\\""@evil.com',
        f'{OURS}; {FAIL}; spf=pass (domain of "x) ; {PASS} ; y="@evil.com) smtp.mailfrom="x) ; {PASS} ; y="@evil.com',
        f'{OURS}; spf=pass (domain of "x) ; {PASS} ; spf=none (y"@evil.com is good) smtp.mailfrom=evil.com',
        f'{OURS}; spf=pass (domain of "x\\") ; {PASS} ; spf=none (y\\""@evil.com is good) smtp.mailfrom=evil.com',
        f"{OURS}; {FAIL}; {PASS}",
        f"{OURS}; {PASS}; {PASS}",
        f"{OURS}; dmarc=pass",
        f"{OURS}; dmarc=pass header.from=evil.com",
        f"{OURS}; dmarc=pass header.from=example.com header.from=evil.com",
        f"{OURS}; dmarc=pass smtp.from=example.com",
        f"{OURS}; xdmarc=pass header.from=example.com",
        f"{OURS}; spf=pass ({PASS}; {PASS})",
        f"{OURS} ({'(' * 5000}; {PASS}",
        f"{OURS}; spf=pass smtp.mailfrom={'a' * 30_000}; {PASS}",
        f"evil.example ({OURS}); {PASS}",
        f"{OURS}; none",
        OURS,
        f"; {PASS}",
        "",
    ],
)
def test_what_the_sender_chose_fakes_no_result_in_our_servers_note(note: str) -> None:
    assert not noted(note)
