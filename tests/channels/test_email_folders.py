"""Several folders and accounts, mail that cannot be had, and when mail counts as received."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels import mail_folder
from channels.channel import Arrival, Cursor, Ignored, Inbound, Unavailable
from tests.channels.mail_standin import AtMail

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@asynccontextmanager
async def at_mail(**settings: Any) -> AsyncIterator[AtMail]:
    standin = AtMail(**settings)
    try:
        yield standin
    finally:
        await standin.close()


@asynccontextmanager
async def listening(at: AtMail, since: Cursor | None = None) -> AsyncIterator[AsyncIterator[Arrival]]:
    listener = at.channel.listen(since)
    try:
        yield listener
    finally:
        await listener.aclose()


async def soon(listener: AsyncIterator[Arrival]) -> Arrival:
    async with asyncio.timeout(10):
        return await anext(listener)


async def message(listener: AsyncIterator[Arrival]) -> Inbound:
    arrival = await soon(listener)
    assert isinstance(arrival, Inbound), arrival
    return arrival


def mail(number: int, text: str = "hola", *, sender: str = "ana@test.local", trace: str = "") -> bytes:
    return f"{trace}From: {sender}\r\nMessage-ID: <m{number}@x.co>\r\nSubject: Hola\r\n\r\n{text}\r\n".encode()


async def test_two_folders_are_read_side_by_side_and_each_keeps_its_place() -> None:
    async with at_mail(imap={"mailbox": ["INBOX", "Reclamos"]}) as at:
        at.imap.folders["Reclamos"] = [mail(2, "reclamo")]
        at.imap.mails.append(mail(1, "uno"))
        async with listening(at) as listener:
            first, second = await message(listener), await message(listener)
            assert {first.text, second.text} == {"uno", "reclamo"}
            coming = asyncio.ensure_future(message(listener))
            at.imap.folders["Reclamos"].append(mail(3, "otro"))
            third = await coming
        assert third.text == "otro" and third.cursor is not None
        assert {one["mailbox"]: one["uid"] for one in third.cursor["folders"]} == {"INBOX": 1, "Reclamos": 2}
        at.imap.mails.append(mail(4, "dos"))
        async with listening(at, third.cursor) as listener:
            assert (await message(listener)).text == "dos"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(listener)


async def test_a_mail_is_not_counted_as_read_before_it_was_taken_though_another_folder_moves_on() -> None:
    async with at_mail(imap={"mailbox": ["INBOX", "Reclamos"]}) as at:
        at.imap.mails += [mail(1, "uno"), mail(2, "dos")]
        at.imap.folders["Reclamos"] = [mail(3, "tres")]
        heard: list[str] = []
        cursor: Cursor | None = None
        for _ in range(3):  # it stops after each mail, as after a crash
            async with listening(at, cursor) as listener:
                one = await message(listener)
                heard.append(one.text)
                cursor = one.cursor
        assert sorted(heard) == ["dos", "tres", "uno"]


async def test_a_second_folder_can_be_added_to_the_place_of_a_single_one() -> None:
    async with at_mail() as at:
        at.imap.mails.append(mail(1, "uno"))
        async with listening(at) as listener:
            place = (await message(listener)).cursor
        assert place is not None and place["mailbox"] == "INBOX"
    async with at_mail(imap={"mailbox": ["INBOX", "Reclamos"]}, since=None) as at:
        at.imap.mails += [mail(1, "uno"), mail(2, "dos")]
        at.imap.folders["Reclamos"] = [mail(3, "viejo")]
        async with listening(at, place) as listener:
            first, second = await soon(listener), await soon(listener)
        texts = [one.text for one in (first, second) if isinstance(one, Inbound)]
        assert texts == ["dos"] and any(isinstance(one, Ignored) for one in (first, second))


async def test_one_folder_that_is_gone_does_not_stop_the_others_and_the_check_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail_folder, "MISSING", 0.05)
    async with at_mail(imap={"mailbox": ["INBOX", "Reclamos"]}) as at:
        at.imap.mails.append(mail(1, "uno"))
        async with listening(at) as listener:
            assert (await message(listener)).text == "uno"
            health = await at.channel.check()
            assert not health.ok and "Reclamos" in health.detail and "folder" in (health.remedy or "")
            at.imap.folders["Reclamos"] = [mail(2, "reclamo")]
            assert (await message(listener)).text == "reclamo"
    async with at_mail(imap={"mailbox": "Nirgends"}) as at, listening(at) as listener:
        with pytest.raises(Unavailable, match="no mailbox"):
            await soon(listener)


async def test_two_accounts_never_answer_each_other() -> None:
    """P14: what one of our accounts sends to another is machine mail there, an agent's words as well."""
    async with at_mail() as one, at_mail(address="ventas@test.local") as other:
        from channels.channel import Address, Outbound

        await one.channel.send(Outbound(key="k", to=Address("email", "ventas@test.local"), text="x", automatic=None))
        other.imap.mails.append(one.smtp.taken[0])
        async with listening(other) as listener:
            inbound = await message(listener)
        assert inbound.machine == "from one of our own accounts"
    async with at_mail(aliases=["otra@test.local"]) as at:
        at.imap.mails.append(mail(1, sender="otra@test.local"))
        async with listening(at) as listener:
            assert "own addresses" in ((await message(listener)).machine or "")


