"""Somebody needs a person: people are told, and told again, until one of them takes it."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from bot.alerts import Alerts
from channels.channel import Unavailable
from tests.bot.rows import outgoing, send_all
from tests.conftest import Clock
from tests.world import NUBE, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero hablar con una persona"


async def test_a_flag_is_mailed_without_a_word_of_the_customer(world: World) -> None:
    """R070 P20: the reason in words, the case, the way there."""
    talk = await world.write("chat", "ana", BROKEN)
    assert await Alerts(world.parts).alert() == 1
    await send_all(world)
    [mail] = world.sent("email", "turno@nube.example")
    [case] = await world.cases()
    assert "pidió una persona" in mail.text
    assert case.code in mail.text
    assert str(talk) in mail.text
    for word in ("licuadora", "48213", "rota"):
        assert word not in mail.text + (mail.subject or "")
    assert mail.automatic == "auto-generated"
    assert all("pidió una persona" not in one.text for one in world.sent("chat"))


async def test_it_is_repeated_until_somebody_takes_it(world: World, clock: Clock) -> None:
    """Every ten minutes; what waits at the take-over is withdrawn."""
    talk = await world.write("chat", "ana", BROKEN)
    alerts = Alerts(world.parts)
    told = []
    for _ in range(31):
        told.append(await alerts.alert())
        await send_all(world)
        clock.advance(timedelta(minutes=1))
    assert sum(told) == len(world.sent("email")) == 3
    clock.advance(timedelta(minutes=2))
    assert await alerts.alert() == 1
    desk = world.desk(await world.agent())
    await desk.take(talk)
    await desk.reply(talk, "Hola, soy Pedro", key="1")
    await send_all(world)
    assert [one.state for one in await outgoing(world, "alert")] == ["sent"] * 3 + ["withdrawn"]
    clock.advance(timedelta(hours=1))
    assert await alerts.alert() == 0


async def test_a_new_reason_after_it_was_taken_is_told_at_once(world: World, clock: Clock) -> None:
    """Not ten minutes after the last alert of a matter that is over."""
    talk = await world.write("chat", "ana", BROKEN)
    alerts = Alerts(world.parts)
    assert await alerts.alert() == 1
    desk = world.desk(await world.agent())
    await desk.take(talk)
    await desk.give_back(talk)
    clock.advance(timedelta(minutes=1))
    await world.write("chat", "ana", "quiero hablar con una persona ya")
    assert await alerts.alert() == 1


async def test_what_becomes_urgent_is_told_at_once_and_says_so(world: World, clock: Clock) -> None:
    """R080: harm does not wait for the next round."""
    await world.write("chat", "ana", BROKEN)
    alerts = Alerts(world.parts)
    assert await alerts.alert() == 1
    clock.advance(timedelta(minutes=1))
    await world.write("chat", "ana", "la licuadora echó chispas y mi hijo se quemó la mano, está en el hospital")
    [talk] = await world.conversations()
    assert talk.urgent
    assert await alerts.alert() == 1
    await send_all(world)
    assert "Urgente" in world.sent("email")[-1].text


async def test_without_anybody_to_mail_it_is_only_said_in_the_log(
    database_url: str, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The console shows the flag all the same."""
    company = NUBE.model_copy(update={"alert_to": []})
    async with a_world(database_url, clock, tmp_path, company=company) as world:
        await world.write("chat", "ana", BROKEN)
        assert await Alerts(world.parts).alert() == 1
        assert await outgoing(world, "alert") == []
        assert "company.alert_to" in caplog.text


async def test_a_mail_server_that_is_away_silences_no_chat(world: World, clock: Clock) -> None:
    """The alert waits in the same conversation; what is said to the customer leaves."""
    world.memory("email").fail(Unavailable("down"), times=99)
    await world.write("chat", "ana", BROKEN)
    alerts = Alerts(world.parts)
    for _ in range(3):
        await alerts.alert()
        await send_all(world)
        clock.advance(timedelta(minutes=11))
    before = len(world.sent("chat"))
    await world.write("chat", "ana", "quiero hablar con una persona")
    await send_all(world)
    assert len(world.sent("chat")) > before


async def test_alerts_come_at_growing_pauses_and_a_new_reason_at_once(world: World, clock: Clock) -> None:
    """Nobody is there at the weekend: fifty people who wait must not make twenty thousand mails."""
    await world.write("chat", "ana", BROKEN)
    talk = await world.write("chat", "ana", "Quiero hablar con una persona")
    alerts, began = Alerts(world.parts), clock()
    told = []
    while clock() - began < timedelta(hours=60):
        if await alerts.alert():
            told.append((clock() - began) // timedelta(minutes=1))
        clock.advance(timedelta(minutes=5))
    assert told[:5] == [0, 15, 30, 45, 60]
    assert len(told) < 25
    assert all(later - sooner <= 4 * 60 + 5 for sooner, later in pairwise(told))  # and never quite silent
    desk = world.desk(await world.agent())
    await alerts.alert()
    await desk.take(talk)
    await desk.give_back(talk)
    async with world.parts.database.transaction() as tx:
        conversation = await tx.conversations.locked(talk)
        assert conversation is not None
        clock.advance(timedelta(minutes=1))
        conversation.flagged_at, conversation.flag_reason = clock(), "undelivered"
    assert await alerts.alert() == 1
