"""What every answer carries, so that a browser trusts only us; and what we believe of a request."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'; "
    "manifest-src 'self'"
)
FILE_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"  # of a file that somebody sent
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds the headers to each answer; a route that sets one itself (a mail's original) keeps its own."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._headers = dict(HEADERS)
        if secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class BodyLimit:
    """Refuses a body that is larger than `limit` bytes with 413, told in advance or counted as it comes."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        too_large = HTTPException(413)
        came = 0

        async def counted() -> Message:
            nonlocal came
            if told.isdecimal() and int(told) > self._limit:
                raise too_large
            message = await receive()
            came += len(message.get("body", b""))
            if came > self._limit:
                raise too_large
            return message

        await self._app(scope, counted, send)


def client_address(connection: HTTPConnection, trusted: Sequence[str]) -> str:
    """Who is at the other end. X-Forwarded-For is believed only from the proxies in `trusted` (addresses, networks)."""
    address = connection.client.host if connection.client else ""
    hops = [hop.strip() for line in connection.headers.getlist("x-forwarded-for") for hop in line.split(",")]
    while hops and _within(address, trusted) and _is_address(hops[-1]):
        address = hops.pop()
    return address


def visitor(address: str) -> str | None:
    """What a limit counts by: an address, or the network that one household has in IPv6.

    None for this very machine: a proxy that nobody declared, behind which all visitors look alike.
    """
    if not _is_address(address):
        return None
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            return None if parsed.is_loopback else str(ip_network((parsed, 64), strict=False))
        parsed = parsed.ipv4_mapped
    return None if parsed.is_loopback else str(parsed)


def same_origin(connection: HTTPConnection, public_url: str | None) -> bool:
    """Whether a request that changes something comes from a page of ours.

    A browser says so itself; a program that says nothing carries nobody's cookie.
    """
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = connection.headers.get("origin")
    if origin is None:
        return True
    ours = {connection.headers.get("host", ""), urlsplit(public_url or "").netloc}
    return urlsplit(origin).netloc in ours - {""}


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: str, trusted: Sequence[str]) -> bool:
    return _is_address(address) and any(ip_address(address) in ip_network(one, strict=False) for one in trusted)
