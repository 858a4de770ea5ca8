"""A person gives access to a mailbox: with a code on another device, or in a browser that comes back to us."""

import asyncio
import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from channels.imap import LoginRefused
from channels.mail_login import login
from channels.mail_oauth import OAuthSettings

MICROSOFT = OAuthSettings.model_validate(
    {"provider": "microsoft", "tenant": "nube.example", "client_id": "us", "token_file": "x"}
)
GOOGLE = OAuthSettings.model_validate(
    {"provider": "google", "client_id": "us", "client_secret": "s3creto", "token_file": "x"}
)


class Provider(httpx.AsyncBaseTransport):
    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, dict[str, str]]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append((str(request.url), dict(parse_qsl((await request.aread()).decode()))))
        answer = self.answers.pop(0)
        return httpx.Response(400 if "error" in answer else 200, json=answer)


DEVICE = {"device_code": "dev", "user_code": "ABC-123", "verification_uri": "https://ms.example/d", "interval": 5}


async def test_with_a_code_on_another_device_we_ask_as_often_as_we_may() -> None:
    pending = {"error": "authorization_pending"}
    provider = Provider(DEVICE, pending, {"error": "slow_down"}, pending, {"access_token": "t", "refresh_token": "r"})
    said: list[str] = []
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    assert await login(MICROSOFT, "a@b.co", said.append, sleep=sleep, transport=provider) == "r"
    assert pauses == [5, 5, 10, 10] and "ABC-123" in said[0] and "https://ms.example/d" in said[0]
    assert provider.calls[0][0].endswith("/nube.example/oauth2/v2.0/devicecode")
    assert (
        "IMAP.AccessAsUser.All" in provider.calls[0][1]["scope"] and "offline_access" in provider.calls[0][1]["scope"]
    )
    assert provider.calls[1][1]["device_code"] == "dev"


@pytest.mark.parametrize("error", ["authorization_declined", "expired_token", "invalid_client"])
async def test_a_no_is_a_no(error: str) -> None:
    async def sleep(seconds: float) -> None: ...

    with pytest.raises(LoginRefused, match=error):
        await login(MICROSOFT, "a@b.co", print, sleep=sleep, transport=Provider(DEVICE, {"error": error}))
    with pytest.raises(LoginRefused, match="while the code was good"):
        endless = Provider({**DEVICE, "expires_in": 10}, *[{"error": "authorization_pending"}] * 3)
        await login(MICROSOFT, "a@b.co", print, sleep=sleep, transport=endless)


async def test_in_a_browser_only_the_page_that_we_opened_counts() -> None:
    provider = Provider({"access_token": "t", "refresh_token": "r"})
    said: list[str] = []
    task = asyncio.create_task(login(GOOGLE, "soporte@nube.example", said.append, transport=provider))
    async with asyncio.timeout(5):
        while len(said) < 2:
            await asyncio.sleep(0.01)
    page = urlsplit(said[1])
    asked = {name: values[0] for name, values in parse_qs(page.query).items()}
    assert page.netloc == "accounts.google.com" and asked["scope"] == "https://mail.google.com/"
    assert asked["access_type"] == "offline" and asked["login_hint"] == "soporte@nube.example"
    here = asked["redirect_uri"]
    async with httpx.AsyncClient() as browser:
        for wrong in ("/favicon.ico", "/?code=evil&state=guessed", "/?code=evil"):
            assert (await browser.get(here + wrong)).status_code == 404
        assert (await browser.get(here, params={"code": "c0de", "state": asked["state"]})).status_code == 200
    assert await task == "r"
    url, form = provider.calls[0]
    challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
    assert challenge.decode() == asked["code_challenge"] and form["code"] == "c0de"
    assert url == "https://oauth2.googleapis.com/token" and form["redirect_uri"] == here


async def test_in_a_browser_a_person_may_say_no() -> None:
    said: list[str] = []
    task = asyncio.create_task(login(GOOGLE, "a@b.co", said.append, transport=Provider()))
    async with asyncio.timeout(5):
        while len(said) < 2:
            await asyncio.sleep(0.01)
    asked = parse_qs(urlsplit(said[1]).query)
    async with httpx.AsyncClient() as browser:
        await browser.get(asked["redirect_uri"][0], params={"error": "access_denied", "state": asked["state"][0]})
    with pytest.raises(LoginRefused, match="access_denied"):
        await task
