"""What the server holds against what we kept (P10), and how a mailbox is."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from channels.channel import Address as To
from channels.channel import Cursor, DeliveryReport, Inbound, Outbound, Reconciles
from tests.channels.mail_standin import AtMail
from tests.channels.test_email_folders import NOW, at_mail, listening, mail, message

REPORT = """From: MAILER-DAEMON@x.co
Message-ID: <b@x.co>
Subject: Undelivered
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; x.co

Final-Recipient: rfc822; ana@test.local
Action: failed
Status: 5.1.1

--b
Content-Type: message/rfc822

Message-ID: {OURS}

x
--b--
""".replace("\n", "\r\n")
WEEK = NOW - timedelta(days=7)


def kept(*numbers: int) -> Any:
    ids = {f"<m{number}@x.co>" for number in numbers}

    async def known(asked: Sequence[str]) -> set[str]:
        return ids & set(asked)

    return known


async def read_all(at: AtMail, number: int) -> Cursor:
    async with listening(at) as listener:
        heard = [await message(listener) for _ in range(number)]
    assert heard[-1].cursor is not None
    return heard[-1].cursor


async def test_what_we_do_not_have_is_named_and_fetched_with_its_own_moment() -> None:
    async with at_mail() as at:
        at.imap.mails += [mail(number, f"n{number}") for number in (1, 2, 3)]
        place = await read_all(at, 3)
        assert isinstance(at.channel, Reconciles)
        stock = await at.channel.take_stock(place, WEEK, kept(1, 3))
        assert (stock.held, len(stock.missing), stock.waiting, stock.problems) == (3, 1, 0, ())
        found = [one async for one in at.channel.recover(stock.missing)]
        assert [(one.text, one.sent_at, one.cursor) for one in found if isinstance(one, Inbound)] == [("n2", NOW, None)]


async def test_what_the_listener_has_not_reached_waits_and_is_not_missing() -> None:
    async with at_mail() as at:
        at.imap.mails.append(mail(1))
        place = await read_all(at, 1)
        at.imap.mails.append(mail(2))
        at.imap.dates[2] = "02-Mar-2026 08:00:00 -0500"
        stock = await at.channel.take_stock(place, WEEK, kept(1))
        assert (stock.missing, stock.waiting) == ((), 1) and stock.waiting_since == NOW - timedelta(hours=1.5)


async def test_mail_from_before_the_installation_and_from_long_ago_is_not_missing() -> None:
    async with at_mail(since=None) as at:
        at.imap.mails.append(mail(1))
        async with listening(at) as listener:
            place = (await anext(listener)).cursor
        assert (await at.channel.take_stock(place, WEEK, kept())).held == 0
    async with at_mail() as at:
        at.imap.mails.append(mail(1))
        at.imap.dates[1] = "02-Jan-2026 08:00:00 -0500"
        place = await read_all(at, 1)
        assert (await at.channel.take_stock(place, WEEK, kept())).held == 0


async def test_a_mail_without_an_id_is_asked_for_and_known_by_its_key() -> None:
    async with at_mail() as at:
        at.imap.mails.append(mail(1).replace(b"Message-ID: <m1@x.co>\r\n", b""))
        async with listening(at) as listener:
            one = await message(listener)
        stock = await at.channel.take_stock(one.cursor, WEEK, kept())
        [again] = [one async for one in at.channel.recover(stock.missing)]
        assert isinstance(again, Inbound) and again.key == one.key


async def test_a_renumbered_folder_is_left_to_the_listener_and_a_missing_one_is_told() -> None:
    async with at_mail(imap={"mailbox": ["INBOX", "Reclamos"]}) as at:
        at.imap.folders["Reclamos"] = [mail(2)]
        at.imap.mails.append(mail(1))
        place = await read_all(at, 2)
        del at.imap.folders["Reclamos"]
        stock = await at.channel.take_stock(place, WEEK, kept())
        assert (
            stock.held == 1 and [one.remedy for one in stock.problems] != [] and "Reclamos" in stock.problems[0].detail
        )
        at.imap.uidvalidity += 1
        assert (await at.channel.take_stock(place, WEEK, kept())).missing == ()
        assert [one async for one in at.channel.recover(stock.missing)] == []


async def test_a_report_about_ours_that_was_missed_updates_its_message() -> None:
    async with at_mail() as at:
        ours = await at.channel.send(Outbound(key="k", to=To("email", "ana@test.local"), text="x"))
        report = REPORT.replace("{OURS}", ours)
        at.imap.mails.append(report.encode())
        async with listening(at) as listener:
            place = (await anext(listener)).cursor
        stock = await at.channel.take_stock(place, WEEK, kept())
        [found] = [one async for one in at.channel.recover(stock.missing)]
        assert isinstance(found, DeliveryReport) and (found.provider_id, found.means) == (ours, "address")


async def test_the_check_tells_how_full_the_mailbox_is_when_mail_came_and_whether_we_are_told_at_once() -> None:
    async with at_mail() as at:
        at.imap.capabilities += " QUOTA"
        at.imap.quota = (100_000, 1_000_000)
        at.imap.mails += [mail(1), mail(2)]
        at.imap.dates = {1: "02-Mar-2026 06:30:00 -0500", 2: "02-Mar-2026 07:30:00 -0500"}
        health = await at.channel.check()
        assert health.ok, health
        for said in ("INBOX (last mail 2 h ago)", "at once", "10% of 977 MB", "sends as intake@test.local"):
            assert said in health.detail, (said, health)
        at.imap.quota = (950_000, 1_000_000)
        health = await at.channel.check()
        assert not health.ok and "room" in (health.remedy or "")
        at.imap.quota, at.imap.capabilities = None, "IMAP4rev1"
        assert "no IDLE" in (await at.channel.check()).detail
