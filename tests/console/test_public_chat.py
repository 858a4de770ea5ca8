"""The chat's routes, with the real database: said once, kept, shown again, and nobody else's."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from bot.chat import Chat
from bot.company import Company
from console.public.pace import Pace
from console.public.stream import stream
from console.public.visitor import COOKIE, address_of
from console.site import Settings, Site
from tests.conftest import Clock
from tests.console.conftest import a_client, a_site
from tests.world import World

OWN = {"x-acuse": "chat"}
REPORT = "La licuadora llegó con el vaso roto, quiero que me la cambien. Pedido 48213"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080600000"
    "01f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.fixture
async def visitor(client: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has opened the page."""
    assert (await client.get("/chat")).status_code == 200
    yield client


async def say(client: httpx.AsyncClient, text: str, client_id: str = "one", **fields: Any) -> httpx.Response:
    data = {"client_id": client_id, "text": text} | fields.pop("data", {})
    return await client.post("/chat/messages?lang=es", data=data, headers=OWN | fields.pop("headers", {}), **fields)


async def answered(world: World) -> None:
    for one in await world.conversations():
        await world.settle(one.id)


def chat_of(client: httpx.AsyncClient, site: Site) -> Chat:
    return Chat(site.parts, site.intake, "webchat", address_of(client.cookies[COOKIE]))


async def test_the_cookie_is_a_secret_that_the_tables_do_not_hold(client: httpx.AsyncClient, world: World) -> None:
    page = await client.get("/chat")
    cookie = page.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "path=/chat" in cookie and "secure" not in cookie
    await say(client, "hola")
    (conversation,) = await world.conversations()
    async with world.parts.database.transaction() as tx:
        contact = await tx.people.contact_by_id(conversation.contact_point_id)
    assert contact.address == address_of(client.cookies[COOKIE]) != client.cookies[COOKIE]


async def test_behind_https_the_cookie_is_for_https_only(site: Site) -> None:
    async with a_client(replace(site, settings=Settings(secure_cookies=True))) as client:
        page = await client.get("/chat")
    assert "secure" in page.headers["set-cookie"].lower() and "strict-transport-security" in page.headers


async def test_R_a_message_is_kept_once_and_answered(visitor: httpx.AsyncClient, world: World) -> None:
    assert (await say(visitor, REPORT)).json() == {"kept": True}
    assert (await say(visitor, REPORT)).status_code == 200
    await answered(world)
    shown = (await visitor.get("/chat/history")).json()
    assert [one["who"] for one in shown] == ["me", "bot", "bot"]
    assert [one["kind"] for one in shown] == ["in", "ack", "receipt"]
    assert shown[0]["key"] == "c-one" and re.search(r'<p class="c">PQR-\w{7}</p>', shown[2]["html"])
    assert len(await world.cases()) == 1


async def test_returning_shows_the_history(visitor: httpx.AsyncClient, world: World) -> None:
    await say(visitor, "<img src=x onerror=alert(1)> hola")
    await answered(world)
    page = (await visitor.get("/chat")).text
    assert "&lt;img src=x onerror=alert(1)&gt; hola" in page and "<img src=x" not in page
    assert page.count('class="wb') == 3 + 1  # and the template of what is not sent yet


async def test_another_browser_sees_nothing(visitor: httpx.AsyncClient, site: Site, world: World) -> None:
    await say(visitor, REPORT, files={"files": ("roto.png", PNG)})
    await answered(world)
    html = (await visitor.get("/chat/history")).json()[0]["html"]
    file = re.search(r"/chat/files/[0-9a-f-]+", html)
    assert file is not None
    async with a_client(site) as other:
        assert (await other.get("/chat/history")).status_code == 403
        await other.get("/chat")
        assert (await other.get("/chat/history")).json() == []
        assert (await other.get(file[0])).status_code == 404
        assert (await other.get("/chat/files/" + str(UUID(int=9)))).status_code == 404


async def test_another_site_cannot_speak_for_the_visitor(visitor: httpx.AsyncClient, world: World) -> None:
    foreign = {"origin": "https://evil.example", "host": "acuse.test"}
    assert (await say(visitor, "x", headers=foreign)).status_code == 403
    assert (await visitor.post("/chat/messages", data={"client_id": "a", "text": "x"})).status_code == 403
    form = await visitor.post("/chat", data={"client_id": "a", "text": "x"}, headers={"sec-fetch-site": "cross-site"})
    assert form.status_code == 403 and await world.conversations() == []


