"""What concerns a whole account is told once, not once for each message (issue 4, item 5; P15)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from bot.accounts import Accounts, AccountStates
from bot.alerts import Alerts
from channels.channel import Channel, ChannelError, DeliveryReport, Unavailable, Undeliverable
from channels.imap import LoginRefused
from channels.mail_smtp import REMEDIES, SmtpFault
from channels.memory import Memory
from channels.twilio_errors import VERDICTS, fault
from tests.bot.rows import contact, outgoing, send_all
from tests.conftest import Clock
from tests.world import CHAT, MAIL, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
REFUSED = Unavailable("twilio 20003: the credentials are not accepted", account=True)
PEOPLE = ("ana", "beto", "caro")


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """A chat that confirms, a Telegram, and two mailboxes."""
    channels: dict[str, Channel] = {
        "chat": Memory("chat", features=replace(CHAT, receipts=True), now=clock),
        "telegram": Memory("telegram", features=CHAT, now=clock),
        "email": Memory("email", features=MAIL, now=clock),
        "mail2": Memory("mail2", features=MAIL, now=clock),
    }
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        made.parts = replace(made.parts, kinds={**made.parts.kinds, "mail2": "email"})
        yield made


async def told(world: World, clock: Clock, minutes: float = 0) -> list[str]:
    """What managers were mailed, after so much time in steps."""
    alerts, end = Alerts(world.parts), clock.moment + timedelta(minutes=minutes)
    while True:
        await alerts.alert()
        await send_all(world)
        if clock.moment >= end:
            break
        clock.advance(timedelta(minutes=1))
    return [one.text for box in ("email", "mail2") for one in world.sent(box, "turno@nube.example")]


async def flagged(world: World) -> list[UUID]:
    return [one.id for one in await world.conversations() if one.flagged_at is not None]


async def _all_write(world: World) -> list[UUID]:
    return [await world.write("chat", one, BROKEN) for one in PEOPLE]


async def test_P15_bad_credentials_are_told_once_and_everything_leaves_when_they_are_mended(
    world: World, clock: Clock
) -> None:
    """Three customers, dozens of attempts, one mail, no flag; and in the end each has everything, in order."""
    world.memory("chat").fail(REFUSED, times=1000)
    await _all_write(world)
    mails = await told(world, clock, 30)
    assert len(mails) == 1
    assert "La cuenta chat no puede enviar" in mails[0]
    assert "20003" in mails[0]
    assert await flagged(world) == []
    assert world.sent("chat") == []
    async with world.parts.database.transaction() as tx:
        _, [open_fault] = await tx.faults.open()
    assert (open_fault.account, open_fault.times > 6) == ("chat", True)
    assert await AccountStates(world.parts).now() == {"chat": "refused"}
    world.memory("chat")._failures.clear()
    await told(world, clock, 45)
    for one in PEOPLE:
        assert [m.kind for m in world.sent("chat", one)] == ["ack", "receipt"]
    async with world.parts.database.transaction() as tx:
        assert await tx.faults.open() == ([], [])


async def test_one_that_comes_and_goes_is_told_again_after_a_day(world: World, clock: Clock) -> None:
    manager = await world.agent("marta", "Marta", "manager")
    for hours, mails in ((0, 1), (2, 1), (25, 2)):
        clock.advance(timedelta(hours=hours))
        world.memory("chat").fail(REFUSED)
        await world.write("chat", f"p{hours}", BROKEN)
        assert len(await told(world, clock)) == mails
        assert [one.what for one in await world.rooms(manager).notices()] == ["refused"]
        await Accounts(world.parts).mended(manager, "chat")
        assert await world.rooms(manager).notices() == []


async def test_P15_what_was_refused_for_the_account_s_sake_is_listed_and_flags_nobody(
    world: World, clock: Clock
) -> None:
    """A report that means the account: the failed list has all of them, managers one mail."""
    await _all_write(world)
    for receipt in await outgoing(world, "receipt"):
        assert receipt.provider_id is not None
        report = DeliveryReport(
            account="chat",
            provider_id=receipt.provider_id,
            state="failed",
            at=clock(),
            reason="twilio 30034: the number is not registered",
            permanent=False,
            means="account",
        )
        await world.intake.keep("chat", report)
    assert await flagged(world) == []
    assert len(await told(world, clock, 5)) == 1
    assert len(await world.rooms(await world.agent()).undelivered()) == 3
    for one in PEOPLE:
        assert (await contact(world, "chat", one)).blocked_at is None


async def test_where_there_is_another_way_it_is_taken(world: World, clock: Clock) -> None:
    await world.write("chat", "ana", "hola")
    ana = await contact(world, "chat", "ana")
    async with world.parts.database.transaction() as tx:
        await tx.people.add_contact(ana.person_id, "telegram", "77", verified_by="link")
    world.memory("chat").fail(Undeliverable("twilio 30034", means="account"), times=3)
    await world.write("chat", "ana", BROKEN)
    await send_all(world)
    assert [one.kind for one in world.sent("telegram", "77")] == ["receipt"]
    assert len(await told(world, clock)) == 1


async def test_the_alarm_takes_a_mailbox_that_works_and_outlives_a_take_over(world: World, clock: Clock) -> None:
    """It hangs in a customer's conversation, but is not about it: nor is it shown there."""
    clock.advance(timedelta(minutes=1))
    world.memory("email").fail(REFUSED, times=1000)
    talk = await world.write("email", "ana@example.com", BROKEN)
    clock.advance(timedelta(minutes=2))
    await send_all(world)
    await Alerts(world.parts).alert()
    agent = await world.agent()
    await world.desk(agent).take(talk)
    await send_all(world)
    assert [one.to.value for one in world.sent("mail2")] == ["turno@nube.example"]
    room = await world.rooms(agent).room(talk)
    assert all("no puede enviar" not in one.text for one in room.entries)
    assert "no puede enviar" not in room.line.last_text


async def test_without_a_mailbox_that_works_the_log_says_so(
    world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for box in ("email", "mail2"):
        world.memory(box).fail(REFUSED, times=1000)
        await world.write(box, "ana@example.com", BROKEN)
    clock.advance(timedelta(minutes=2))
    await send_all(world)
    assert await told(world, clock) == []
    assert "email cannot send, and nobody can be mailed about it" in caplog.text


@pytest.mark.parametrize(
    ("error", "whole"),
    [
        (fault(20003, 401), True),
        (fault(None, 403), True),
        (fault(63018, 400), True),
        (fault(20429, 429), False),
        (fault(None, 500), False),
        (SmtpFault("535", REMEDIES["login"]), True),
        (SmtpFault("550", REMEDIES["sender"]), True),
        (SmtpFault("refused", REMEDIES["host"]), False),
        (LoginRefused("no"), True),
    ],
)
def test_which_faults_are_the_account_s(error: ChannelError, whole: bool) -> None:
    assert isinstance(error, Unavailable)
    assert error.account is whole


def test_every_verdict_that_means_the_account_says_so_at_once() -> None:
    for code in (one for one, verdict in VERDICTS.items() if verdict.means == "account"):
        error = fault(code, 400)
        assert isinstance(error, Undeliverable)
        assert error.means == "account"
