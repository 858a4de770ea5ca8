"""Hand one event to a receiver: one POST, no redirect followed, nothing of the answer read but its status."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpcore

from bot.webhooks import signing
from bot.webhooks.guard import Guarded, PrivateAddress, Resolve, resolve
from bot.webhooks.settings import Webhook

CONNECT_SECONDS = 5.0
_SHORT_BODY = 4096  # bytes
_DRAIN_SECONDS = 1.0
_LONGEST_WAIT = timedelta(hours=1)  # that a receiver may ask for


@dataclass(frozen=True)
class Refused:
    """It did not arrive, or nobody said that it did; both texts are for people and quote nothing of the answer."""

    problem: str
    remedy: str
    retry_after: timedelta | None = None
    gone: bool = False

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


class Post:
    """The way to one receiver."""

    def __init__(
        self, webhook: Webhook, *, now: Callable[[], datetime], version: str, resolve: Resolve = resolve
    ) -> None:
        self._webhook = webhook
        self._now = now
        self._agent = f"Acuse/{version}"
        tls = ssl.create_default_context(cafile=str(webhook.ca_file) if webhook.ca_file else None)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=8,
            keepalive_expiry=20,
            network_backend=Guarded(allow_private=webhook.allow_private, resolve=resolve),
        )

    async def send(self, event_id: str, body: bytes) -> Refused | None:
        """None: the receiver answered 2xx."""
        try:
            async with asyncio.timeout(self._webhook.timeout_seconds):
                return await self._send(event_id, body)
        except (TimeoutError, httpcore.TimeoutException):
            return Refused("no answer in time", "see why the receiver is slow, or raise timeout_seconds")
        except PrivateAddress as fault:
            return Refused(str(fault), "correct url, or write allow_private: true if that is meant")
        except httpcore.ConnectError as error:
            return _unreachable(error)
        except (httpcore.NetworkError, httpcore.ProtocolError):
            return Refused("the connection broke", "see whether the receiver runs and speaks HTTP")

    async def close(self) -> None:
        """Hang up."""
        await self._pool.aclose()

    async def _send(self, event_id: str, body: bytes) -> Refused | None:
        sent = signing.headers(self._webhook.keys, event_id, int(self._now().timestamp()), body)
        sent |= {"content-type": "application/json", "user-agent": self._agent, "idempotency-key": event_id}
        seconds = self._webhook.timeout_seconds
        patience = {"connect": CONNECT_SECONDS, "read": seconds, "write": seconds, "pool": seconds}
        async with self._pool.stream(
            "POST",
            self._webhook.url,
            headers=[(name.encode(), value.encode()) for name, value in sent.items()],
            content=body,
            extensions={"timeout": patience},
        ) as answer:  # its body is not looked at: it may be long, slow, or quote what we sent
            told = {name.decode().lower(): value.decode("latin-1") for name, value in answer.headers}
            await _drain(answer, told.get("content-length", ""))
            return _meaning(answer.status, told, self._now())


async def _drain(answer: httpcore.Response, length: str) -> None:
    """A short body is taken in and thrown away, so that the connection can be used again; its status stands already."""
    if length.isdecimal() and int(length) <= _SHORT_BODY:
        with suppress(TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await answer.aread()


def _unreachable(error: Exception) -> Refused:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            remedy = "give the receiver a valid certificate, or name your own authority in ca_file"
            return Refused(f"its certificate is not trusted ({cause.verify_message})", remedy)
        if isinstance(cause, ssl.SSLError):
            return Refused("no encrypted connection came about", "see whether the receiver speaks TLS at this port")
        cause = cause.__cause__ or cause.__context__
    return Refused("it cannot be reached", "see whether the receiver runs, and whether url and firewall are right")


_REMEDIES = {
    401: "the receiver does not accept the signature: give both sides the same secret",
    403: "the receiver does not accept the signature: give both sides the same secret",
    404: "correct the path in url",
    405: "the receiver must take POST at this address",
    410: "remove the webhook from config.yaml, or bring the receiver back: it says that it is gone for good",
    413: "the receiver must take bodies of this size",
}


def _meaning(status: int, told: Mapping[str, str], now: datetime) -> Refused | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Refused(f"it answered {status}", "redirects are not followed: write the final address in url")
    remedy = _REMEDIES.get(status, "see the receiver's own log" if status < 500 else "see why the receiver fails")
    wait = _retry_after(told.get("retry-after"), now) if status in (429, 502, 503, 504) else None
    return Refused(f"it answered {status}", remedy, wait, gone=status == 410)


def _retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Seconds or a date; None for what cannot be read."""
    if text is None:
        return None
    try:
        wait = timedelta(seconds=int(text)) if text.strip().isdecimal() else parsedate_to_datetime(text) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)
