"""Called by Telegram instead of asking it: who calls, what is set when, how it comes back, what the check says."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels.channel import Arrival, Forged, House, Ignored, Inbound, Malformed, Request, Unavailable, Webhook
from channels.telegram import Settings, Telegram
from tests.channels.telegram_wire import Judge, Wire, emulating

TOKEN = "4242:AAsecretSECRETsecret"
PAYLOADS = Path(__file__).parent.parent / "payloads" / "telegram"
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
HEADER = "x-telegram-bot-api-secret-token"
HOUSE = House(bytes(range(32)), "https://nube.example")
URL = "https://nube.example/webhooks/tg"
ME = {"id": 1, "is_bot": True, "first_name": "Acuse", "username": "acuse_demo_bot"}


class BotApi:
    """Telegram's side of the webhook, as a function; each call is judged if the description is there."""

    def __init__(self, judge: Judge | None = None) -> None:
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.info: dict[str, Any] = {"url": "", "has_custom_certificate": False, "pending_update_count": 0}
        self.refusals: dict[str, httpx.Response] = {}
        self.faults: list[str] = []
        self._judge = judge

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rsplit("/", 1)[1]
        given = dict(parse_qsl(request.read().decode()))
        self.calls.append((method, given))
        self.faults += self._judge(method, given, set()) if self._judge else []
        if method in self.refusals:
            return self.refusals[method]
        if method == "getUpdates" and self.info["url"]:
            return refused(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook")
        if method in ("setWebhook", "deleteWebhook"):
            self.info["url"] = given.get("url", "")
        results = {"getMe": ME, "getWebhookInfo": self.info, "getUpdates": [payload("text")]}
        return httpx.Response(200, json={"ok": True, "result": results.get(method, True)})

    def said(self, method: str) -> list[dict[str, str]]:
        return [given for name, given in self.calls if name == method]


def refused(code: int, description: str) -> httpx.Response:
    return httpx.Response(code, json={"ok": False, "error_code": code, "description": description})


def payload(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return loaded


def telegram(api: Callable[[httpx.Request], httpx.Response], *, name: str = "tg", **given: Any) -> Telegram:
    house = given.pop("house", HOUSE)
    settings = Settings.model_validate({"token": TOKEN, "webhook": True} | given)
    transport = httpx.MockTransport(api)
    return Telegram(name, settings, now=lambda: NOW, house=house, transport=transport, care=timedelta(milliseconds=20))


@pytest.fixture
def api(judge_call: Judge | None) -> Iterator[BotApi]:
    made = BotApi(judge_call)
    yield made
    assert made.faults == []


def call(body: Any, secret: str | None, method: str = "POST") -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method=method, url=URL, headers={HEADER: secret} if secret is not None else {}, body=raw)


async def soon(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(channel: Telegram) -> AsyncIterator[asyncio.Future[Arrival]]:
    task = asyncio.ensure_future(anext(channel.listen(None)))
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await channel.close()


async def secret_of(channel: Telegram, api: BotApi) -> str:
    """What Telegram was told when the webhook was set."""
    before = len(api.said("setWebhook"))
    async with listening(channel):
        await soon(lambda: len(api.said("setWebhook")) > before)
    return api.said("setWebhook")[-1]["secret_token"]


async def test_a_call_with_the_secret_is_read_and_moves_no_cursor(api: BotApi) -> None:
    channel = telegram(api)
    secret = await secret_of(channel, api)
    assert isinstance(channel, Webhook)
    [arrival] = channel.read(call(payload("text"), secret))
    assert isinstance(arrival, Inbound)
    assert (arrival.key, arrival.text) == ("731204401", "Buenas, el pedido 88231 llegó roto y nadie responde 😡")
    assert arrival.cursor is None  # what failed before it comes later, and a poll from behind it would lose that


@pytest.mark.parametrize("shown", [None, "", "x" * 64, "ñ", "\ud83d"])
async def test_P29_a_call_without_the_secret_is_forged(api: BotApi, shown: str | None) -> None:
    channel = telegram(api)
    with pytest.raises(Forged):
        channel.read(call(payload("text"), shown))
    await channel.close()


async def test_the_secret_is_the_same_after_a_restart_and_another_one_for_each_bot_house_and_account(
    api: BotApi,
) -> None:
    other_house = House(bytes(32), "https://nube.example")
    secrets = [
        await secret_of(made, api)
        for made in (
            telegram(api),
            telegram(api),
            telegram(api, token="4243:AAsecretSECRETsecret"),
            telegram(api, house=other_house),
            telegram(api, name="second"),
        )
    ]
    assert secrets[0] == secrets[1] and len(set(secrets)) == 4
    assert all(len(secret) == 64 and secret.isalnum() for secret in secrets)


async def test_a_call_that_is_late_is_taken_although_we_ask_again(api: BotApi) -> None:
    secret = await secret_of(telegram(api), api)
    asking = telegram(api, webhook=False)
    assert isinstance(asking.read(call(payload("text"), secret))[0], Inbound)
    homeless = telegram(api, webhook=False, house=None)
    with pytest.raises(Forged):
        homeless.read(call(payload("text"), secret))
    await asyncio.gather(asking.close(), homeless.close())


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 100_000, [], "x", {}, {"update_id": "7"}, {"update_id": True}, {"update_id": None}],
    ids=repr,
)
async def test_what_telegram_could_not_have_sent_is_malformed(api: BotApi, body: Any) -> None:
    channel = telegram(api)
    secret = await secret_of(channel, api)
    with pytest.raises(Malformed):
        channel.read(call(body, secret))
    with pytest.raises(Malformed):
        channel.read(call(payload("text"), secret, "GET"))


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
async def test_every_payload_comes_by_a_call_as_by_a_poll(api: BotApi, path: Path) -> None:
    """What we cannot read is answered like all the rest: else Telegram would bring it again for a day."""
    channel = telegram(api)
    secret = await secret_of(channel, api)
    [arrival] = channel.read(call(payload(path.stem), secret))
    assert arrival.cursor is None
    assert isinstance(arrival, Ignored) == (path.stem in IGNORED)


