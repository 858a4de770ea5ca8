"""Every night what the server holds is compared with what we kept; a gap is filled and called out (P10)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.reconciling import Gap, Reconciling
from channels.channel import Inbound
from storage.lease import Lease
from tests.bot.rows import messages
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
