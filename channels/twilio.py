"""What WhatsApp and SMS have in common at Twilio: the signed way in, the call, files, the check."""

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, SecretStr, field_validator, model_validator
from twilio.base.exceptions import (  # type: ignore[import-untyped]  # it ships no types
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)
from twilio.rest import Client  # type: ignore[import-untyped]  # as above

from channels import twilio_reading
from channels.channel import (
    Arrival,
    ChannelError,
    Features,
    Health,
    House,
    Media,
    Outbound,
    Request,
    Unavailable,
    Undeliverable,
)
from channels.recent import Recent
from channels.twilio_errors import fault, reason
from channels.twilio_http import Http, NotAccepted
from channels.twilio_media import Files
from channels.twilio_parts import Gone, Part, still_good

logger = logging.getLogger(__name__)

_SID = re.compile(r"AC[0-9a-fA-F]{32}")


class Settings(BaseModel):
    """What both kinds of account have in config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    account_sid: str
    auth_token: SecretStr
    auth_token_next: SecretStr | None = None
    """While the token is changed: calls signed with either are taken."""
    shared_key: SecretStr | None = None
    """The secret of a webhook key, for calls signed with HMAC_SHA256."""
    from_number: str | None = None
    messaging_service_sid: str | None = None
    api_base_url: AnyHttpUrl | None = None
    """Another server that speaks Twilio's protocol."""
    keep_media: bool = False
    """Leave what people sent at Twilio, too; else it is deleted there once it is stored here."""
    public_url: AnyHttpUrl | None = None
    """Where Twilio calls this account, if it is not company.public_url."""

    @field_validator("account_sid")
    @classmethod
    def _looks_like_a_sid(cls, sid: str) -> str:
        if not _SID.fullmatch(sid.strip()):
            raise ValueError("is not an account SID; the console of Twilio shows one: AC and 32 digits")
        return sid.strip()

    @model_validator(mode="after")
    def _has_a_sender(self) -> "Settings":
        if bool(self.from_number) == bool(self.messaging_service_sid):
            raise ValueError("give either from_number or messaging_service_sid")
        return self


class Refused(Exception):
    """A call of ours that Twilio did not take; `fault` is what to raise."""

    def __init__(self, code: int | None, fault: ChannelError) -> None:
        super().__init__(str(fault))
        self.code = code
        self.fault = fault


@dataclass(frozen=True)
class Proof:
    """What signatures are checked with."""

    tokens: tuple[str, ...]
    shared_key: str | None


