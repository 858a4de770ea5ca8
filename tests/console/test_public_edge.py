"""What every answer carries, what is refused at the door, and what people see when something breaks."""

import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from starlette.requests import Request

from console.app import BODY_SLACK, create_app
from console.pages import Pages, asset_version
from console.security import client_address, same_origin, visitor
from console.site import Site
from console.words import LANGUAGES, Words, choose
from tests.console.conftest import a_client

HTML = {"accept": "text/html"}


def a_request(peer: str = "203.0.113.9", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "client": (peer, 1), "headers": raw, "method": "POST", "path": "/"})


async def test_every_answer_carries_the_headers(client: httpx.AsyncClient) -> None:
    for path in ("/chat", "/health", "/static/acuse.css", "/nowhere"):
        answer = await client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"


async def test_pages_have_no_script_or_style_in_them(client: httpx.AsyncClient) -> None:
    for path in ("/chat", "/nowhere"):
        page = (await client.get(path, headers=HTML)).text
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)


async def test_health_tells_by_its_status(site: Site) -> None:
    async with a_client(site) as well, a_client(replace(site, health=lambda: {"ok": False, "parts": {}})) as ill:
        assert (await well.get("/health")).status_code == 200
        answer = await ill.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"ok": False, "parts": {}})


async def test_home_leads_to_the_chat_or_to_the_console(site: Site) -> None:
    async with a_client(site) as client, a_client(replace(site, webchat_account=None)) as without:
        assert (await client.get("/")).headers["location"] == "/chat"
        assert (await without.get("/")).headers["location"] == "/desk"
        assert (await without.get("/chat")).status_code == 404


async def test_files_of_ours_are_kept_by_version_and_compressed(client: httpx.AsyncClient) -> None:
    version = asset_version("test")
    kept = await client.get(f"/static/acuse.css?v={version}")
    assert "immutable" in kept.headers["cache-control"] and kept.headers["content-encoding"] == "gzip"
    assert (await client.get("/static/chat.js")).headers["cache-control"] == "no-cache"
    assert (await client.get("/static/htmx/htmx.min.js?v=1")).status_code == 200
    assert "immutable" not in (await client.get("/static/nothing.js?v=1")).headers.get("cache-control", "")


async def test_the_chat_page_weighs_less_than_60_kb(client: httpx.AsyncClient) -> None:
    page = await client.get("/chat")
    async with client.stream("GET", "/chat") as whole:
        weight = sum([len(part) async for part in whole.aiter_raw()])
    for address in {*re.findall(r'(?:href|src)="(/static/[^"#]+)', page.text)}:
        async with client.stream("GET", address) as file:
            weight += sum([len(part) async for part in file.aiter_raw()])
    assert weight < 60_000


async def endless(total: int) -> AsyncIterator[bytes]:
    yield b'--a\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    for _ in range(total // 65_536 + 1):
        yield b"a" * 65_536


async def test_a_body_over_the_limit_is_refused_told_or_counted(client: httpx.AsyncClient, site: Site) -> None:
    limit = site.parts.policy.attachment_limit + BODY_SLACK
    form = {"content-type": "multipart/form-data; boundary=a"}
    told = await client.post("/chat", content=b"", headers=form | {"content-length": str(limit + 1)})
    counted = await client.post("/chat", content=endless(limit + 1), headers=form)
    assert (told.status_code, counted.status_code) == (413, 413)


async def test_a_missing_page_is_shown_in_the_visitors_language(client: httpx.AsyncClient) -> None:
    page = await client.get("/<b>nowhere", headers=HTML | {"accept-language": "pt-BR,pt;q=0.9"})
    assert page.status_code == 404 and "Esta página não existe" in page.text and "<b>nowhere" not in page.text
    assert (await client.get("/nowhere")).json()["reference"] is None


async def test_our_fault_has_a_reference_and_tells_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> dict[str, object]:
        raise RuntimeError("the customer's secret words")

    async with a_client(replace(site, health=broken)) as client:
        with caplog.at_level(logging.ERROR):
            page = await client.get("/health", headers=HTML)
    reference = re.search(r"E-[0-9A-HJKMNP-TV-Z]{6}", page.text)
    assert page.status_code == 500 and reference is not None and "El fallo es nuestro" in page.text
    assert page.headers["x-content-type-options"] == "nosniff"
    assert reference[0] in caplog.text and "RuntimeError at test_public_edge.py" in caplog.text
    assert "secret" not in caplog.text + page.text


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", [], "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.1", "no address", ["10.0.0.1"], "10.0.0.1"),
        ("10.0.0.1", "", ["10.0.0.1"], "10.0.0.1"),
    ],
)
def test_only_our_own_proxy_is_believed(peer: str, forwarded: str, trusted: list[str], expected: str) -> None:
    request = a_request(peer, x_forwarded_for=forwarded) if forwarded else a_request(peer)
    assert client_address(request, trusted) == expected


def test_a_visitor_is_an_address_or_a_household() -> None:
    assert visitor("203.0.113.9") == "203.0.113.9" == visitor("::ffff:203.0.113.9")
    assert visitor("2001:db8::1") == visitor("2001:db8::2") != visitor("2001:db8:0:1::1")
    assert visitor("127.0.0.1") is visitor("::1") is visitor("testclient") is None


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "cross-site", "origin": "https://acuse.test", "host": "acuse.test"}, False),
        ({"sec_fetch_site": "same-site"}, False),
        ({"origin": "https://acuse.test", "host": "acuse.test"}, True),
        ({"origin": "https://chat.nube.example", "host": "127.0.0.1:8080"}, True),
        ({"origin": "https://evil.example", "host": "acuse.test"}, False),
        ({"origin": "null", "host": "acuse.test"}, False),
        ({}, True),
    ],
)
def test_a_post_comes_from_our_own_page(headers: dict[str, str], ours: bool) -> None:
    assert same_origin(a_request(**headers), "https://chat.nube.example") is ours


@pytest.mark.parametrize(
    ("asked", "accepted", "expected"),
    [
        (None, None, "es"),
        ("pt", "en", "pt"),
        ("xx", "en", "en"),
        (None, "fr, en-GB;q=0.8, pt;q=0.9", "pt"),
        (None, "en;q=0", "es"),
        (None, ";;;q=,*;q=x", "es"),
    ],
)
def test_the_language_is_asked_for_or_preferred(asked: str | None, accepted: str | None, expected: str) -> None:
    assert choose(("es", "en", "pt"), asked, accepted) == expected


def test_all_languages_have_the_same_words_with_the_same_blanks() -> None:
    def blanks(language: str, treatment: str) -> dict[str, list[str]]:
        texts = Words.load().of(language, treatment)
        return {
            f"{section}.{name}": sorted(re.findall(r"\{\w+\}", text))
            for section, of in texts.items()
            for name, text in of.items()
        }

    assert all(blanks(one, "usted") == blanks("es", "tu") for one in LANGUAGES)


def test_usted_is_used_throughout() -> None:
    told = [text for of in Words.load().of("es", "usted").values() for text in of.values()]
    tu = r"\b(tus?|tú|puedes|recibes|hablas|cuéntanos|prueba|quita|espera|recarga|\w+talo)\b"
    assert not [text for text in told if re.search(tu, text.lower())]


async def test_an_unknown_name_in_a_template_is_an_error(site: Site) -> None:
    with pytest.raises(Exception, match="undefined"):
        Pages(site).text("error.html", "es")


def test_the_app_shows_no_map_of_itself(site: Site) -> None:
    app = create_app(site)
    assert app.openapi_url is None and app.docs_url is None
