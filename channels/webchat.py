"""The web chat is ourselves: the outgoing row *is* the message, and the browser's stream reads it."""

import mimetypes
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from channels.channel import Address, DeliveryReport, Features, Health, Inbound, Malformed, Media, Outbound
from channels.storable import storable

_TEXT_LIMIT = 20_000
_FILES_LIMIT = 10
_PAYLOAD_BYTES = 64
_OFFLINE = timedelta(days=7)  # how long a browser may have kept a message before it came through
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # neither may hold the colon that parts them in the key
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_ID = "web:"


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("must be an origin such as https://www.example.com, without a path")
    return value.lower()


class Settings(BaseModel):
    """The section of the web chat in config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str | None = Field(default=None, max_length=80)
    allowed_origins: list[Annotated[str, AfterValidator(_origin)]] = []
    """Other sites that may embed the chat."""
    unread_fallback_seconds: int = Field(default=30, ge=1, le=86_400)
    """How long an answer may stay unread before it goes to the person's verified address."""


class WebChat:
    """Sending hands a message to the stream, so nothing leaves here; *delivered* is what the browser says."""

    def __init__(self, name: str, settings: Settings, *, now: Callable[[], datetime]) -> None:
        self.name = name
        self.settings = settings
        self.features = Features(
            buttons=8,
            text_limit=_TEXT_LIMIT,
            burst=timedelta(seconds=3),
            receipts=True,
            unread_after=timedelta(seconds=settings.unread_fallback_seconds),
        )
        self._now = now

    async def send(self, message: Outbound) -> str:
        """Nothing is left to do: the row that this message comes from is what the stream shows."""
        return f"{_ID}{message.key}"

    def inbound(
        self,
        session: str,
        client_id: str,
        text: str,
        *,
        media: Sequence[Media] = (),
        pressed: str | None = None,
        language: str | None = None,
        sent_at: datetime | None = None,
    ) -> Inbound:
        """Check what a browser sent. `client_id` is the browser's own id of the message: sent again, it is a duplicate.

        `sent_at` is the browser's clock: believed within the last seven days. Raises Malformed.
        """
        text = storable(text).strip()
        _refuse(not _SESSION.fullmatch(session), "the session has a wrong shape")
        _refuse(not _CLIENT_ID.fullmatch(client_id), "the message id has a wrong shape")
        _refuse(len(text) > _TEXT_LIMIT, f"the text is longer than {_TEXT_LIMIT} characters")
        _refuse(len(media) > _FILES_LIMIT, f"more than {_FILES_LIMIT} files in one message")
        _refuse(pressed is not None and not _is_payload(pressed), "no such button")
        _refuse(not text and not media and pressed is None, "the message is empty")
        return Inbound(
            key=f"{session}:{client_id}",
            sender=Address(self.name, session),
            text=text,
            sent_at=self._moment(sent_at),
            media=tuple(media),
            pressed=pressed,
            voice=_spoken(text, media),
            language=language if language and _LANGUAGE.fullmatch(language) else None,
        )

    def report(self, session: str, provider_id: str, state: str) -> DeliveryReport:
        """What a browser says of a message of ours: `delivered` or `read`. Raises Malformed.

        The caller must look whether the message went to this session.
        """
        _refuse(state not in ("delivered", "read"), "a browser can only say delivered or read")
        _refuse(not provider_id.startswith(_ID), "not a message of the web chat")
        return DeliveryReport(
            account=self.name, provider_id=provider_id, state=state, at=self._now(), recipient=session
        )

    async def check(self) -> Health:
        """Always well: if this answers, the chat does."""
        return Health(ok=True, detail="served by Acuse itself")

    async def close(self) -> None:
        """Nothing to give back."""

    def _moment(self, sent_at: datetime | None) -> datetime:
        now = self._now()
        if sent_at is None:
            return now
        _refuse(sent_at.tzinfo is None, "the time has no zone")
        return sent_at if now - _OFFLINE <= sent_at <= now else now


def _spoken(text: str, media: Sequence[Media]) -> bool:
    """Whether somebody sent recordings and not a word."""
    kinds = [mimetypes.guess_type(one.name or "")[0] or "" for one in media]
    return bool(kinds) and not text and all(kind.startswith("audio/") for kind in kinds)


def _is_payload(pressed: str) -> bool:
    return 1 <= len(pressed.encode("utf-8", "replace")) <= _PAYLOAD_BYTES and pressed == storable(pressed)


def _refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise Malformed(f"web chat: {why}")