IGNORED = {
    *("added_to_group", "broken", "channel_post", "from_a_bot", "group", "live_location_moved", "of_tomorrow"),
    *("pinned", "pressed_inline", "reaction_taken_back", "reaction_in_a_group"),
}


async def test_the_webhook_is_set_with_all_that_it_needs(api: BotApi) -> None:
    secret = await secret_of(telegram(api, name="tg"), api)
    kinds = ["message", "edited_message", "callback_query", "my_chat_member", "message_reaction"]
    [given] = api.said("setWebhook")
    assert json.loads(given.pop("allowed_updates")) == kinds
    assert given == {"url": URL, "max_connections": "20", "secret_token": secret}  # and nothing that waits is dropped
    assert not api.said("getUpdates")


async def test_the_name_of_an_account_is_a_part_of_an_address(api: BotApi) -> None:
    await secret_of(telegram(api, name="tg ñ/2"), api)
    assert api.said("setWebhook")[0]["url"] == "https://nube.example/webhooks/tg%20%C3%B1%2F2"


async def test_a_webhook_that_somebody_changed_is_set_again(api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(telegram(api)):
        await soon(lambda: bool(api.said("getWebhookInfo")))
        api.info["url"] = ""
        await soon(lambda: len(api.said("setWebhook")) == 2)
        looked = len(api.calls)
        await soon(lambda: len(api.calls) > looked + 1)
    assert len(api.said("setWebhook")) == 2
    assert "set again" in caplog.text


async def test_calls_in_vain_are_told_of_once(api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
    api.info |= vain("Connection refused")
    async with listening(telegram(api)):
        await soon(lambda: len(api.said("getWebhookInfo")) > 3)
    assert caplog.text.count("Connection refused") == 1


@pytest.mark.parametrize(
    ("public_url", "why"),
    [
        (None, "company.public_url"),
        ("http://nube.example", "port 443, 80, 88 or 8443"),
        ("https://nube.example:8080", "port 443, 80, 88 or 8443"),
    ],
)
async def test_P30_where_telegram_could_never_call_nothing_is_set_and_the_reason_is_told(
    api: BotApi, public_url: str | None, why: str
) -> None:
    channel = telegram(api, house=House(bytes(32), public_url))
    with pytest.raises(Unavailable, match=why):
        await anext(channel.listen(None))
    assert not api.said("setWebhook")
    health = await channel.check()
    assert not health.ok and why in (health.remedy or "")
    await channel.close()


async def test_a_server_of_ones_own_calls_any_address(api: BotApi) -> None:
    house = House(bytes(32), "http://127.0.0.1:8080")
    await secret_of(telegram(api, house=house, api_base_url="http://127.0.0.1:8081"), api)
    assert api.said("setWebhook")[0]["url"] == "http://127.0.0.1:8080/webhooks/tg"


@pytest.mark.parametrize("code", [400, 401, 429, 502])
async def test_a_webhook_that_is_refused_is_tried_again_later(api: BotApi, code: int) -> None:
    api.refusals["setWebhook"] = refused(code, "Bad Request: bad webhook: failed to resolve host")
    channel = telegram(api)
    with pytest.raises(Unavailable):
        await anext(channel.listen(None))
    await channel.close()


async def test_who_asks_again_takes_down_his_own_webhook_and_loses_nothing(api: BotApi) -> None:
    api.info["url"] = URL
    async with listening(telegram(api, webhook=False)) as coming:
        assert isinstance(await coming, Inbound)
    assert api.said("deleteWebhook") == [{}]  # what waits is kept


async def test_a_webhook_of_somebody_else_is_left_alone(api: BotApi) -> None:
    api.info["url"] = "https://elsewhere.example/webhooks/tg"
    for house in (HOUSE, None):
        channel = telegram(api, webhook=False, house=house)
        with pytest.raises(Unavailable, match="somebody else"):
            await anext(channel.listen(None))
        await channel.close()
    assert not api.said("deleteWebhook")


async def test_where_our_address_is_gone_too_the_way_out_is_told(api: BotApi) -> None:
    """webhook: false and no company.public_url any more: it may be ours or another Acuse's, so it stays, once named."""
    api.info["url"] = URL
    channel = telegram(api, webhook=False, house=House(HOUSE.secret))
    health = await channel.check()
    assert not health.ok and "company.public_url: https://nube.example" in (health.remedy or "")
    with pytest.raises(Unavailable, match=r"company\.public_url: https://nube\.example") as caught:
        await anext(channel.listen(None))
    assert "api.telegram.org/bot<token>/deleteWebhook" in str(caught.value) and TOKEN not in str(caught.value)
    assert not api.said("deleteWebhook")
    await channel.close()
    async with listening(telegram(api, webhook=False)) as coming:  # with the address, as the remedy says
        assert isinstance(await coming, Inbound)
    assert api.said("deleteWebhook") == [{}]


def vain(why: str, *, minutes_ago: int = 1, waiting: int = 3) -> dict[str, Any]:
    at = int((NOW - timedelta(minutes=minutes_ago)).timestamp())
    return {"last_error_date": at, "last_error_message": why, "pending_update_count": waiting}


@pytest.mark.parametrize(
    ("info", "detail", "remedy"),
    [
        ({"url": URL}, f"@acuse_demo_bot, 0 waiting, called at {URL}", None),
        ({"url": ""}, "no webhook is set", "when it starts"),
        ({"url": "https://other.example/x"}, "go to other.example", "Another program"),
        ({"url": URL} | vain("Wrong response from the webhook: 403 Forbidden"), "in vain", "secret"),
        ({"url": URL} | vain("Wrong response from the webhook: 404 Not Found"), "404", "company.public_url"),
        ({"url": URL} | vain("Wrong response from the webhook: 302 Found"), "302", "no redirect"),
        ({"url": URL} | vain("Wrong response from the webhook: 502 Bad Gateway"), "3 waiting", "behind it"),
        ({"url": URL} | vain("SSL error {error:0A000086:certificate verify failed}"), "SSL", "whole chain"),
        ({"url": URL} | vain("Failed to resolve host: Name or service not known"), "resolve", "DNS"),
        ({"url": URL} | vain("Connection timed out"), "timed out", "443"),
        ({"url": URL} | vain("Something new"), "Something new", "reached from outside"),
        ({"url": URL} | vain("Connection timed out", waiting=0), "0 waiting", None),
        ({"url": URL} | vain("Connection timed out", minutes_ago=60), "3 waiting", None),
    ],
)
async def test_P12_the_check_says_how_the_calls_fare(
    api: BotApi, info: dict[str, Any], detail: str, remedy: str | None
) -> None:
    api.info |= info
    channel = telegram(api)
    health = await channel.check()
    await channel.close()
    assert health.ok is (remedy is None)
    assert detail in health.detail and "@acuse_demo_bot" in health.detail
    assert (health.remedy is None) if remedy is None else (remedy in (health.remedy or ""))


async def test_the_check_of_one_who_asks_bears_a_webhook_that_is_taken_down_at_the_start(api: BotApi) -> None:
    api.info["url"] = URL
    channel = telegram(api, webhook=False)
    assert (await channel.check()).ok
    await channel.close()


async def test_the_secret_is_never_logged(api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = await secret_of(telegram(api), api)
    assert caplog.records
    assert secret not in caplog.text and TOKEN not in caplog.text


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with emulating() as base:
        yield base


class OurServer:
    """Where Telegram calls: like the public route, it answers with 2xx only when it has what came."""

    def __init__(self) -> None:
        self.kept: list[Arrival] = []
        self.channel: Telegram | None = None
        self.down = False
        self.statuses: list[int] = []

    async def called(self, request: web.Request) -> web.Response:
        status = await self._status(request)
        self.statuses.append(status)
        return web.Response(status=status)

    async def _status(self, request: web.Request) -> int:
        assert self.channel is not None and request.path == "/webhooks/tg"
        if self.down:
            return 503
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            came = Request(method=request.method, url=str(request.url), headers=headers, body=await request.read())
            self.kept += self.channel.read(came)
        except Forged:
            return 403
        return 204


async def test_P5_from_asking_to_being_called_and_back_nothing_is_lost(emulator: str, judge_call: Judge | None) -> None:
    token, ours = f"4242:{uuid4().hex}", OurServer()
    wire = Wire(judge_call)

    async def hear(text: str) -> None:
        person, chat = {"id": 77, "is_bot": False, "first_name": "Ana"}, {"id": 77, "type": "private"}
        message = {"message_id": 5, "date": 1772461800, "from": person, "chat": chat, "text": text}
        async with httpx.AsyncClient(timeout=20) as client:
            body = {"token": token, "update": {"message": message}}
            (await client.post(f"{emulator}/__fixture/updates", json=body)).raise_for_status()

    def made(house: House, *, webhook: bool) -> Telegram:
        settings = Settings.model_validate({"token": token, "api_base_url": emulator, "webhook": webhook})
        poll = timedelta(seconds=1)
        return Telegram("tg", settings, now=lambda: NOW, house=house, transport=wire, poll=poll)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", ours.called)
    async with TestServer(app) as server:
        house = House(bytes(32), f"http://127.0.0.1:{server.port}")
        await hear("before")  # while nobody was there
        ours.channel = made(house, webhook=True)
        async with listening(ours.channel):
            await soon(lambda: len(ours.kept) == 1)
            ours.down = True
            await hear("in vain")
            ours.down = False
            await hear("again")
            await soon(lambda: len(ours.kept) == 3)
            ours.down = True
            await hear("kept for later")
        async with listening(made(house, webhook=False)) as coming:
            ours.kept.append(await coming)
    assert [one.text for one in ours.kept if isinstance(one, Inbound)] == [
        *("before", "in vain", "again", "kept for later")
    ]
    assert ours.statuses == [204, 503, 204, 204, 503]
    assert len({one.key for one in ours.kept if isinstance(one, Inbound)}) == 4
    assert wire.faults == []


async def test_a_stranger_who_calls_is_turned_away(emulator: str) -> None:
    ours = OurServer()
    ours.channel = telegram(BotApi())
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", ours.called)
    async with TestServer(app) as server, httpx.AsyncClient() as client:
        answer: Awaitable[httpx.Response] = client.post(
            f"http://127.0.0.1:{server.port}/webhooks/tg", json=payload("text"), headers={HEADER: "guessed"}
        )
        assert (await answer).status_code == 403
    assert ours.kept == []
    await ours.channel.close()
