"""Let a person give us access to a mailbox, once: with a code on another device, or in a browser on this machine.

What comes out is the refresh token that `mail_oauth` lives on.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from channels.channel import Unavailable
from channels.imap import LoginRefused
from channels.mail_oauth import OAuthSettings, Refused, ask, seconds_in

Show = Callable[[str], None]
"""Tells the person at the terminal what to do, a line at a time."""

_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_WAIT = 600.0  # seconds that a person gets
_ANSWER = (
    b"<!DOCTYPE html><title>Acuse</title><p>Listo: puede cerrar esta p\xc3\xa1gina. Done: you can close this page.</p>"
)


async def login(
    settings: OAuthSettings,
    address: str,
    show: Show,
    *,
    port: int = 0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    transport: httpx.AsyncBaseTransport | None = None,
) -> str:
    """Returns the refresh token. Raises LoginRefused when the person or the provider says no, Unavailable otherwise."""
    if settings.where().device is not None:
        return await _on_another_device(settings, show, sleep, transport)
    return await _in_a_browser(settings, address, show, port, transport)


async def _on_another_device(
    settings: OAuthSettings, show: Show, sleep: Callable[[float], Awaitable[None]], transport: Any
) -> str:
    """RFC 8628. The person opens a page anywhere and types a code there; we ask until it is done."""
    where = settings.where()
    begun = _or_refuse(await ask(where.device or "", {**_client(settings), "scope": where.scope}, transport=transport))
    show(f"Open {begun.get('verification_uri')} and type the code {begun.get('user_code')}")
    show("Log in there as the mailbox, and allow what is asked.")
    pause, left = float(begun.get("interval") or 5), float(seconds_in(begun))
    form = {**_client(settings), "grant_type": _DEVICE, "device_code": str(begun.get("device_code"))}
    while left > 0:
        await sleep(pause)
        left -= pause
        answer = await ask(where.token, form, transport=transport)
        if not isinstance(answer, Refused):
            return _refresh_token(answer)
        if answer.error == "slow_down":
            pause += 5
        elif answer.error != "authorization_pending":
            _or_refuse(answer)
    raise LoginRefused("OAuth: nobody logged in while the code was good. Start again.")


async def _in_a_browser(settings: OAuthSettings, address: str, show: Show, port: int, transport: Any) -> str:
    """RFC 8252: the provider sends the browser back to a port of this machine, with a code that only we can use."""
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    came: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            line = (await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)).decode("latin-1")
            told = {name: values[0] for name, values in parse_qs(urlsplit(line.split(" ")[1]).query).items()}
            ours = hmac.compare_digest(told.get("state", "").encode(), state.encode())
            status, body = (b"200 OK", _ANSWER) if ours else (b"404 Not Found", b"")
            head = b"HTTP/1.1 " + status + b"\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            if ours and not came.done():
                came.set_result(told)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    here = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        show(f"Open this page in a browser on this machine, log in as {address} and allow what is asked:")
        show(_page(settings, address, here, state, verifier))
        show(f"(Browser elsewhere? First: ssh -L {urlsplit(here).port}:127.0.0.1:{urlsplit(here).port} this-machine)")
        told = await asyncio.wait_for(came, _WAIT)
    except TimeoutError:
        raise LoginRefused("OAuth: nobody logged in within ten minutes. Start again.") from None
    finally:
        server.close()
    if "code" not in told:
        raise LoginRefused(f"OAuth: refused: {told.get('error', 'no code came back')[:60]}")
    form = {**_client(settings), "grant_type": "authorization_code", "redirect_uri": here, "code": told["code"]}
    answer = await ask(settings.where().token, {**form, "code_verifier": verifier}, transport=transport)
    return _refresh_token(_or_refuse(answer))


def _page(settings: OAuthSettings, address: str, here: str, state: str, verifier: str) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "client_id": settings.client_id,
        "redirect_uri": here,
        "response_type": "code",
        "scope": settings.where().scope,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "login_hint": address,
        "access_type": "offline",  # Google: only so, and only when it asks anew, there is a refresh token
        "prompt": "consent",
    }
    return f"{settings.where().authorize}?{urlencode(asked)}"


def _client(settings: OAuthSettings) -> dict[str, str]:
    secret = settings.client_secret
    return {"client_id": settings.client_id, **({"client_secret": secret.get_secret_value()} if secret else {})}


def _or_refuse(answer: dict[str, Any] | Refused) -> dict[str, Any]:
    if isinstance(answer, Refused):
        raise LoginRefused(f"OAuth: refused: {answer.error}")
    return answer


def _refresh_token(answer: dict[str, Any]) -> str:
    token = answer.get("refresh_token")
    if not isinstance(token, str) or not token:
        raise Unavailable("OAuth: the provider gave no refresh token: allow offline access, and log in again")
    return token
