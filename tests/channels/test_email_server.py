"""E-mail against a real Postfix and a real Dovecot: out, in, and what happens when the server dies."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from channels.channel import (
    Address,
    Arrival,
    Cursor,
    DeliveryReport,
    File,
    Ignored,
    Inbound,
    Listener,
    Outbound,
    Unavailable,
    Undeliverable,
)
from channels.email import Email, Settings
from tests.channels.mailserver import MailServer, missing, serve

SECRET = b"a secret of thirty-two bytes, yes"
boxes = (f"box{number:02}@test.local" for number in count())


@pytest.fixture(scope="session")
def server() -> Iterator[MailServer]:
    if why := missing():
        pytest.skip(why)
    yield from serve()


@pytest.fixture
def box() -> str:
    """A mailbox that no other test uses."""
    return next(boxes)


def now() -> datetime:
    return datetime.now(UTC)


def email(server: MailServer, user: str, *, poll: float = 120, **more: Any) -> Email:
    return Email("email", Settings.model_validate(server.settings(user, **more)), now=now, secret=SECRET, poll=poll)


def mail(text: str, number: int = 1, **headers: str) -> str:
    named = {"From": "Ana <ana@test.local>", "Subject": "Mi pedido", "Message-ID": f"<m{number}@test.local>", **headers}
    return "".join(f"{name}: {value}\r\n" for name, value in named.items()) + f"\r\n{text}\r\n"


def outbound(key: str = "k1", to: str = "ana@test.local", text: str = "Lo recibimos.", **more: Any) -> Outbound:
    return Outbound(key=key, to=Address("email", to), text=text, **more)


@asynccontextmanager
async def listening(channel: Email, since: Cursor | None = None) -> AsyncIterator[AsyncIterator[Arrival]]:
    listener = channel.listen(since)
    try:
        yield listener
    finally:
        await listener.aclose()


async def within(seconds: float, listener: AsyncIterator[Arrival]) -> Arrival:
    async with asyncio.timeout(seconds):
        return await anext(listener)


async def message(listener: AsyncIterator[Arrival]) -> Inbound:
    arrival = await within(20, listener)
    assert isinstance(arrival, Inbound), arrival
    return arrival


async def first_place(listener: AsyncIterator[Arrival]) -> Cursor:
    arrival = await within(20, listener)
    assert isinstance(arrival, Ignored) and arrival.cursor is not None, arrival
    return dict(json.loads(json.dumps(arrival.cursor)))


async def until_count(server: MailServer, user: str, number: int) -> None:
    async with asyncio.timeout(20):
        while await asyncio.to_thread(server.count, user) < number:
            await asyncio.sleep(0.1)


async def test_a_mail_goes_out_is_answered_and_comes_in_by_idle_with_its_thread(
    server: MailServer, box: str, tmp_path: Path
) -> None:
    channel = email(server, box)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 x")
    async with listening(channel) as listener:
        await first_place(listener)
        coming = asyncio.ensure_future(message(listener))
        receipt = outbound(
            to=next(boxes), text="Su caso es PQR-7K3M9QX. ¿Ñandú?", code="PQR-7K3M9QX", subject="Su caso",
            files=(File("constancia.pdf", "application/pdf", tmp_path / "a.pdf"),),
        )  # fmt: skip
        own_id = await channel.send(receipt)
        assert await channel.send(receipt) == own_id
        await until_count(server, receipt.to.value, 2)
        copy = await asyncio.to_thread(_newest, server, receipt.to.value)
        assert copy["Message-ID"] == own_id and copy["Subject"] == "Su caso [PQR-7K3M9QX]"
        assert copy["Auto-Submitted"] == "auto-generated"
        plain = copy.get_body(("plain",))
        assert plain is not None and plain.get_content().strip() == receipt.text
        assert [one.get_content() for one in copy.iter_attachments()] == [b"%PDF-1.7 x"]

        sent = now()
        answer = mail(
            "Gracias, pero no llega.", **{"In-Reply-To": own_id, "References": own_id, "To": copy["Reply-To"]}
        )
        await asyncio.to_thread(server.deliver, copy["Reply-To"], answer)
        inbound = await coming
        assert (now() - sent).total_seconds() < 15  # pushed: the search alone comes after two minutes
        assert (inbound.text, inbound.sender.value) == ("Gracias, pero no llega.", "ana@test.local")
        assert inbound.replies_to == (own_id,) and inbound.thread == own_id
        assert inbound.tokens == ("PQR-7K3M9QX",) and inbound.machine is None and not inbound.authentic
        assert inbound.raw is not None and b"no llega" in inbound.raw


def _newest(server: MailServer, user: str) -> EmailMessage:
    other = server.client(user)
    total = int((other.select("INBOX", readonly=True)[1][0] or b"0").decode())
    raw: Any = other.fetch(str(total), "(BODY.PEEK[])")[1][0]
    other.logout()
    read = message_from_bytes(raw[1], policy=default)
    assert isinstance(read, EmailMessage)
    return read


async def test_the_first_start_reads_only_new_mail_and_its_place_survives_before_any_mail(
    server: MailServer, box: str
) -> None:
    await asyncio.to_thread(server.put, box, mail("alt", 1).encode())
    async with listening(email(server, box)) as listener:
        place = await first_place(listener)
    await asyncio.to_thread(server.put, box, mail("neu", 2).encode())  # while nobody listens
    async with listening(email(server, box), place) as listener:
        assert (await message(listener)).text == "neu"


@pytest.mark.parametrize("since", ["all", "2020-01-01"])
async def test_all_that_is_there_is_read_when_asked_for(server: MailServer, box: str, since: str) -> None:
    await asyncio.to_thread(server.put, box, mail("alt", 1).encode())
    async with listening(email(server, box, since=since)) as listener:
        assert (await message(listener)).text == "alt"


async def test_mail_that_another_program_read_still_arrives_and_we_leave_no_mark(server: MailServer, box: str) -> None:
    channel = email(server, box)
    async with listening(channel) as listener:
        place = await first_place(listener)
    await asyncio.to_thread(server.put, box, mail("uno", 1).encode())
    await asyncio.to_thread(server.put, box, mail("dos", 2).encode())
    other = await asyncio.to_thread(server.client, box)
    other.select("INBOX")
    other.store("1", "+FLAGS", "\\Seen")
    async with listening(channel, place) as listener:
        assert [(await message(listener)).text for _ in range(2)] == ["uno", "dos"]
    other.noop()
    flags = b" ".join(one for one in other.fetch("1:2", "(FLAGS)")[1] if isinstance(one, bytes))
    assert flags.count(b"\\Seen") == 1
    other.logout()


async def test_a_server_that_dies_in_idle_ends_the_listener_and_the_next_loses_and_doubles_nothing(
    server: MailServer, box: str
) -> None:
    channel = email(server, box)
    async with listening(channel) as listener:
        await first_place(listener)
        await asyncio.to_thread(server.put, box, mail("uno", 1).encode())
        one = await message(listener)
        waiting = asyncio.ensure_future(within(20, listener))
        await asyncio.sleep(0.3)  # let it reach IDLE; the promise holds wherever it stands
        await asyncio.to_thread(server.kill_imap)
        with pytest.raises(Unavailable):
            await waiting
    try:
        with pytest.raises(Unavailable):  # nobody listens there now
            await within(20, channel.listen(one.cursor))
    finally:
        await asyncio.to_thread(server.start_imap)
    await asyncio.to_thread(server.put, box, mail("dos", 2).encode())
    async with listening(channel, one.cursor) as listener:
        assert (await message(listener)).text == "dos"
        with pytest.raises(TimeoutError):
            await within(0.5, listener)


async def test_a_renumbered_mailbox_is_read_again_and_the_keys_tell_what_we_have(server: MailServer, box: str) -> None:
    channel = email(server, box)
    await asyncio.to_thread(server.put, box, mail("uno", 1).encode())
    async with listening(email(server, box, since="all")) as listener:
        one = await message(listener)
    await asyncio.to_thread(server.renumber, box)
    await asyncio.to_thread(server.put, box, mail("dos", 2).encode())
    async with listening(channel, one.cursor) as listener:
        again, two = await message(listener), await message(listener)
    assert (again.key, again.text, two.text) == (one.key, "uno", "dos")
    assert one.cursor and again.cursor and again.cursor["uidvalidity"] != one.cursor["uidvalidity"]
    async with listening(channel, two.cursor) as listener:
        with pytest.raises(TimeoutError):
            await within(0.5, listener)


async def test_a_mail_to_nobody_comes_back_as_a_report_about_ours(server: MailServer, box: str) -> None:
    channel = email(server, box)
    async with listening(channel) as listener:
        await first_place(listener)
        own_id = await channel.send(outbound(to="nadie@test.local"))
        report = await within(20, listener)
    assert isinstance(report, DeliveryReport), report
    assert (report.provider_id, report.state, report.permanent) == (own_id, "failed", True)
    assert report.recipient == "nadie@test.local" and "5.1.1" in (report.reason or "")


async def test_a_refused_receiver_is_undeliverable(server: MailServer, box: str) -> None:
    with pytest.raises(Undeliverable):
        await email(server, box).send(outbound(to="ana@elsewhere.example"))


async def test_a_check_names_the_fault_and_its_remedy(server: MailServer, box: str, tmp_path: Path) -> None:
    assert (await email(server, box).check()).ok
    good = server.settings(box)
    faults: list[tuple[dict[str, Any], str]] = [
        ({"password": "wrong"}, "app password"),
        ({"imap": {**good["imap"], "ca_file": None}}, "ca_file"),
        ({"imap": {**good["imap"], "port": 1}}, "host and port"),
        ({"imap": {**good["imap"], "mailbox": "Nirgends"}}, "imap.mailbox"),
        ({"smtp": {**good["smtp"], "port": 1}}, "host and port"),
        ({"smtp": {**good["smtp"], "ca_file": None}}, "ca_file"),
    ]
    for change, remedy in faults:
        health = await email(server, box, **change).check()
        assert not health.ok and remedy in (health.remedy or ""), (change, health)


async def test_p10_two_folders_after_three_days_without_us_with_the_moments_of_their_arrival(
    server: MailServer, box: str
) -> None:
    section = server.settings(box)
    section["imap"]["mailbox"] = ["INBOX", "Peticiones & más"]
    channel = Email("email", Settings.model_validate(section), now=now, secret=SECRET)
    async with listening(channel) as listener:
        await first_place(listener)
        place = await first_place(listener)
    days = [now().timestamp() - 86400 * back for back in (3, 2, 1)]
    for number, at in enumerate(days):
        await asyncio.to_thread(server.put, box, mail(f"e{number}", number).encode(), at=at)
        folder = '"Peticiones &- m&AOE-s"'
        await asyncio.to_thread(server.put, box, mail(f"p{number}", 9 + number).encode(), folder=folder, at=at)
    async with listening(channel, place) as listener:
        heard = [await message(listener) for _ in range(6)]
    assert [one.text for one in heard if one.text[0] == "e"] == ["e0", "e1", "e2"]
    assert sorted(one.text for one in heard if one.text[0] == "p") == ["p0", "p1", "p2"]
    assert sorted({int(one.sent_at.timestamp()) for one in heard}) == [int(at) for at in days]


async def test_p10_what_a_real_server_holds_is_compared_with_what_we_have(server: MailServer, box: str) -> None:
    for number in range(1, 4):
        await asyncio.to_thread(server.put, box, mail(f"n{number}", number).encode())
    channel = email(server, box, since="all")
    async with listening(channel) as listener:
        heard = [await message(listener) for _ in range(3)]
    await asyncio.to_thread(server.put, box, mail("n4", 4).encode())

    async def known(ids: Sequence[str]) -> set[str]:
        return {"<m1@test.local>", "<m3@test.local>"} & set(ids)

    stock = await channel.take_stock(heard[-1].cursor, now() - timedelta(days=7), known)
    assert (stock.held, len(stock.missing), stock.waiting) == (4, 1, 1) and stock.waiting_since is not None
    found = [one async for one in channel.recover(stock.missing)]
    assert [one.text for one in found if isinstance(one, Inbound)] == ["n2"]
    assert [one.key for one in found if isinstance(one, Inbound)] == [heard[1].key]
    assert "last mail just now" in (await channel.check()).detail


async def test_a_folder_with_accents_can_be_the_mailbox(server: MailServer, box: str) -> None:
    section = server.settings(box)
    section["imap"]["mailbox"] = "Peticiones & más"
    channel = Email("email", Settings.model_validate(section), now=now, secret=SECRET)
    assert isinstance(channel, Listener)
    async with listening(channel) as listener:
        await first_place(listener)


async def test_a_long_mail_is_read_as_far_as_allowed_and_says_so(server: MailServer, box: str) -> None:
    big = EmailMessage()
    big["From"], big["Subject"] = "ana@test.local", "Fotos"
    big.set_content("Adjunto las fotos.")
    big.add_attachment(b"x" * 60_000, maintype="image", subtype="png", filename="foto.png")
    await asyncio.to_thread(server.put, box, big.as_bytes())
    channel = email(server, box, since="all", max_bytes=20_000)
    async with listening(channel) as listener:
        inbound = await message(listener)
    assert inbound.text == "Adjunto las fotos." and inbound.extra["cut_off"] is True
    assert [(one.name, one.content) for one in inbound.media] == [("foto.png", None)]
    with pytest.raises(Undeliverable):
        async for _ in channel.fetch(inbound.media[0]):
            pass