async def test_who_never_opened_the_page_is_told_to(client: httpx.AsyncClient) -> None:
    answer = await say(client, "hola")
    assert (answer.status_code, answer.json()["name"]) == (403, "no_session")


async def test_I_a_button_answers_and_is_gone(visitor: httpx.AsyncClient, world: World) -> None:
    await say(visitor, REPORT)
    await answered(world)
    last = (await visitor.get("/chat/history")).json()[-1]["html"]
    pressed = re.search(r'name="choice" value="([^"]+)"', last)
    assert pressed is not None
    await say(visitor, "", "two", data={"choice": pressed[1].replace("&#9;", "\t")})
    shown = (await visitor.get("/chat/history")).json()
    assert "Telegram" in shown[-1]["html"] and not any("choice" in one["html"] for one in shown)
    async with world.parts.database.transaction() as tx:
        said, _, _ = await tx.inbox.said((await world.conversations())[0].id, 10)
    assert [one.pressed for one in said] == [None, "channel:telegram"]


async def test_a_picture_is_shown_and_anything_else_only_downloaded(visitor: httpx.AsyncClient) -> None:
    page = b"<!doctype html><html><script>alert(1)</script></html>"
    await say(visitor, "", files=[("files", ("roto.png", PNG)), ("files", ("página.html", page))])
    html = (await visitor.get("/chat/history")).json()[0]["html"]
    shown, *others = dict.fromkeys(re.findall(r"/chat/files/[0-9a-f-]+", html))
    picture = await visitor.get(shown + "?show=1")
    assert picture.headers["content-type"] == "image/png" and picture.content == PNG
    for address in (shown, *[f"{one}?show=1" for one in others]):
        file = await visitor.get(address)
        assert file.headers["content-disposition"].startswith("attachment")
        assert file.headers["content-type"] == "application/octet-stream"
        assert "sandbox" in file.headers["content-security-policy"]


async def test_R_files_over_the_limit_are_refused_with_words(visitor: httpx.AsyncClient, site: Site) -> None:
    large = await say(visitor, "", files={"files": ("a.bin", b"a" * (site.parts.policy.attachment_limit + 1))})
    many = await say(visitor, "", files=[("files", (f"{number}.txt", b"a")) for number in range(11)])
    assert (large.status_code, many.status_code) == (413, 400)
    assert "20 MB" in large.json()["problem"] and "10 archivos" in many.json()["problem"]


@pytest.mark.parametrize("data", [{"text": ""}, {"text": "x", "client_id": "a:b"}, {"text": "x" * 20_001}])
async def test_what_cannot_be_kept_is_refused(visitor: httpx.AsyncClient, data: dict[str, str]) -> None:
    answer = await say(visitor, "", data=data)
    assert (answer.status_code, answer.json()["name"]) == (400, "malformed")


async def test_more_than_a_person_writes_must_wait(visitor: httpx.AsyncClient) -> None:
    answers = [await say(visitor, "x", f"id{number}") for number in range(42)]
    assert {one.status_code for one in answers[:40]} == {200} and answers[-1].status_code == 429


def test_one_address_has_a_limit_over_all_its_cookies(clock: Clock) -> None:
    pace = Pace(clock, at_most=2, within=timedelta(minutes=1))
    assert [pace.allows("a"), pace.allows("a"), pace.allows("a"), pace.allows("b")] == [True, True, False, True]
    assert all(pace.allows(None) for _ in range(5))
    clock.advance(timedelta(minutes=1))
    assert pace.allows("a")


async def test_without_a_script_the_form_does_the_same(visitor: httpx.AsyncClient, world: World) -> None:
    sent = await visitor.post("/chat?lang=en", data={"client_id": "plain", "text": REPORT})
    assert (sent.status_code, sent.headers["location"]) == (303, "/chat?lang=en#end")
    await answered(world)
    page = await visitor.get(sent.headers["location"])
    assert "PQR-" in page.text and 'lang="en"' in page.text
    refused = await visitor.post("/chat", data={"client_id": "a:b", "text": "no <se> pierde"})
    assert refused.status_code == 400 and "no &lt;se&gt; pierde</textarea>" in refused.text


