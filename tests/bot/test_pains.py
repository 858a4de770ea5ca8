"""Pains of today's systems that run through several parts of ours: hand-over, digressions, language (P21-P23)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.alerts import Alerts
from channels.memory import Memory
from storage.tables import Outgoing
from tests.bot.rows import rows, send_all
from tests.conftest import Clock
from tests.world import CHAT, MAIL, Linked, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
EVENING = datetime(2026, 3, 3, 2, 30, tzinfo=UTC)  # 21:30 in Colombia: nobody is there
ANA = {
    "webchat": "s-1",
    "telegram": "77",
    "whatsapp": "+573001234567",
    "sms": "+573001112233",
    "slack": "T0:U0",
    "email": "ana@x.example",
}
PERSON = {"es": "quiero hablar con una persona", "en": "I want to talk to a person", "pt": "quero falar com uma pessoa"}


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """With every kind of channel."""
    channels: dict[str, Any] = {
        "webchat": Memory("webchat", features=CHAT, now=clock),
        "telegram": Linked("telegram", features=CHAT, now=clock),
        "whatsapp": Memory("whatsapp", features=replace(CHAT, free_text_window=timedelta(hours=24)), now=clock),
        "sms": Memory("sms", features=replace(CHAT, buttons=0), now=clock),
        "slack": Memory("slack", features=CHAT, now=clock),
        "email": Memory("email", features=MAIL, now=clock),
    }
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        yield made


@pytest.mark.parametrize(
    ("language", "words"), [("es", "te paso con una persona"), ("en", "a person"), ("pt", "uma pessoa")]
)
async def test_P21_a_person_is_called_on_every_channel_and_the_customer_is_told(
    world: World, language: str, words: str
) -> None:
    """All stand in the one list of those who wait, an alert goes out for each, and words say what happens now."""
    talks = {await world.write(account, address, PERSON[language]) for account, address in ANA.items()}
    for one in await world.conversations():
        assert one.flag_reason == "asked" and one.human_asked_at is not None
    page = await world.rooms(await world.agent()).queue("flagged")
    assert {line.id for line in page.lines} == talks
    for account, address in ANA.items():
        assert words in world.sent(account, address)[-1].text.lower(), account
    assert await Alerts(world.parts).alert() == len(ANA)


async def test_P21_outside_hours_the_customer_hears_when_people_are_back(world: World, clock: Clock) -> None:
    clock.moment = EVENING
    for account, address in ANA.items():
        await world.write(account, address, PERSON["es"])
        said = world.sent(account, address)[-1].text
        assert "te escriben mañana a las 8" in said, (account, said)


async def test_P22_digression_correction_silence_and_another_channel_leave_the_right_facts(
    world: World, clock: Clock
) -> None:
    """Asked beside the matter, taken back, silent for three days, and gone on with elsewhere: one case, all of it."""
    chat = ("webchat", ANA["webchat"])
    await world.write(*chat, "Compré una licuadora, pedido 48213, y llegó rota.")
    await world.write(*chat, "¿hasta qué hora atienden por teléfono?")
    await world.write(*chat, "perdón, el pedido es el 48231")
    await world.write(*chat, "prefiero por telegram")
    for _ in range(3):
        clock.advance(timedelta(days=1, minutes=1))
        await world.ticker.tick()
        for one in await world.conversations():
            await world.settle(one.id)
    assert [row.lines for row in await rows(world, Outgoing) if "silence_kept" in row.lines] != []
    await world.write(*chat, "prefiero por telegram")  # the first link is over by now
    payload = world.sent("webchat")[-1].text.rpartition("start=")[2].split()[0]
    await world.write("telegram", "77", "/start", start=payload)
    await world.write("telegram", "77", "Sí, fui yo", pressed="link:yes")
    await world.write("telegram", "77", "Quiero que me la cambien por una nueva")
    [case] = await world.cases()
    assert case.facts["order"][-1] == "48231"
    told = " ".join(value for values in case.facts.values() for value in values)
    assert "cambien por una nueva" in told
    assert "atienden" not in " ".join(case.facts.get("order", ()))


async def test_P23_the_language_outlives_the_hand_over_another_language_in_between_and_a_closed_window(
    world: World, clock: Clock
) -> None:
    """What a template is filled with is in the customer's language, not in that of who pressed."""
    talk = await world.write(
        "whatsapp", ANA["whatsapp"], "Hello, my blender arrived broken, order 48213. I want a refund"
    )
    me = await world.agent()
    desk = world.desk(me)
    await desk.take(talk)
    await desk.reply(talk, "Hola, soy Pedro y lo reviso ahora mismo.", key="1")
    await world.settle(talk)
    await world.write("whatsapp", ANA["whatsapp"], "ok")
    await desk.give_back(talk)
    clock.advance(timedelta(days=3))
    await desk.move(talk, "en_investigacion")
    await send_all(world)
    last = world.sent("whatsapp")[-1]
    assert (last.language, last.window_open) == ("en", False)
    ours = [one for one in await rows(world, Outgoing, "number") if not one.author.startswith("agent:")]
    assert {one.language for one in ours} == {"en"}
    assert "your case" in last.text.lower() or "we are" in last.text.lower(), last.text
