"""Mail servers that want OAuth 2: tokens are renewed in time and once when refused; the provider is a fake one."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from channels.channel import Address, Outbound, Unavailable
from channels.imap import LoginRefused
from channels.mail_health import remedy_of
from channels.mail_oauth import OAuthSettings, Tokens, save_refresh_token
from channels.mail_settings import Settings
from tests.channels.mail_standin import AtMail
from tests.channels.test_email_folders import NOW, listening, mail, message


class Provider(httpx.AsyncBaseTransport):
    """Gives tokens t1, t2, … for the refresh token that is good, and notes every form that it was sent."""

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.urls: list[str] = []
        self.good = "r1"
        self.rotates = False
        self.answers: list[httpx.Response | Exception] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl((await request.aread()).decode()))
        self.forms.append(form)
        self.urls.append(str(request.url))
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.good:
            return httpx.Response(400, json={"error": "invalid_grant", "error_description": "token r1 was revoked"})
        given = {"access_token": f"t{len(self.forms)}", "expires_in": 3600, "token_type": "Bearer"}
        if self.rotates:
            self.good = f"r{len(self.forms) + 1}"
            given["refresh_token"] = self.good
        return httpx.Response(200, json=given)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


OAUTH = {"provider": "google", "client_id": "us", "client_secret": "s3creto", "refresh_token": "r1"}


def tokens(fake: Provider, clock: Clock, **more: Any) -> Tokens:
    return Tokens(OAuthSettings.model_validate({**OAUTH, **more}), now=clock, transport=fake)


@asynccontextmanager
async def at_provider(provider: Provider, clock: Clock, **more: Any) -> AsyncIterator[AtMail]:
    at = AtMail(password=None, oauth={**OAUTH, **more}, transport=provider, now=clock)
    at.imap.token = at.smtp.token = "t1"
    try:
        yield at
    finally:
        await at.close()


async def test_a_token_is_kept_while_it_is_good_and_renewed_before_it_ends() -> None:
    provider, clock = Provider(), Clock()
    ours = tokens(provider, clock)
    assert set(await asyncio.gather(ours.access(), ours.access())) == {"t1"}
    clock.at += timedelta(minutes=54)
    assert await ours.access() == "t1"
    clock.at += timedelta(minutes=2)  # five minutes before the end
    assert await ours.access() == "t2"
    assert provider.forms[0] == {
        "client_id": "us", "client_secret": "s3creto", "grant_type": "refresh_token", "refresh_token": "r1"
    }  # fmt: skip
    assert provider.urls[0] == "https://oauth2.googleapis.com/token"


async def test_a_refused_token_is_renewed_once_by_all_who_met_it() -> None:
    provider = Provider()
    ours = tokens(provider, Clock())
    first = await ours.access()
    assert set(await asyncio.gather(ours.access(refused=first), ours.access(refused=first))) == {"t2"}
    assert len(provider.forms) == 2


async def test_microsoft_is_asked_in_the_directory_and_its_newer_token_is_kept_for_us_alone(tmp_path: Path) -> None:
    provider, clock, file = Provider(), Clock(), tmp_path / "tokens" / "soporte.json"
    provider.rotates = True
    save_refresh_token(file, "r1")
    more = {"provider": "microsoft", "tenant": "nube.example", "token_file": str(file), "refresh_token": None}
    assert await tokens(provider, clock, **more).access() == "t1"
    assert provider.urls == ["https://login.microsoftonline.com/nube.example/oauth2/v2.0/token"]
    assert json.loads(file.read_text()) == {"refresh_token": "r2"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and [one.name for one in file.parent.iterdir()] == [file.name]
    assert await tokens(provider, clock, **more).access() == "t2"  # another process, or after a restart
    assert provider.forms[1]["refresh_token"] == "r2"


async def test_a_program_s_own_permission_needs_no_person() -> None:
    provider = Provider()
    own = {"provider": "microsoft", "tenant": "nube.example", "app_only": True, "refresh_token": None}
    assert await tokens(provider, Clock(), **own).access() == "t1"
    assert provider.forms[0]["grant_type"] == "client_credentials" and ".default" in provider.forms[0]["scope"]


@pytest.mark.parametrize(
    ("answer", "fault", "words"),
    [
        (httpx.Response(400, json={"error": "invalid_grant", "error_description": "r1!"}), LoginRefused, "mail login"),
        (httpx.Response(401, json={"error": "invalid_client"}), LoginRefused, "invalid_client"),
        (httpx.Response(503, text="r1 s3creto"), Unavailable, "503"),
        (httpx.Response(429, json={"error": "slow_down"}), Unavailable, "429"),
        (httpx.Response(200, json={"access_token": "a\r\nb"}), Unavailable, "no token"),
        (httpx.Response(200, json=["x"]), Unavailable, "200"),
        (httpx.ConnectError("r1"), Unavailable, "does not answer"),
    ],
)
async def test_what_the_provider_says_is_named_by_its_remedy_and_no_secret_is_told(
    answer: httpx.Response | Exception, fault: type[Exception], words: str
) -> None:
    provider = Provider()
    provider.answers = [answer]
    with pytest.raises(Unavailable, match=words) as caught:
        await tokens(provider, Clock()).access()
    assert type(caught.value) is fault
    assert "r1" not in str(caught.value) and "s3creto" not in str(caught.value)


async def test_nobody_has_logged_in_yet(tmp_path: Path) -> None:
    with pytest.raises(LoginRefused, match="acuse mail login"):
        await tokens(Provider(), Clock(), refresh_token=None, token_file=str(tmp_path / "none.json")).access()


async def test_a_newer_token_that_cannot_be_written_is_used_all_the_same_and_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    provider, clock, file = Provider(), Clock(), tmp_path / "soporte.json"
    provider.rotates = True
    save_refresh_token(file, "r1")
    hindrance = file.with_name(f".{file.name}.{os.getpid()}")
    hindrance.mkdir()  # where the new file would be drafted: it stops also root, whom no permission stops
    ours = tokens(provider, clock, refresh_token=None, token_file=str(file))
    assert await ours.access() == "t1" and json.loads(file.read_text()) == {"refresh_token": "r1"}
    assert str(file) in caplog.text and "r2" not in caplog.text
    assert await ours.access(refused="t1") == "t2"
    assert provider.forms[1]["refresh_token"] == "r2"
    hindrance.rmdir()
    provider.rotates = False  # nothing newer comes: what was held back is written
    assert await ours.access(refused="t2") == "t3" and json.loads(file.read_text()) == {"refresh_token": "r3"}


async def test_what_somebody_logged_in_for_anew_is_taken_when_the_unwritten_one_is_refused(tmp_path: Path) -> None:
    provider, clock, file = Provider(), Clock(), tmp_path / "soporte.json"
    provider.rotates = True
    save_refresh_token(file, "r1")
    hindrance = file.with_name(f".{file.name}.{os.getpid()}")
    hindrance.mkdir()
    ours = tokens(provider, clock, refresh_token=None, token_file=str(file))
    await ours.access()
    hindrance.rmdir()
    save_refresh_token(file, "anew")
    provider.good = "anew"
    with pytest.raises(LoginRefused):
        await ours.access(refused="t1")
    assert await ours.access() == "t3"


async def test_a_token_file_that_is_not_for_us_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "soporte.json").mkdir()  # what cannot be read, also by root
    with pytest.raises(LoginRefused, match=r"soporte\.json cannot be read .* the user that runs Acuse") as caught:
        await tokens(Provider(), Clock(), refresh_token=None, token_file=str(tmp_path / "soporte.json")).access()
    assert "nobody has logged in" not in str(caught.value) and "that user" in remedy_of(caught.value)


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 IDLE SASL-IR AUTH=XOAUTH2", "IMAP4rev1 IDLE AUTH=XOAUTH2"])
async def test_both_servers_are_entered_with_a_token(capabilities: str) -> None:
    provider = Provider()
    async with at_provider(provider, Clock()) as at:
        at.imap.capabilities = capabilities
        at.imap.mails.append(mail(1, "uno"))
        async with listening(at) as listener:
            assert (await message(listener)).text == "uno"
        assert await at.channel.send(Outbound(key="k", to=Address("email", "ana@test.local"), text="hola"))
        assert (await at.channel.check()).ok
        assert len(provider.forms) == 1 and at.imap.refused == at.smtp.refused == 0
        assert not any("LOGIN" in one for one in at.imap.commands) and at.imap.faults == []


async def test_a_token_that_a_server_refuses_is_renewed_once() -> None:
    """P12: the provider took it back before its time."""
    provider = Provider()
    async with at_provider(provider, Clock()) as at:
        assert (await at.channel.check()).ok
        at.imap.token = at.smtp.token = "t2"
        at.imap.mails.append(mail(1, "uno"))
        async with listening(at) as listener:
            assert (await message(listener)).text == "uno"
        assert (at.imap.refused, len(provider.forms)) == (1, 2)
        at.smtp.token = "t3"
        assert await at.channel.send(Outbound(key="k", to=Address("email", "ana@test.local"), text="hola"))
        assert (at.smtp.refused, len(provider.forms)) == (1, 3) and at.imap.faults == []


async def test_a_server_that_goes_on_refusing_is_a_fault_with_a_remedy() -> None:
    """P12: true health; it is neither asked for ever nor called dead for the message."""
    provider = Provider()
    async with at_provider(provider, Clock()) as at:
        at.imap.token = at.smtp.token = "another"
        async with listening(at) as listener:
            with pytest.raises(LoginRefused, match="AUTHENTICATIONFAILED"):
                await message(listener)
        assert (at.imap.refused, len(provider.forms)) == (2, 2)
        with pytest.raises(Unavailable, match="acuse mail login"):
            await at.channel.send(Outbound(key="k", to=Address("email", "ana@test.local"), text="hola"))
        health = await at.channel.check()
        assert not health.ok and health.remedy
        provider.good = "withdrawn"
        at.channel._tokens = tokens(provider, Clock())
        health = await at.channel.check()
        assert not health.ok and "acuse mail login" in (health.remedy or "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": None}, "either password or oauth"),
        ({"oauth": OAUTH}, "either password or oauth"),
        ({"password": None, "oauth": {"provider": "google", "client_id": "us"}}, "token_file"),
        ({"password": None, "oauth": {"client_id": "us", "refresh_token": "r"}}, "provider"),
        ({"imap": {"host": "x", "mailbox": ["A", "A"]}}, "different folders"),
        ({"aliases": ["x"]}, "addresses"),
    ],
)
def test_the_settings_say_what_is_missing(change: dict[str, Any], words: str) -> None:
    good = {"address": "a@b.co", "password": "x", "imap": {"host": "x"}, "smtp": {"host": "x"}}
    Settings.model_validate(good)
    with pytest.raises(ValueError, match=words):
        Settings.model_validate({**good, **change})
