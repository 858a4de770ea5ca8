"""L-2 P15: an agent corrects a number on WhatsApp, where what is said first is a template."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from bot.corrections import KNOCK, Corrections
from bot.refusals import CannotCorrect
from bot.views import Me
from channels.channel import Channel, Undeliverable
from channels.memory import Memory
from channels.whatsapp_templates import candidates, load
from tests.bot.rows import contact, outgoing, send_all
from tests.conftest import Clock
from tests.world import CHAT, World, a_world

WRONG, TYPED, RIGHT = "+573000000001", "+57 (300) 123-4567", "+573001234567"
ANSWER = "Ana, mañana sale tu licuadora nueva a la calle 12."
BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    features = replace(CHAT, free_text_window=timedelta(hours=24), receipts=True)
    channels: dict[str, Channel] = {"whatsapp": Memory("whatsapp", features=features, now=clock)}
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        yield made


@pytest_asyncio.fixture
async def pedro(world: World) -> Me:
    return await world.agent()


@pytest_asyncio.fixture
async def failed(world: World, pedro: Me) -> UUID:
    """Pedro's answer to a number at which nobody has WhatsApp any more."""
    talk = await world.write("whatsapp", WRONG, BROKEN, name="Ana Gómez")
    await world.desk(pedro).take(talk)
    await world.desk(pedro).reply(talk, ANSWER, key="1")
    world.memory("whatsapp").fail(Undeliverable("twilio 63024: the recipient has no WhatsApp"), times=2)
    await send_all(world)
    world.memory("whatsapp")._failures.clear()
    world.memory("whatsapp").sent.clear()
    [row] = await outgoing(world, "agent")
    assert row.state == "failed"
    return row.id


async def release(world: World) -> None:
    await world.ticker.sweep()
    await send_all(world)


async def test_L2_a_number_that_nobody_proved_gets_a_template_without_a_name_or_a_word_of_the_case(
    world: World, pedro: Me, failed: UUID
) -> None:
    await Corrections(world.parts).resend_to(pedro, failed, "whatsapp", TYPED)
    await release(world)
    [notice] = world.sent("whatsapp")
    assert (notice.to.value, notice.kind, notice.window_open, notice.code) == (RIGHT, KNOCK, False, None)
    fitting = candidates(load(), notice.kind, "es", notice.blanks, 0)
    assert fitting, "nothing could be sent as a template"
    values = fitting[0].variables(notice.blanks, [])
    assert set(notice.blanks) == {"text"} and values["1"] == "de nuevo"
    for word in ("Ana", "licuadora", "calle 12", "Pedro", (await world.cases())[0].code):
        assert word not in f"{notice.text} {values}"


async def test_P15_the_message_leaves_as_free_text_once_somebody_names_the_case_from_there(
    world: World, pedro: Me, failed: UUID
) -> None:
    [case] = await world.cases()
    await Corrections(world.parts).resend_to(pedro, failed, "whatsapp", TYPED)
    await release(world)
    await world.write("whatsapp", RIGHT, "¿quién es?")
    await release(world)
    assert all(one.text != ANSWER for one in world.sent("whatsapp"))
    await world.write("whatsapp", RIGHT, f"es por el caso {case.code}")
    await release(world)
    [answer] = [one for one in world.sent("whatsapp") if one.text == ANSWER]
    assert (answer.to.value, answer.window_open) == (RIGHT, True)
    assert (await contact(world, "whatsapp", RIGHT)).person_id == case.person_id


@pytest.mark.parametrize("typed", ["300 123 4567", "CO.123456", "ana@example.com"])
async def test_what_is_no_number_is_refused(world: World, pedro: Me, failed: UUID, typed: str) -> None:
    """A person without a number is known by an id that nobody can say over the phone."""
    with pytest.raises(CannotCorrect) as refused:
        await Corrections(world.parts).resend_to(pedro, failed, "whatsapp", typed)
    assert refused.value.reason == "number"
