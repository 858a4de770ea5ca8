"""The ways in which aioimaplib hangs or breaks, each met once and gone round (harness.md, E-mail)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from channels.channel import Inbound, Unavailable
from channels.email import ImapSettings
from channels.imap import Imap
from channels.mail_answers import utf7
from tests.channels.mail_standin import AtMail, ImapStandIn


@pytest.fixture
async def server() -> AsyncIterator[ImapStandIn]:
    standin = ImapStandIn()
    yield standin
    await standin.close()


@pytest.fixture
async def imap(server: ImapStandIn) -> AsyncIterator[Imap]:
    connection = Imap("127.0.0.1", server.port, None, time_limit=1)
    await connection.open("ana", 's3 cre\\t"o')
    await connection.select("INBOX")
    yield connection
    await connection.close()


async def reach_idle(server: ImapStandIn) -> None:
    async with asyncio.timeout(5):
        while not server.idling:
            await asyncio.sleep(0.005)


async def test_a_connection_that_dies_in_idle_wakes_the_waiter(server: ImapStandIn, imap: Imap) -> None:
    waiting = asyncio.ensure_future(imap.wait(60))
    await reach_idle(server)
    server.cut()
    with pytest.raises(Unavailable, match="lost"):
        async with asyncio.timeout(5):
            await waiting
    with pytest.raises(Unavailable, match="lost"):  # and later commands do not hang
        async with asyncio.timeout(0.5):
            await imap.uids()


async def test_a_bye_in_answer_to_idle_does_not_hang(server: ImapStandIn, imap: Imap) -> None:
    server.idle = "bye"
    with pytest.raises(Unavailable):
        async with asyncio.timeout(5):
            await imap.wait(60)


async def test_an_idle_that_is_never_answered_ends_in_time(server: ImapStandIn, imap: Imap) -> None:
    server.idle = "silent"
    with pytest.raises(Unavailable, match="no answer"):
        async with asyncio.timeout(5):
            await imap.wait(60)


async def test_a_command_that_is_never_answered_ends_in_time(server: ImapStandIn, imap: Imap) -> None:
    server.silent.add("SEARCH")
    with pytest.raises(Unavailable):
        async with asyncio.timeout(5):
            await imap.uids()


async def test_commands_wait_for_each_other_and_for_the_end_of_idle(server: ImapStandIn, imap: Imap) -> None:
    server.mails += [b"From: a@b.co\r\n\r\none", b"From: a@b.co\r\n\r\ntwo"]
    waiting = asyncio.ensure_future(imap.wait(0.2))
    await reach_idle(server)
    one, two, uids = await asyncio.gather(imap.fetch(1, 10_000), imap.fetch(2, 10_000), imap.uids())
    await waiting
    assert one and two and (one.raw[-3:], two.raw[-3:], uids) == (b"one", b"two", [1, 2])
    assert server.faults == []


async def test_idle_reports_at_once(server: ImapStandIn, imap: Imap) -> None:
    waiting = asyncio.ensure_future(imap.wait(60))
    await reach_idle(server)
    server.mails.append(b"From: a@b.co\r\n\r\nnew")
    async with asyncio.timeout(5):
        await waiting
    assert await imap.uids() == [1]


async def test_a_mail_that_was_removed_meanwhile_is_none_and_the_next_is_read(server: ImapStandIn, imap: Imap) -> None:
    server.mails += [b"From: a@b.co\r\n\r\none", b"From: a@b.co\r\n\r\n(two {3}\r\n) x"]
    server.gone.add(1)
    assert await imap.fetch(1, 10_000) is None
    two = await imap.fetch(2, 10_000)
    assert (
        two
        and two.received_at
        and two.raw.endswith(b"(two {3}\r\n) x")
        and two.received_at.isoformat() == "2026-03-02T14:30:00+00:00"
    )


async def test_the_last_mail_that_every_search_names_is_not_read_again(server: ImapStandIn, imap: Imap) -> None:
    server.mails.append(b"From: a@b.co\r\n\r\none")
    assert await imap.uids(after=1) == []


async def test_searches_are_plain_ascii_and_name_no_charset(server: ImapStandIn, imap: Imap) -> None:
    await imap.uids()
    assert server.commands[-1] == "UID SEARCH UID 1:*"


def test_folder_names_are_written_in_modifiedutf7() -> None:
    assert utf7("Peticiones & más") == "Peticiones &- m&AOE-s"
    assert utf7("~peter/mail/台北/日本語") == "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
    assert utf7("INBOX") == "INBOX"


def test_starttls_for_imap_is_refused_by_the_settings() -> None:
    with pytest.raises(ValueError, match="security"):
        ImapSettings.model_validate({"host": "x", "security": "starttls"})


async def test_names_and_passwords_are_quoted(server: ImapStandIn, imap: Imap) -> None:
    assert server.commands[1] == 'LOGIN "ana" "s3 cre\\\\t\\"o"'


async def test_a_server_without_idle_is_polled() -> None:
    standin = AtMail()
    standin.imap.capabilities = "IMAP4rev1"
    standin.channel._poll = 0.05
    listener = standin.channel.listen(None)
    await anext(listener)
    coming = asyncio.ensure_future(anext(listener))
    await standin.arrive("hola")
    async with asyncio.timeout(5):
        arrival = await coming
    assert isinstance(arrival, Inbound) and arrival.text == "hola"
    assert not any(command == "IDLE" for command in standin.imap.commands)
    await listener.aclose()
    await standin.close()


async def test_the_mailbox_is_searched_even_if_idle_stays_silent() -> None:
    standin = AtMail()
    standin.channel._poll = 0.05
    listener = standin.channel.listen(None)
    await anext(listener)
    coming = asyncio.ensure_future(anext(listener))
    async with asyncio.timeout(5):
        while sum("SEARCH" in command for command in standin.imap.commands) < 5:
            await asyncio.sleep(0.01)
    assert standin.imap.faults == []
    coming.cancel()
    with suppress(asyncio.CancelledError):
        await coming
    await listener.aclose()
    await standin.close()
