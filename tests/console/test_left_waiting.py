"""Who waits for an agent that went away, as the others at the desk see it (issue 2)."""

import httpx
import pytest
from sqlalchemy import text

from bot.alerts import Alerts
from bot.views import Me
from console.site import Site
from tests.console.test_desk import REPORT, enter, hire, post
from tests.world import World


@pytest.fixture
async def token(client: httpx.AsyncClient, site: Site) -> str:
    """Marta, an agent, is logged in."""
    await hire(site, "marta", "Marta Lozano")
    return await enter(client, "marta")


@pytest.fixture
async def pedro(site: Site) -> Me:
    return await hire(site, "pedro", "Pedro Salas")


async def test_the_queue_says_who_has_it_since_when_and_anybody_may_take_it(
    client: httpx.AsyncClient, token: str, world: World, pedro: Me
) -> None:
    talk = await world.write("chat", "ana", REPORT)
    await world.desk(pedro).take(talk)
    assert (await post(client, f"/desk/c/{talk}/take", token)).status_code == 409
    async with world.parts.database.transaction() as tx:  # some open hour lies in a week, whenever this runs
        await tx.session.exec(text("UPDATE messages SET received_at = received_at - interval '7 days'"))  # type: ignore[call-overload]  # plain SQL
        await tx.session.exec(text("UPDATE conversations SET taken_at = taken_at - interval '7 days'"))  # type: ignore[call-overload]  # plain SQL
    assert await Alerts(world.parts).alert() == 1
    queue = (await client.get("/desk?view=flagged")).text
    assert "Sin respuesta de una persona" in queue
    assert "La tiene Pedro Salas desde" in queue
    room = (await client.get(f"/desk/c/{talk}")).text
    assert 'id="do-take"' in room
    assert (await post(client, f"/desk/c/{talk}/take", token)).status_code == 200
    assert "Sin respuesta de una persona" not in (await client.get("/desk?view=flagged")).text
