"""Files that people sent, as Twilio keeps them: our credentials go to Twilio and to nobody else."""

import logging
from collections.abc import AsyncIterator
from urllib.parse import urljoin, urlsplit

import httpx

from channels.channel import Unavailable, Undeliverable

logger = logging.getLogger(__name__)

MEDIA_LIMIT = 64 * 1024 * 1024  # bytes; what is kept is limited by the installation
_REDIRECTS = 3


class Files:
    """The way to the files of one account. `base`: another server that speaks Twilio's protocol."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None, base: str | None, auth: tuple[str, str]) -> None:
        self._base = base
        self._auth = auth
        self._client = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(20, pool=60))

    async def fetch(self, ref: str | None) -> AsyncIterator[bytes]:
        """Stream it from wherever it points to. Raises Undeliverable, Unavailable."""
        if not ref or not self._is_twilio(ref):
            raise Undeliverable("twilio: the file is not at Twilio" if ref else "twilio: no file", means="message")
        address = ref
        try:
            for _ in range(_REDIRECTS + 1):
                auth = self._auth if self._is_twilio(address) else None
                async with self._client.stream("GET", address, auth=auth) as response:
                    if response.has_redirect_location:
                        address = urljoin(address, response.headers["location"])
                        continue
                    _refuse(response.status_code)
                    received = 0
                    async for piece in response.aiter_bytes(65536):
                        received += len(piece)
                        if received > MEDIA_LIMIT:
                            raise Undeliverable("twilio: the file is too large", means="message")
                        yield piece
                    return
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"twilio: the download broke off: {type(error).__name__}") from None
        raise Undeliverable("twilio: the file points elsewhere again and again", means="message")

    async def discard(self, ref: str | None) -> None:
        """Delete it at Twilio. Failure is harmless."""
        if not ref or not self._is_twilio(ref):
            return
        try:
            status = (await self._client.delete(ref, auth=self._auth)).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            logger.info("twilio: a file stays there: %s", type(error).__name__)
            return
        if status not in (204, 404):
            logger.info("twilio: a file stays there: answered with %d", status)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    def _is_twilio(self, address: str) -> bool:
        """Whether our credentials may go there."""
        parts = urlsplit(address)
        if self._base:
            own = urlsplit(self._base)
            return (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
        host = parts.hostname or ""
        return parts.scheme == "https" and (host == "api.twilio.com" or host.endswith(".api.twilio.com"))


def _refuse(status: int) -> None:
    if status in (400, 404, 410):
        raise Undeliverable("twilio: the file is gone", means="message")
    if status != 200:
        raise Unavailable(f"twilio: the download was answered with {status}")
