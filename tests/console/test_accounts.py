"""The accounts' page over HTTP: pause, resume, and what the desk is told meanwhile (issue 4, item 10)."""

from datetime import timedelta

import httpx
import pytest

from bot.alerts import Alerts
from bot.views import Me
from channels.channel import Unavailable
from console.site import Site
from tests.bot.rows import messages, outgoing, send_all
from tests.console.conftest import a_client
from tests.console.test_desk import REPORT, enter, hire, post
from tests.world import World

WHY = "Twilio cambia el remitente"


@pytest.fixture
async def marta(site: Site) -> Me:
    return await hire(site, "marta", "Marta Lozano", "manager")


@pytest.fixture
async def token(client: httpx.AsyncClient, marta: Me) -> str:
    """Marta, who manages, is logged in."""
    return await enter(client, "marta")


async def pause(client: httpx.AsyncClient, token: str, account: str = "chat", why: str = WHY) -> httpx.Response:
    """As the page's form does it."""
    return await client.post(f"/desk/accounts/{account}/pause", data={"csrf": token, "why": why})


async def resume(client: httpx.AsyncClient, token: str, account: str = "chat") -> httpx.Response:
    """The same."""
    return await client.post(f"/desk/accounts/{account}/resume", data={"csrf": token})


async def test_the_page_tells_of_each_account_what_passes_and_what_waits(
    client: httpx.AsyncClient, token: str, world: World
) -> None:
    await world.write("chat", "ana", REPORT)
    page = (await client.get("/desk/accounts")).text
    for account in world.parts.channels:
        assert f"<span>{account}</span>" in page
    assert "Última entrada" in page
    assert "En pausa desde" not in page
    assert (await client.get("/desk/accounts/chat/health")).text.count("in memory") == 1
    assert (await client.get("/desk/accounts/nothing/health")).status_code == 404


async def test_P15_on_a_paused_account_nothing_leaves_and_then_everything_in_order(
    client: httpx.AsyncClient, token: str, world: World
) -> None:
    """What arrives is taken in all the while; a second pause changes nothing; others are not held up."""
    await world.write("chat", "ana", REPORT)
    before = len(world.sent("chat"))
    assert (await pause(client, token)).headers["location"] == "/desk/accounts"
    assert (await pause(client, token, why="otra cosa")).status_code == 303
    talk = await world.write("chat", "ana", "fue el jueves en la sede Centro")
    await world.write("telegram", "beto", REPORT)
    desk = world.desk(await world.agent("luis", "Luis"))
    await desk.take(talk)
    await desk.reply(talk, "Uno", key="1")
    await desk.reply(talk, "Dos", key="2")
    async with world.parts.database.transaction() as tx:
        for row in await tx.outbox.waiting(talk):
            row.not_before = world.clock() - timedelta(minutes=1)  # the time to undo is over
    await world.ticker.sweep()
    await send_all(world)
    assert len(world.sent("chat")) == before
    assert world.sent("telegram")
    assert [one.text for one in await messages(world, talk)][-1] == "fue el jueves en la sede Centro"
    page = (await client.get("/desk/accounts")).text
    assert WHY in page
    assert "Marta Lozano" in page
    assert "otra cosa" not in page
    waiting = [one.text for one in await outgoing(world) if one.state == "queued" and one.account == "chat"]
    assert waiting[-2:] == ["Uno", "Dos"]
    assert f"{len(waiting)} mensajes" in page
    assert (await resume(client, token)).status_code == 303
    await send_all(world)
    assert [one.text for one in world.sent("chat")[before:]] == waiting
    assert "En pausa desde" not in (await client.get("/desk/accounts")).text


async def test_whoever_waits_there_is_shown_as_out_of_reach(
    client: httpx.AsyncClient, token: str, world: World
) -> None:
    """The banner of the queue, the line of an urgent flag, the room, the browser's alert, the mail, and /health."""
    talk = await world.write("chat", "ana", "La licuadora echó chispas y mi hijo se quemó la mano")
    words = "no se le puede responder"
    assert words not in (await client.get("/desk")).text
    assert "accounts" not in (await client.get("/health")).json()
    await pause(client, token)
    queue = (await client.get("/desk")).text
    assert "<b>chat</b> está en pausa" in queue
    assert WHY in queue
    assert queue.count(words) == 1
    live = (await client.get("/desk/live", headers={"HX-Request": "true"})).text
    assert "está en pausa" in live
    assert live.count(words) == 2  # the line, and what the browser's own alert says
    assert "por aquí no se puede responder" in (await client.get(f"/desk/c/{talk}")).text
    assert await Alerts(world.parts).alert() == 1
    await send_all(world)
    assert "la cuenta chat está en pausa" in world.sent("email", "turno@nube.example")[0].text
    await resume(client, token)
    assert words not in (await client.get("/desk")).text


async def test_health_tells_which_account_rests(client: httpx.AsyncClient, token: str) -> None:
    await pause(client, token)
    assert (await client.get("/health")).json()["accounts"] == {"chat": "paused"}


async def test_only_managers_decide_and_only_with_a_reason(
    client: httpx.AsyncClient, token: str, site: Site, world: World
) -> None:
    assert (await pause(client, token, why="  ")).status_code == 422
    assert (await pause(client, token, account="nothing")).status_code == 409
    await hire(site, "pedro", "Pedro Salas")
    async with a_client(site) as other:
        theirs = await enter(other, "pedro")
        assert (await other.get("/desk/accounts")).status_code == 403
        assert (await pause(other, theirs)).status_code == 403
        assert (await resume(other, theirs)).status_code == 403
        assert "/desk/accounts" not in (await other.get("/desk")).text
    async with world.parts.database.transaction() as tx:
        assert await tx.pacing.pauses() == []


async def test_an_account_that_left_the_configuration_can_be_resumed(
    client: httpx.AsyncClient, token: str, world: World
) -> None:
    async with world.parts.database.transaction() as tx:
        await tx.pacing.pause("old", "admin", "ya no")
    assert "Ya no está en config.yaml" not in (page := (await client.get("/desk/accounts")).text)
    assert "<span>old</span>" in page
    await resume(client, token, "old")
    assert "<span>old</span>" not in (await client.get("/desk/accounts")).text


async def test_P15_what_failed_before_the_pause_is_tried_again_after_it(
    client: httpx.AsyncClient, token: str, world: World
) -> None:
    """A row in its back-off keeps its place."""
    world.memory("telegram").fail(Unavailable("503"))
    talk = await world.write("telegram", "beto", REPORT)
    await pause(client, token, "telegram")
    await send_all(world)
    await resume(client, token, "telegram")
    async with world.parts.database.transaction() as tx:
        for row in await tx.outbox.waiting(talk):
            row.not_before = world.clock()
    await send_all(world)
    kinds = [one.kind for one in await outgoing(world) if one.account == "telegram"]
    assert [one.kind for one in world.sent("telegram")] == kinds


async def test_the_banner_speaks_the_language_of_who_looks(client: httpx.AsyncClient, token: str) -> None:
    await pause(client, token)
    for language, words in (("en", "is paused"), ("pt", "está em pausa")):
        await post(client, "/desk/me", token, language=language)
        assert words in (await client.get("/desk")).text
