"""The chat in another site's page (A.6): who may frame it, a cookie that works there, and one real browser."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it tells no types
from playwright.sync_api import Browser, expect

from channels.webchat import Settings as ChatSettings
from channels.webchat import WebChat
from console.site import Settings, Site
from tests.console.conftest import Live, a_client, now

SHOP = "https://www.nube.example"
REPORT = "La licuadora que compré llegó con el vaso roto, quiero que me la cambien. Pedido 48213"


def a_framed_client(site: Site, **fields: Any) -> httpx.AsyncClient:
    chat = WebChat("webchat", ChatSettings(allowed_origins=[SHOP], title="Nube te escucha"), now=now)
    parts = replace(site.parts, channels={**site.parts.channels, "webchat": chat})
    return a_client(replace(site, parts=parts, **fields))


async def test_only_the_sites_of_the_configuration_may_frame_the_chat(site: Site) -> None:
    async with a_framed_client(site) as client:
        framed = (await client.get("/chat?embed=1")).headers["content-security-policy"]
        plain = (await client.get("/chat")).headers["content-security-policy"]
        desk = (await client.get("/desk?embed=1")).headers["content-security-policy"]
    assert f"frame-ancestors 'self' {SHOP};" in framed
    assert all("frame-ancestors 'self';" in policy for policy in (plain, desk))


async def test_in_a_frame_the_cookie_is_partitioned_and_elsewhere_it_stays_lax(site: Site) -> None:
    async with a_framed_client(site, settings=Settings(secure_cookies=True)) as client:
        framed = (await client.get("/chat?embed=1")).headers["set-cookie"]
        plain = (await client.get("/chat")).headers["set-cookie"]
    assert "SameSite=None; Partitioned" in framed and "Secure" in framed and "HttpOnly" in framed
    assert "SameSite=lax" in plain and "Partitioned" not in plain


async def test_the_page_says_its_title_and_every_way_out_of_it_stays_embedded(site: Site) -> None:
    async with a_framed_client(site) as client:
        page = (await client.get("/chat?embed=1&lang=pt")).text
        answer = await client.post("/chat?embed=1&lang=pt", data={"client_id": "one", "text": "olá"})
    assert "<title>Nube te escucha</title>" in page
    assert page.count('action="/chat?lang=pt&amp;embed=1"') == 2
    assert answer.headers["location"] == "/chat?lang=pt&embed=1#end"


async def test_the_script_is_small_and_may_be_loaded_by_anybody(client: httpx.AsyncClient) -> None:
    answer = await client.get("/chat/embed.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert len(answer.content) < 6_000


class Quiet(SimpleHTTPRequestHandler):
    """A shop that says nothing of its visitors."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    """Another site: `localhost` is to a browser another site than `127.0.0.1`, where Acuse is."""
    root = tmp_path / "shop"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


def test_a_visitor_of_a_shop_reports_reloads_and_finds_the_talk_again(
    browser: Browser, shop: ThreadingHTTPServer, database_url: str, tmp_path: Path
) -> None:
    outside = f"http://localhost:{shop.server_port}"
    live = Live(database_url, tmp_path / "files", chat=ChatSettings(allowed_origins=[outside]))
    live.start()
    try:
        (tmp_path / "shop" / "index.html").write_text(
            f"""<!doctype html><html lang="es"><meta charset="utf-8"><title>Tienda</title><main><h1>Nube</h1></main>
            <script src="{live.base}/chat/embed.js" data-color="#0b6e4f" async></script></html>""",
            encoding="utf-8",
        )
        page = browser.new_context(viewport={"width": 390, "height": 844}, locale="es-CO").new_page()
        page.goto(f"{outside}/")
        page.get_by_role("button", name="Escríbenos").click()
        frame = page.frame_locator("iframe")
        frame.get_by_label("Tu mensaje").fill(REPORT)
        frame.get_by_role("button", name="Enviar").click()
        expect(frame.get_by_text("PQR-").first).to_be_visible(timeout=15_000)
        assert Axe().run(page).response["violations"] == []
        page.reload()
        page.get_by_role("button", name="Escríbenos").click()
        expect(frame.get_by_text("La licuadora que compré").first).to_be_visible()
        frame.get_by_label("Tu mensaje").press("Escape")
        button = page.get_by_role("button", name="Escríbenos")
        expect(button).to_be_focused()
        [case] = live.call(live.world.cases)
        talk = live.call(live.world.conversations)[0]
        live.call(lambda: _agent_writes(live, talk.id))
        expect(page.get_by_role("button", name="1 mensajes nuevos")).to_be_visible(timeout=15_000)
        assert case.type == "reclamo"
        page.context.close()
    finally:
        live.stop()


async def _agent_writes(live: Live, talk: Any) -> None:
    desk = live.world.desk(await live.world.agent())
    await desk.take(talk)
    await desk.reply(talk, "Hola, soy Pedro. Ya lo reviso.", key="one")
