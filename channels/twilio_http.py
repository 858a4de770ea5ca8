"""The way to Twilio: its library over our own connections, which can be pointed at another address."""

import json
import logging
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]  # it ships no types
from twilio.http.response import Response  # type: ignore[import-untyped]  # as above

from channels.channel import Unavailable
from channels.twilio_errors import VERDICTS, fault, reason

_SILENT = logging.getLogger("twilio.silent")  # the library logs addresses and numbers; nobody needs them
TIMEOUT = 20.0  # seconds
_TAKEN_PERHAPS = (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, httpx.DecodingError)


class NotAccepted(Unavailable):
    """Our credentials are refused: nothing is lost, and the operator must mend it."""


class Http(AsyncHttpClient):  # type: ignore[misc]  # the library ships no types
    """The library's own client sends nested JSON as a form, hides Retry-After and opens connections when it is made."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None, base: str | None) -> None:
        super().__init__(_SILENT, True, TIMEOUT)
        self._base = urlsplit(base) if base else None
        self._client = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(TIMEOUT, pool=60))

    async def request(
        self,
        method: str,
        uri: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """One call. Raises Unavailable when there is no answer, or when Twilio wants us to wait."""
        if self._client.is_closed:
            raise Unavailable("twilio: the connections are given back")
        body: dict[str, Any] = {}
        if "json" in (headers or {}).get("Content-Type", "").lower():
            body["content"] = json.dumps(_without_nothing(data or {})).encode()
        elif data:
            body["data"] = {name: _as_form(value) for name, value in data.items()}
        try:
            response = await self._client.request(
                method, self.at(uri), params=params, headers=headers, auth=auth, **body
            )
        except httpx.HTTPError as error:
            broke = method.upper() != "GET" and isinstance(error, _TAKEN_PERHAPS)
            said = " (it may have arrived)" if broke else ""
            raise Unavailable(f"twilio: no answer: {type(error).__name__}{said}", may_have_arrived=broke) from None
        if response.status_code == 401:  # said here, because the library forgets why a list could not be read
            raise NotAccepted(reason(20003), VERDICTS[20003].retries[0])
        if response.status_code == 429 or response.status_code >= 500:
            raise fault(_code(response), response.status_code, "", _wait(response))
        return Response(response.status_code, response.text, dict(response.headers))

    def at(self, uri: str) -> str:
        """The same address at the server that we were pointed at."""
        if self._base is None:
            return uri
        parts = urlsplit(uri)
        path = self._base.path.rstrip("/") + parts.path
        return urlunsplit((self._base.scheme, self._base.netloc, path, parts.query, parts.fragment))

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nothing(one) for name, one in value.items() if one is not None}
    return [_without_nothing(one) for one in value] if isinstance(value, list) else value


def _as_form(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _code(response: httpx.Response) -> int | None:
    try:
        code = response.json().get("code")
    except (ValueError, AttributeError):
        return None
    return code if isinstance(code, int) else None


def _wait(response: httpx.Response) -> timedelta | None:
    said = response.headers.get("retry-after", "")
    return timedelta(seconds=min(int(said), 86_400)) if said.isascii() and said.isdecimal() else None