class Twilio(ABC):
    """One sender at Twilio. Subclasses say what is sent."""

    prefix = ""  # before every address, at Twilio

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        now: Callable[[], datetime],
        house: House,
        features: Features,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self.features = features
        self._settings = settings
        self._now = now
        self._house = house
        self._public = str(settings.public_url).rstrip("/") if settings.public_url else house.public_url
        self._token = settings.auth_token.get_secret_value()
        following = settings.auth_token_next
        self._proof = Proof(
            (self._token, *([following.get_secret_value()] if following else [])),
            settings.shared_key.get_secret_value() if settings.shared_key else None,
        )
        base = str(settings.api_base_url).rstrip("/") if settings.api_base_url else None
        self._base = base
        self._http = Http(transport, base)
        self._client = Client(settings.account_sid, self._token, http_client=self._http)
        self._files = Files(transport, base, (settings.account_sid, self._token))
        self._left: Recent[tuple[Gone, ...]] = Recent()  # parts of a message that have left, by our key

    def read(self, request: Request) -> list[Arrival]:
        """Check the signature over the public address, then translate. Raises Forged, Malformed or Unsupported."""
        url = self._called_at(request.url)
        fields = twilio_reading.proved(request, url, self._proof.tokens, self._proof.shared_key)
        return twilio_reading.read(fields, url, account=self.name, now=self._now())

    def _called_at(self, url: str) -> str:
        """As Twilio knows it: an account may be called at an address of its own."""
        ours = self._house.public_url
        if self._settings.public_url is None or self._public is None or self._public == ours:
            return url
        if ours and url.startswith(ours):
            return self._public + url.removeprefix(ours)
        parts = urlsplit(url)
        return self._public + parts.path + (f"?{parts.query}" if parts.query else "")

    @abstractmethod
    async def send(self, message: Outbound) -> str:
        """Send every part that has not left yet; the id is that of the first one, which all the others name."""

    async def _send_parts(self, message: Outbound, parts: Sequence[Part]) -> str:
        """Every part reports back as the message: the failure of any is its own, its arrival is that of all.

        Raises Refused.
        """
        if not parts:
            logger.error("%s: message %s is empty", self.name, message.key)
            raise Undeliverable("twilio: nothing to send", means="message")
        gone = still_good(self._left.get(message.key) or (), parts)
        for part in parts[len(gone) :]:
            told = {twilio_reading.KEY: message.key}
            if len(parts) > 1:
                told[twilio_reading.PART] = str(len(gone) + 1)
            if 1 < len(parts) == len(gone) + 1:
                told[twilio_reading.LAST] = "1"
            if gone:
                told[twilio_reading.OF] = gone[0].sid
            sid = await self._create(message, part, told)
            gone = (*gone, Gone(part.mark, sid))
            self._left.keep(message.key, gone)
        self._left.drop(message.key)
        return gone[0].sid

    async def _create(self, message: Outbound, part: Part, told: Mapping[str, str]) -> str:
        sender = self._settings.from_number
        given = {"from_": self.prefix + sender} if sender else {}
        if self._settings.messaging_service_sid:
            given["messaging_service_sid"] = self._settings.messaging_service_sid
        if self._public:
            given["status_callback"] = f"{self._public}/webhooks/{quote(self.name)}/status?{urlencode(told)}"
        made = await self._asked(
            lambda: self._client.messages.create_async(to=self.prefix + message.to.value, **given, **part.fields)
        )
        if not made.sid:
            raise Unavailable("twilio: the answer names no message")
        if made.error_code and str(made.status).endswith("failed"):
            raise Refused(int(made.error_code), fault(int(made.error_code), 400, str(made.error_message or "")))
        return str(made.sid)

    async def _asked(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """One call of the library. Raises Refused, or Unavailable."""
        try:
            return await call()
        except (TwilioRestException, TwilioServiceException) as error:
            said = str(getattr(error, "msg", "") or getattr(error, "title", ""))
            code = error.code if isinstance(error.code, int) else None
            raise Refused(code, fault(code, int(error.status or 500), said)) from None
        except (TwilioException, ValueError) as error:  # an answer that is not Twilio's
            raise Unavailable(f"twilio: an answer that cannot be read: {type(error).__name__}") from None

    def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """Stream a file: with our credentials from Twilio, without them from wherever it points to."""
        return self._files.fetch(media.ref)

    async def discard(self, media: Media) -> None:
        """Delete a file at Twilio; it is stored here."""
        if not self._settings.keep_media:
            await self._files.discard(media.ref)

    async def check(self) -> Health:
        """Ask whether the account is active, and whether Twilio can reach us."""
        where = f"channels.{self.name}"
        try:
            account = await self._asked(
                lambda: self._client.api.v2010.accounts(self._settings.account_sid).fetch_async()
            )
        except (Refused, NotAccepted) as refused:
            remedy = f"Copy the account SID and the auth token from Twilio's console to {where}."
            return Health(False, str(refused), remedy)
        except Exception as error:  # a check tells, it never raises
            detail = str(error) if isinstance(error, ChannelError) else reason(None, type(error).__name__)
            return Health(False, detail, "Can this machine reach api.twilio.com? A proxy is named by HTTPS_PROXY.")
        if str(account.status) != "active":
            return Health(False, f"the account is {account.status}", "See Twilio's console: billing, verification.")
        if not self._public:
            remedy = f"Set company.public_url, and {self._hook('https://your.server')} as the webhook at Twilio."
            return Health(False, "Twilio cannot reach us", remedy)
        called, ours = await self._called(), self._hook(self._public)
        if called is not None and called.partition("#")[0] != ours:
            remedy = f"Set {ours} (POST) as the webhook for incoming messages at Twilio."
            return Health(False, f"Twilio calls {called or 'nobody'} when a message comes in", remedy)
        return Health(True, f"{account.friendly_name}; webhook {ours}{'' if called else ' (not checked at Twilio)'}")

    async def _called(self) -> str | None:
        """The webhook as it is set at Twilio; None when Twilio does not tell."""
        try:
            return await self._webhook()
        except (Refused, ChannelError, AttributeError, TypeError) as error:  # a beta interface, or not ours to ask
            logger.info("%s: the webhook cannot be checked: %s", self.name, type(error).__name__)
            return None

    async def _webhook(self) -> str | None:
        service = self._settings.messaging_service_sid
        if service:
            found = await self._asked(lambda: self._client.messaging.v1.services(service).fetch_async())
            return None if found.use_inbound_webhook_on_number else found.inbound_request_url or ""
        return await self._webhook_of_sender(self._settings.from_number or "")

    @abstractmethod
    async def _webhook_of_sender(self, sender: str) -> str | None:
        """Where Twilio calls for this sender; None where it cannot be asked."""

    def _hook(self, base: str) -> str:
        return f"{base}/webhooks/{quote(self.name)}"

    async def close(self) -> None:
        """Give connections back."""
        await asyncio.gather(self._http.close(), self._files.close())
