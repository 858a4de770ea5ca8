"""A.2: what an SMS costs is seen where it was written."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from channels.channel import House
from channels.memory import Memory
from channels.twilio_sms import Settings, Sms
from console.site import Site
from tests.bot.rows import send_all
from tests.console.test_desk import REPORT, enter, hire
from tests.world import CHAT, World

SECTION = {"account_sid": f"AC{'1' * 32}", "auth_token": "t", "from_number": "+15005550006"}


def now() -> datetime:
    return datetime.now(UTC)


class Texts(Memory):
    """Sends nothing, and counts as the real one does."""

    sms = Sms("sms", Settings.model_validate(SECTION), now=now, house=House(b"x", company="Nube"))
    segments = sms.segments


@pytest.fixture
def texting(world: World) -> World:
    channels: Any = world.parts.channels
    channels["sms"] = Texts("sms", features=CHAT, now=world.clock)
    kinds: Any = world.parts.kinds
    kinds["sms"] = "sms"
    return world


async def test_each_message_says_how_many_sms_are_paid_for_it(
    client: httpx.AsyncClient, site: Site, texting: World
) -> None:
    pedro = await hire(site, "pedro", "Pedro Salas")
    await enter(client, "pedro")
    talk = await texting.write("sms", "+573001112233", REPORT)
    desk = texting.desk(pedro)
    await desk.take(talk)
    await desk.reply(talk, "Mañana sale.", key="1")
    await desk.reply(talk, "ñandú " * 60, key="2")
    async with texting.parts.database.transaction() as tx:
        for row in await tx.outbox.waiting(talk):
            row.not_before = texting.clock() - timedelta(seconds=1)
    await send_all(texting)
    page = (await client.get(f"/desk/c/{talk}")).text
    assert "1 SMS" in page and "3 SMS" in page  # 17 characters of label, 359 of words, in GSM-7


async def test_nothing_is_said_where_nothing_is_paid_by_length(
    client: httpx.AsyncClient, site: Site, world: World
) -> None:
    await hire(site, "pedro", "Pedro Salas")
    await enter(client, "pedro")
    talk = await world.write("chat", "ana", REPORT)
    assert " SMS<" not in (await client.get(f"/desk/c/{talk}?view=all")).text