async def test_what_is_seen_becomes_delivered_and_read(visitor: httpx.AsyncClient, world: World) -> None:
    await say(visitor, "hola")
    await answered(world)
    ids = [str(one.id) for one in await world.outgoing()]
    for state in ("delivered", "read"):
        seen = await visitor.post("/chat/seen", json={"ids": ids, "state": state}, headers=OWN)
        assert seen.status_code == 204
        assert {one.state for one in await world.outgoing()} == {state}
    wrongs: list[object] = [
        {"ids": ["x"], "state": "read"},
        {"ids": ids, "state": "failed"},
        [],
        {"ids": 3, "state": "read"},
    ]
    for wrong in wrongs:
        assert (await visitor.post("/chat/seen", json=wrong, headers=OWN)).status_code == 400


async def test_nobody_reads_for_somebody_else(visitor: httpx.AsyncClient, site: Site, world: World) -> None:
    await say(visitor, "hola")
    await answered(world)
    ids = [str(one.id) for one in await world.outgoing()]
    async with a_client(site) as other:
        await other.get("/chat")
        await other.post("/chat/seen", json={"ids": ids, "state": "read"}, headers=OWN)
    assert {one.state for one in await world.outgoing()} == {"sent"}


async def test_the_stream_goes_on_where_it_stopped_and_hears_what_is_new(
    visitor: httpx.AsyncClient, site: Site, world: World
) -> None:
    await say(visitor, "hola")
    await answered(world)
    parts = stream(chat_of(visitor, site), site.bell, site.stopping, lambda one: {"key": str(one.id)}, None)
    events = [part async for part in _until(parts, 3)]
    assert events[0].startswith("retry:") and len(events) == 3
    place = re.findall(r"^id: (\S+)$", events[1], re.MULTILINE)[0]
    resumed = stream(chat_of(visitor, site), site.bell, site.stopping, lambda one: {"key": str(one.id)}, place)
    assert (await anext(resumed)).startswith("retry:")
    assert await anext(resumed) == events[2]
    await say(visitor, REPORT, "two")
    waiting = asyncio.ensure_future(anext(resumed))
    await answered(world)
    assert "id: " in (new := await asyncio.wait_for(waiting, 5)) and new not in events
    await resumed.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_I_the_stream_waits_for_the_first_word_and_ends_at_once_with_the_server(
    visitor: httpx.AsyncClient, site: Site, world: World
) -> None:
    parts = stream(chat_of(visitor, site), site.bell, site.stopping, lambda one: {"kind": one.kind}, None)
    await anext(parts)
    first = asyncio.ensure_future(anext(parts))
    await say(visitor, "hola")
    await answered(world)
    assert '"ack"' in await asyncio.wait_for(first, 5)
    await anext(parts)
    last = asyncio.ensure_future(anext(parts, "ended"))
    await asyncio.sleep(0)
    site.stopping.set()
    assert await asyncio.wait_for(last, 1) in (": \n\n", "ended")
    assert await asyncio.wait_for(anext(parts, "ended"), 1) == "ended"


async def _until(parts: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    for _ in range(count):
        yield await asyncio.wait_for(anext(parts), 5)
    await parts.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_each_language_has_its_page(visitor: httpx.AsyncClient, site: Site) -> None:
    for language, word in (
        ("es", "Hablar con una persona"),
        ("en", "Talk to a person"),
        ("pt", "Falar com uma pessoa"),
    ):
        assert word in (await visitor.get(f"/chat?lang={language}")).text
        assert word in (await visitor.get("/chat", headers={"accept-language": language})).text


async def test_privacy_and_usted_come_from_the_company(site: Site, world: World) -> None:
    company = Company(
        **(world.parts.company.model_dump() | {"treatment": "usted", "privacy_url": "https://nube.example/p"})
    )
    changed = a_site(world, site.bell, parts=replace(world.parts, company=company))  # type: ignore[arg-type]
    async with a_client(changed) as client:
        page = (await client.get("/chat")).text
    assert 'href="https://nube.example/p"' in page and "Escriba su mensaje" in page
