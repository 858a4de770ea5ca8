"""Rules of every channel: one key is one message (A0-2), the provider's order (P16), nobody in a log (A0-12)."""

import asyncio
import logging
from datetime import timedelta

import pytest

from channels.channel import Unavailable, Undeliverable
from tests.bot.rows import messages
from tests.conftest import Clock
from tests.world import World

WORDS = "La licuadora Tornado llegó partida, mi cédula es 52987123 y vivo en la calle Miraflores"
WHO = {"chat": "573005550199", "telegram": "88112233", "email": "josefina@correo.example"}
THEIRS = ("Tornado", "52987123", "Miraflores", "Josefina", "Arbeláez", "josefina", *WHO.values())


@pytest.mark.parametrize("account", WHO)
async def test_A0_2_the_key_of_its_provider_makes_a_message_one_on_every_channel(world: World, account: str) -> None:
    """However often and however parallel it is handed over, also after its answer; another key is another message."""
    first = world.memory(account).write(WHO[account], WORDS, key="k-1", thread="t")
    await asyncio.gather(*(world.intake.keep(account, first) for _ in range(20)))
    [talk] = await world.conversations()
    await world.settle(talk.id)
    answered = len(world.sent(account))
    await asyncio.gather(*(world.intake.keep(account, first) for _ in range(20)))
    await world.settle(talk.id)
    assert len(await messages(world)) == 1 and len(world.sent(account)) == answered > 0
    await world.write(account, WHO[account], WORDS + ".", key="k-2", thread="t")
    assert len(await messages(world)) == 2


async def test_A0_2_two_accounts_may_give_the_same_key(world: World) -> None:
    """Telegram counts from one for each bot."""
    for account in ("chat", "telegram"):
        await world.write(account, WHO[account], WORDS, key="1")
    assert len(await messages(world)) == 2


async def test_P16_late_and_shuffled_webhooks_are_read_in_the_order_of_the_provider(world: World, clock: Clock) -> None:
    """What was written before our answer and comes after it stands before it; near it, arrival decides."""
    nine = clock()
    clock.advance(timedelta(minutes=5))
    for minute in (3, 1, 2, 0):
        await world.write("chat", "ana", f"minuto {minute}", sent_at=nine + timedelta(minutes=minute))
    clock.advance(timedelta(minutes=5))
    me = await world.agent()
    [talk] = await world.conversations()
    await world.desk(me).take(talk.id)
    await world.desk(me).reply(talk.id, "Ya lo reviso.", key="1")
    await world.settle(talk.id)
    await world.write("chat", "ana", "minuto 4", sent_at=nine + timedelta(minutes=4))
    await world.write(
        "chat", "ana", "gracias", sent_at=clock() - timedelta(seconds=1)
    )  # whole seconds, as Telegram has
    room = await world.rooms(me).room(talk.id)
    assert room is not None
    said = [one.text for one in room.entries if one.author in ("person", "agent") and one.text]
    assert said == [*(f"minuto {minute}" for minute in range(5)), "Ya lo reviso.", "gracias"]


async def test_A0_12_no_word_name_or_address_of_a_customer_is_logged(
    world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Through a report, an outage, a refusal that quotes them, a machine's mail and an agent's answer."""
    caplog.set_level(logging.INFO)
    for account, address in WHO.items():
        memory = world.memory(account)
        memory.fail(Unavailable("503"))
        talk = await world.write(account, address, WORDS, name="Josefina Arbeláez", thread="t")
        clock.advance(timedelta(minutes=5))
        await world.settle(talk)
        me = await world.agent(login=f"pedro-{account}")
        await world.desk(me).take(talk)
        memory.fail(Undeliverable(f"550 no such user: {address}"), times=2)
        await world.desk(me).reply(talk, "Señora Josefina, su licuadora Tornado va en camino.", key="1")
        await world.settle(talk)
        await world.write(account, address, WORDS, machine="Auto-Submitted", thread="t")
    await world.ticker.tick()
    said = "\n".join(f"{one.getMessage()} {one.exc_text or ''}" for one in caplog.records)
    assert caplog.records and [one for one in THEIRS if one in said] == [], said
