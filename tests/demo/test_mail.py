"""The stand-in of a mail provider, read and written to by our own adapter and by the standard library's clients."""

import asyncio
import imaplib
import smtplib
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.channel import Address, File, Inbound, Outbound, Unavailable, Undeliverable
from channels.email import Email, Settings
from demo.mail import MailStandIn
from demo.provider import Failing
from demo.standin import State
from tests.conftest import Clock

OURS, LUIS = "soporte@nube.example", "luis@correo.example"


@pytest.fixture
def standin() -> MailStandIn:
    return MailStandIn(OURS, "secreto", now=Clock())


@pytest.fixture
async def account(standin: MailStandIn) -> AsyncIterator[Email]:
    async with standin.serving() as ports:
        imap, smtp = ({"host": "127.0.0.1", "port": port, "security": "none"} for port in ports)
        section = {"address": OURS, "password": "secreto", "imap": imap, "smtp": smtp, "since": "all"}
        channel = Email("email", Settings.model_validate(section), now=Clock(), secret=bytes(32))
        yield channel
        await channel.close()


def to_luis(text: str, **fields: Any) -> Outbound:
    return Outbound(key="k", to=Address("email", LUIS), text=text, subject="Recibimos tu queja", **fields)


async def test_a_mail_that_comes_while_we_wait_and_its_answer(standin: MailStandIn, account: Email) -> None:
    standin.write(LUIS, "Mala atención", "Me atendieron mal.", name="Luis", files=[("f.png", "image/png", b"\x89PNG")])
    async with aclosing(account.listen(None)) as arrivals:
        first = await anext(arrivals)
        assert isinstance(first, Inbound) and first.text.strip() == "Me atendieron mal."
        assert standin.phones[LUIS].bubbles[0].state is State.DELIVERED
        waiting = asyncio.ensure_future(anext(arrivals))
        await asyncio.sleep(0.05)  # it idles now; what comes is pushed
        await account.send(to_luis("Hola, Luis.", replies_to=(first.provider_id or "",), code="PQR-7K3M9QX"))
        standin.reply(LUIS, "Fue ayer a las 4.")
        second = await asyncio.wait_for(waiting, 10)
        assert isinstance(second, Inbound) and second.text.strip() == "Fue ayer a las 4."
        assert second.replies_to and "PQR-7K3M9QX" in " ".join(second.tokens)
    assert standin.said() == ["Hola, Luis."]


async def test_a_file_reaches_the_customer(standin: MailStandIn, account: Email, tmp_path: Path) -> None:
    (tmp_path / "acuse.pdf").write_bytes(b"%PDF-1.7 .\n.\r\n..")
    await account.send(to_luis("Va.", files=(File("acuse.pdf", "application/pdf", tmp_path / "acuse.pdf"),)))
    assert standin.phones[LUIS].bubbles[-1].files[0].content == b"%PDF-1.7 .\n.\r\n.."


@pytest.mark.parametrize(
    ("how", "error"),
    [(Failing.DOWN, Unavailable), (Failing.BUSY, Unavailable), (Failing.REFUSES, Undeliverable)],
)
async def test_it_fails_as_it_is_told_and_recovers(
    standin: MailStandIn, account: Email, how: Failing, error: type[Exception]
) -> None:
    standin.fail(how)
    with pytest.raises(error):
        await account.send(to_luis("hola"))
    standin.fail(Failing.NOT)
    await account.send(to_luis("hola"))
    assert standin.said() == ["hola"]


async def test_reading_can_fail_too(standin: MailStandIn, account: Email) -> None:
    standin.fail_imap(Failing.REFUSES)
    async with aclosing(account.listen(None)) as arrivals:
        with pytest.raises(Unavailable):
            await anext(arrivals)
    assert not (await account.check()).ok
    standin.fail_imap(Failing.NOT)
    assert (await account.check()).ok


async def test_other_peoples_clients_understand_it(standin: MailStandIn) -> None:
    moment = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
    for text in ("uno", "dos", "tres"):
        standin.deliver(f"From: {LUIS}\r\nSubject: {text}\r\n\r\n{text}\r\n".encode(), at=moment)

    def read(port: int) -> list[Any]:
        with imaplib.IMAP4("127.0.0.1", port) as client:
            with pytest.raises(imaplib.IMAP4.error):
                client.login(OURS, "wrong")
            client.login(OURS, "secreto")
            found: list[Any] = [client.select("INBOX")[1], client.status("INBOX", "(MESSAGES UIDNEXT UIDVALIDITY)")[1]]
            found += [client.uid("SEARCH", "UID", "3:*")[1], client.uid("SEARCH", "UID", "9:*")[1]]
            found += [
                client.uid("SEARCH", "SINCE", "21-Nov-2026")[1],
                client.uid("SEARCH", "HEADER", "Subject", "dos")[1],
            ]
            found.append(client.uid("FETCH", "2", "(INTERNALDATE BODY.PEEK[]<0.10>)")[1][0])
            return found

    def write(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail(OURS, [LUIS], b"Subject: x\r\n\r\nx")
            client.rset()
            client.login(OURS, "secreto")
            client.sendmail(OURS, [LUIS, "ana@correo.example"], b"Subject: x\r\n\r\n.x\r\n")

    async with standin.serving() as (imap, smtp):
        found = await asyncio.to_thread(read, imap)
        await asyncio.to_thread(write, smtp)
    assert found[0] == [b"3"] and b"MESSAGES 3 UIDNEXT 4 UIDVALIDITY 1" in found[1][0]
    assert found[2:6] == [[b"3"], [b"3"], [b""], [b"2"]], "n:* always names the last"
    assert b'INTERNALDATE "20-Nov-2026 09:05:00 +0000"' in found[6][0] and found[6][1] == b"From: luis"
    assert standin.said() == [".x", ".x"]
