"""Every night what the server holds is compared with what we kept; a gap is filled and called out (P10)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bot.delivery import MATTERS
from bot.intake import Kept
from bot.quarantine import TRIES, Quarantine
from bot.reconciling import Gap, Reconciling
from channels.channel import Arrival, Inbound
from storage.lease import Lease
from storage.tables import Delivery, Outgoing
from tests.bot.rows import contact, messages, outgoing, rows, send_all
from tests.channels.mail_standin import AtMail
from tests.conftest import Clock
from tests.world import World, a_world


@pytest.fixture
async def at(clock: Clock) -> AsyncIterator[AtMail]:
    standin = AtMail(now=clock)
    yield standin
    await standin.close()


@pytest.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path, at: AtMail) -> AsyncIterator[World]:
    async with a_world(database_url, clock, tmp_path, channels={"email": at.channel}) as made:
        yield made


class Enough(Exception):
    """The test has seen enough."""


def _mail(number: int) -> bytes:
    return f"From: ana{number}@x.co\r\nMessage-ID: <m{number}@x.co>\r\nSubject: n{number}\r\n\r\nn{number}\r\n".encode()


def _about(original: str, number: int, *, complaint: bool = False) -> bytes:
    """A mail server's word about a mail of ours: it bounced for good, or its reader complains."""
    kind = "feedback-report" if complaint else "delivery-status"
    said = "Feedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n"
    if not complaint:
        said = (
            "Reporting-MTA: dns; mx.co\r\n\r\nFinal-Recipient: rfc822; ana1@x.co\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        )
    return (
        f"From: MAILER-DAEMON@mx.co\r\nMessage-ID: <about{number}@mx.co>\r\nAuto-Submitted: auto-replied\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type={kind}; boundary=B\r\n\r\n"
        f"--B\r\nContent-Type: text/plain\r\n\r\nIt failed.\r\n--B\r\nContent-Type: message/{kind}\r\n\r\n{said}\r\n"
        f"--B\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {original}\r\nSubject: x\r\n\r\n--B--\r\n"
    ).encode()


async def _sent(world: World, at: AtMail, clock: Clock) -> Outgoing:
    """Our receipt for a mail of ana's, a minute ago."""
    mail = _mail(1).replace(b"\r\n\r\nn1", b"\r\n\r\nMi pedido 48213 lleg\xc3\xb3 roto, quiero otro.")
    at.imap.mails.append(mail)
    at.imap.dates = {1: _date(clock)}
    await _listen(world, at, 1)
    for one in await world.conversations():
        await world.settle(one.id)
    clock.advance(timedelta(minutes=5))
    await send_all(world)
    clock.advance(timedelta(minutes=1))
    return next(one for one in await outgoing(world) if one.state == "sent" and one.kind in MATTERS)


def _date(clock: Clock, back: timedelta = timedelta(0)) -> str:
    return (clock() - back).strftime("%d-%b-%Y %H:%M:%S +0000")


async def _listen(world: World, at: AtMail, number: int, *, lose: frozenset[str] = frozenset()) -> None:
    """As the pump does; what is to be lost moves the cursor on without being kept, as a faulty version would."""
    async with world.parts.database.transaction() as tx:
        cursor = await tx.cursors.load("email")
    listener = at.channel.listen(cursor)
    for _ in range(number):
        arrival = await anext(listener)
        if isinstance(arrival, Inbound) and arrival.text in lose:
            async with world.parts.database.transaction() as tx:
                tx.cursors.save("email", dict(arrival.cursor or {}))
        else:
            await world.intake.keep("email", arrival)
    await listener.aclose()


def _reconciling(world: World, at: AtMail, sleep: object = None) -> Reconciling:
    url = world.parts.database.url
    more = {} if sleep is None else {"sleep": sleep}
    return Reconciling(world.parts, world.intake, "email", at.channel, lease=lambda name: Lease(url, name), **more)  # type: ignore[arg-type]  # only sleep


async def test_p10_what_was_missed_is_fetched_flagged_and_told(world: World, at: AtMail, clock: Clock) -> None:
    at.imap.mails += [_mail(number) for number in range(1, 6)]
    at.imap.dates = {number: _date(clock, timedelta(hours=2)) for number in range(1, 6)}
    await _listen(world, at, 5, lose=frozenset({"n2", "n4"}))
    assert [one.text for one in await messages(world)] == ["n1", "n3", "n5"]
    found = await _reconciling(world, at).once()
    assert (found.held, found.recovered, found.waiting) == (5, 2, 0) and "fetched" in (found.remedy or "")
    assert sorted(one.text for one in await messages(world)) == ["n1", "n2", "n3", "n4", "n5"]
    [late] = [one for one in await messages(world) if one.text == "n2"]
    assert late.sent_at == clock() - timedelta(hours=2)
    flagged = [one.subject for one in await world.conversations() if one.flag_reason == "recovered"]
    assert sorted(str(one) for one in flagged) == ["n2", "n4"]
    async with world.parts.database.transaction() as tx:
        told = await tx.cursors.load("reconciling:email")
        place = await tx.cursors.load("email")
    assert told and told["recovered"] == 2 and place and place["uid"] == 5  # the listener's place stays
    again = await _reconciling(world, at).once()
    assert (again.recovered, again.remedy) == (0, None)


async def test_p10_a_listener_that_does_not_run_is_called_out(world: World, at: AtMail, clock: Clock) -> None:
    at.imap.mails.append(_mail(1))
    at.imap.dates = {1: _date(clock), 2: _date(clock, timedelta(minutes=5))}
    await _listen(world, at, 1)
    at.imap.mails.append(_mail(2))
    assert (await _reconciling(world, at).once()).remedy is None  # it is just being read
    clock.advance(timedelta(hours=3))
    found = await _reconciling(world, at).once()
    assert found.waiting == 1 and "listener" in (found.remedy or "")


async def test_what_was_set_aside_is_not_missing(world: World, at: AtMail, clock: Clock) -> None:
    """P11: it lies beside its evidence, which bears its id."""
    at.imap.mails.append(_mail(1))
    at.imap.dates = {1: _date(clock)}
    bad = await _first(at)
    quarantine = Quarantine(world.parts, world.intake, "email")
    assert [await quarantine.take(bad, ValueError()) for _ in range(TRIES)][-1]
    assert await quarantine.holds(bad)
    found = await _reconciling(world, at).once()
    assert (found.held, found.recovered, found.failed) == (1, 0, 0)
    assert [one.kind for one in await messages(world)] == ["machine"]


@pytest.mark.parametrize("named", [True, False])
async def test_one_that_can_never_be_kept_is_set_aside_and_those_behind_it_are_fetched(
    world: World, at: AtMail, clock: Clock, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """P11. One without an id is asked for each night: it is known by its key, and people are called once."""
    poison = _mail(1) if named else _mail(1).replace(b"Message-ID: <m1@x.co>\r\n", b"")
    at.imap.mails += [poison, _mail(2)]
    at.imap.dates = {1: _date(clock), 2: _date(clock)}
    await _listen(world, at, 2, lose=frozenset({"n1", "n2"}))
    _poisoned(world, monkeypatch, "n1")
    slept: list[float] = []
    nightly = _reconciling(world, at, _sleeper(slept))
    found = await nightly.once()
    assert (found.recovered, found.failed, len(slept)) == (2, 0, TRIES - 1)
    kept = {one.text: one for one in await messages(world)}
    assert {text: one.kind for text, one in kept.items()} == {"n1": "machine", "n2": "person"}
    flags = {one.id: one.flag_reason for one in await world.conversations()}
    assert (flags[kept["n1"].conversation_id], flags[kept["n2"].conversation_id]) == ("bot_failed", "recovered")
    async with world.parts.database.transaction() as tx:
        seen = await tx.conversations.locked(kept["n1"].conversation_id)
        assert seen is not None
        seen.flagged_at = seen.flag_reason = None
    for _ in range(TRIES):
        again = await nightly.once()
        assert (again.recovered, again.failed, again.remedy) == (0, 0, None)
    assert all(one.flag_reason != "bot_failed" for one in await world.conversations())
    assert len(await messages(world)) == 2


async def test_what_cannot_even_be_set_aside_is_called_out_and_tried_again_soon(
    world: World, at: AtMail, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.imap.mails += [_mail(1), _mail(2)]
    at.imap.dates = {1: _date(clock), 2: _date(clock)}
    await _listen(world, at, 2, lose=frozenset({"n1", "n2"}))
    _poisoned(world, monkeypatch, "")
    slept: list[float] = []
    with pytest.raises(Gap, match="2 could not be kept"):
        await _reconciling(world, at, _sleeper(slept)).run()
    monkeypatch.undo()
    with pytest.raises(Gap, match="2 had been missed"):  # the keeper starts it again; it is not done for tonight
        await _reconciling(world, at, _sleeper(slept)).run()
    assert sum(slept) < 1400
    assert sorted(one.text for one in await messages(world)) == ["n1", "n2"]


async def _first(at: AtMail) -> Arrival:
    listener = at.channel.listen(None)
    try:
        return await anext(listener)
    finally:
        await listener.aclose()


def _sleeper(slept: list[float]) -> Callable[[float], Awaitable[None]]:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    return sleep


def _poisoned(world: World, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What says this breaks whatever takes it, but not as evidence; "": everything does, evidence too."""
    keep = world.intake.keep

    async def broken(account: str, arrival: Arrival) -> Kept | None:
        if not text or (isinstance(arrival, Inbound) and arrival.text == text and arrival.machine is None):
            raise ValueError(text)
        return await keep(account, arrival)

    monkeypatch.setattr(world.intake, "keep", broken)


async def test_a_bounce_is_told_once_however_long_the_server_holds_it(world: World, at: AtMail, clock: Clock) -> None:
    """It is never a message, so each night it is missing again; and it says nothing of what was sent anew since."""
    row = await _sent(world, at, clock)
    at.imap.mails.append(_about(row.provider_id or "", 2))
    at.imap.dates[2] = _date(clock)
    await _listen(world, at, 1)
    failed = next(one for one in await outgoing(world) if one.id == row.id)
    assert failed.state == "failed" and (await contact(world, "email", "ana1@x.co")).blocked_at is not None
    told = len(await rows(world, Delivery))
    clock.advance(timedelta(hours=1))
    assert (await _reconciling(world, at).once()).remedy is None
    assert len(await rows(world, Delivery)) == told
    await world.desk(await world.agent()).resend(row.id)
    await send_all(world)
    before = len(at.smtp.taken)
    for _ in range(2):
        clock.advance(timedelta(days=1))
        await _reconciling(world, at).once()
        await send_all(world)
    again = next(one for one in await outgoing(world) if one.id == row.id)
    assert (again.state, len(at.smtp.taken)) == ("sent", before)
    assert (await contact(world, "email", "ana1@x.co")).blocked_at is None


async def test_a_bounce_that_was_missed_is_told_after_all(world: World, at: AtMail, clock: Clock) -> None:
    row = await _sent(world, at, clock)
    at.imap.mails += [_about(row.provider_id or "", 2), _mail(3)]
    at.imap.dates |= {2: _date(clock), 3: _date(clock)}
    async with world.parts.database.transaction() as tx:
        tx.cursors.save("email", {**(await tx.cursors.load("email") or {}), "uid": 2})
    await _listen(world, at, 1)
    assert (await _reconciling(world, at).once()).recovered == 0
    failed = next(one for one in await outgoing(world) if one.id == row.id)
    assert failed.state == "failed"


async def test_a_complaint_takes_back_no_later_consent(world: World, at: AtMail, clock: Clock) -> None:
    row = await _sent(world, at, clock)
    at.imap.mails.append(_about(row.provider_id or "", 2, complaint=True))
    at.imap.dates[2] = _date(clock)
    await _listen(world, at, 1)
    assert (await contact(world, "email", "ana1@x.co")).consent["survey"] is False
    clock.advance(timedelta(hours=1))
    async with world.parts.database.transaction() as tx:
        ana = await tx.people.contact("email", "ana1@x.co")
        assert ana is not None
        tx.people.consent(ana, ("survey",), True, who="person", how="link")
    await _reconciling(world, at).once()
    assert (await contact(world, "email", "ana1@x.co")).consent["survey"] is True


async def test_it_happens_once_a_night_and_a_gap_stays_visible(world: World, at: AtMail, clock: Clock) -> None:
    at.imap.mails.append(_mail(1))
    at.imap.dates = {1: _date(clock)}
    await _listen(world, at, 1, lose=frozenset({"n1"}))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(timedelta(seconds=seconds))
        if len(slept) > 1000:
            raise Enough

    with pytest.raises(Gap, match="1 had been missed"):
        await _reconciling(world, at, sleep).run()
    searches = sum("HEADER.FIELDS" in one for one in at.imap.commands)
    slept.clear()
    with pytest.raises(Enough):
        await _reconciling(world, at, sleep).run()  # the keeper starts it again: 1000 looks are three and a half days
    assert sum("HEADER.FIELDS" in one for one in at.imap.commands) - searches in (3, 4)