async def test_a_mail_that_the_server_keeps_back_is_seen_and_the_next_is_read() -> None:
    """P11: set aside with what can be had of it; it never stops the mailbox."""
    async with at_mail() as at:
        at.imap.mails += [mail(1, "roto"), mail(2, "bueno")]
        at.imap.kept_back.add(1)
        async with listening(at) as listener:
            broken, good = await message(listener), await message(listener)
        assert broken.machine is not None and broken.machine.startswith("quarantine") and "Hola" in broken.text
        assert broken.sender.value == "ana@test.local" and broken.provider_id is None and not broken.authentic
        assert good.text == "bueno" and good.cursor is not None and good.cursor["uid"] == 2


async def test_a_mail_that_breaks_the_connection_is_set_aside_after_some_tries() -> None:
    """P11, P12."""
    async with at_mail() as at:
        at.imap.mails += [mail(1, "roto"), mail(2, "bueno")]
        at.imap.deadly.add(1)
        heard: list[Inbound] = []
        cursor: Cursor | None = None
        for _ in range(8):
            async with listening(at, cursor) as listener:
                try:
                    while len(heard) < 2:
                        heard.append(await message(listener))
                        cursor = heard[-1].cursor
                except Unavailable:
                    continue
            break
        assert [one.text for one in heard[1:]] == ["bueno"]
        assert "quarantine" in (heard[0].machine or "") and "each time" in heard[0].text


async def test_a_server_that_hangs_in_mid_fetch_ends_the_listener_and_nothing_is_lost() -> None:
    """P12."""
    async with at_mail() as at:
        at.imap.mails.append(mail(1, "uno"))
        at.imap.silent.add("FETCH")
        async with listening(at) as listener:
            hanging = asyncio.ensure_future(soon(listener))
            async with asyncio.timeout(5):
                while not any("FETCH" in one for one in at.imap.commands):
                    await asyncio.sleep(0.01)
            at.imap.cut()
            with pytest.raises(Unavailable):
                await hanging
        at.imap.silent.clear()
        async with listening(at) as listener:
            assert (await message(listener)).text == "uno"


@pytest.mark.parametrize(
    ("date", "trace", "received"),
    [
        ("27-Feb-2026 09:30:00 -0500", "", datetime(2026, 2, 27, 14, 30, tzinfo=UTC)),
        ("", "Received: by mx; Fri, 27 Feb 2026 09:00:00 -0500\r\n", datetime(2026, 2, 27, 14, 0, tzinfo=UTC)),
        ("", "Received: by mx; Fri, 27 Feb 2036 09:00:00 -0500\r\n", NOW),
        ("31-Foo-2026 09:30:00 -0500", "", NOW),
        ("", "", NOW),
    ],
)
async def test_a_mail_was_received_when_our_server_got_it_not_when_we_fetched_it(
    date: str, trace: str, received: datetime
) -> None:
    """P10: after an outage of days the term counts from the arrival."""
    async with at_mail() as at:
        at.imap.mails.append(mail(1, trace=trace))
        at.imap.dates[1] = date
        async with listening(at) as listener:
            assert (await message(listener)).sent_at == received


async def test_three_days_of_mail_arrive_after_three_days_without_us() -> None:
    """P10: with their own moments, read by others or not."""
    async with at_mail() as at:
        at.imap.mails.append(mail(1))
        async with listening(at) as listener:
            place = (await message(listener)).cursor
        for number in range(2, 202):
            at.imap.mails.append(mail(number, f"n{number}"))
            at.imap.dates[number] = f"0{1 + number % 3}-Mar-2026 08:00:00 +0000"
        async with listening(at, place) as listener:
            heard = [await message(listener) for _ in range(200)]
    assert [one.text for one in heard] == [f"n{number}" for number in range(2, 202)]
    assert {one.sent_at.date().day for one in heard} == {1, 2, 3}
    assert max(one.sent_at for one in heard) - min(one.sent_at for one in heard) == timedelta(days=2)
