"""E-mail: read over IMAP, sent over SMTP."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from channels.channel import (
    Arrival,
    Cursor,
    Features,
    Health,
    Ignored,
    Media,
    Outbound,
    Unavailable,
    Undeliverable,
)
from channels.imap import Imap, LoginRefused, Mail
from channels.mail_headers import is_address
from channels.mail_machine import without_tag
from channels.mail_marks import Marks
from channels.mail_place import EVER, Place, begin
from channels.mail_reading import Reader
from channels.mail_smtp import REMEDIES, Smtp, SmtpFault
from channels.mail_writing import write_mail

POLL = 120.0
"""Seconds after which the mailbox is searched even if the server reports nothing; it also renews IDLE."""


class ImapSettings(BaseModel):
    """Where mail is read. There is no STARTTLS for IMAP: use tls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = Field(default=993, ge=1, le=65_535)
    security: Literal["tls", "none"] = "tls"
    ca_file: Path | None = None
    mailbox: str = Field(default="INBOX", min_length=1)


class SmtpSettings(BaseModel):
    """Where mail is sent. Without a name of its own the account's is used; an empty name means no login."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = Field(default=587, ge=1, le=65_535)
    security: Literal["tls", "starttls", "none"] = "starttls"
    ca_file: Path | None = None
    username: str | None = None
    password: SecretStr | None = None


class Settings(BaseModel):
    """The section of an e-mail account in config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    name: str = Field(default="", max_length=80)
    username: str | None = None
    password: SecretStr
    imap: ImapSettings
    smtp: SmtpSettings
    since: Literal["installation", "all"] | date | None = None
    """What the first start reads: only newer mail (the default), mail from a day on, or all that is there."""
    trusted_authserv: list[str] = []
    """Names in Authentication-Results that our own mail server writes; without one no sender counts as proved."""
    max_bytes: int = Field(default=40_000_000, ge=10_000)
    """Of a longer mail only so much is read; the file that is cut off can be found in the mailbox."""
    reply_tag: bool = True
    """Whether answers go to address+code@…; turn it off where the server knows no plus addresses."""

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not is_address(value):
            raise ValueError("must be an address such as soporte@example.com")
        return value

    @field_validator("trusted_authserv", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [] if value is None else [value] if isinstance(value, str) else value


class Email:
    """One mail account. `secret` signs message ids and reply addresses: the installation's, at least 16 bytes."""

    def __init__(
        self, name: str, settings: Settings, *, now: Callable[[], datetime], secret: bytes, poll: float = POLL
    ) -> None:
        self.name = name
        self.settings = settings
        self.features = Features(
            text_limit=100_000,
            subject=True,
            threads=True,
            burst=timedelta(0),
            late_ack=timedelta(seconds=60),
            verified=False,
        )
        self._now = now
        self._poll = poll
        self._marks = Marks(settings.address, secret)
        self._reader = Reader(
            account=name,
            marks=self._marks,
            own=frozenset({without_tag(settings.address)}),
            trusted_authserv=frozenset(settings.trusted_authserv),
        )
        self._username = settings.address if settings.username is None else settings.username
        self._smtp: Smtp | None = None

    async def listen(self, since: Cursor | None) -> AsyncGenerator[Arrival, None]:
        """Yield what arrives in the mailbox, each mail once; a mail is never marked or moved.

        When no mail waits at a first start, the place itself comes first, so that nothing is lost before a first mail.
        """
        imap = await self._connect()
        try:
            known = Place.of(since)
            start = await begin(
                imap, self.settings.imap.mailbox, known, self.settings.since or "installation", self._now()
            )
            place, waiting, oldest = start.place, start.waiting, start.oldest
            if place != known and not waiting:
                yield Ignored(why="email: the place in the mailbox", cursor=place.cursor())
            while True:
                for uid in waiting:
                    mail = await imap.fetch(uid, self.settings.max_bytes)
                    place = place.after(uid, mail)
                    if mail is not None and mail.received_at >= oldest:
                        yield await asyncio.to_thread(self._read, mail, place.cursor())
                oldest = EVER  # what arrives from now on is new, whatever the clocks say
                waiting = await imap.uids(after=place.uid)
                if not waiting:
                    await imap.wait(self._poll)
                    waiting = await imap.uids(after=place.uid)
        finally:
            await imap.close()

    async def send(self, message: Outbound) -> str:
        """Send one mail; its id is the same at every attempt, so that a second copy is known as one."""
        contents = await asyncio.to_thread(_contents, message)
        mail = write_mail(
            message,
            contents,
            sender=self.settings.address,
            name=self.settings.name,
            marks=self._marks,
            now=self._now(),
            reply_tag=self.settings.reply_tag,
        )
        await (await self._outgoing()).send(mail, self.settings.address, message.to.value)
        return self._marks.message_id(message.key)

    async def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """Files come along with a mail, all but one that was cut off: that one cannot be had here."""
        if media.content is None:
            raise Undeliverable(f"the mail is larger than {self.settings.max_bytes} bytes: see the mailbox itself")
        yield media.content

    async def check(self) -> Health:
        """Log in to both servers and open the mailbox."""
        try:
            imap = await self._connect()
            try:
                await imap.select(self.settings.imap.mailbox)
            finally:
                await imap.close()
            await (await self._outgoing()).check()
        except SmtpFault as fault:
            return Health(ok=False, detail=fault.reason, remedy=fault.remedy)
        except LoginRefused as fault:
            return Health(ok=False, detail=str(fault), remedy=REMEDIES["login"])
        except (Unavailable, OSError) as fault:
            return Health(ok=False, detail=str(fault), remedy=_imap_remedy(fault))
        return Health(ok=True, detail=f"reads {self.settings.imap.mailbox} and sends as {self.settings.address}")

    async def close(self) -> None:
        """Nothing is held: a listener closes its connection itself, each mail has its own."""

    async def _connect(self) -> Imap:
        own = self.settings.imap
        tls = await asyncio.to_thread(_tls, own.ca_file) if own.security == "tls" else None
        imap = Imap(own.host, own.port, tls)
        try:
            await imap.open(self._username, self.settings.password.get_secret_value())
        except BaseException:
            await imap.close()
            raise
        return imap

    async def _outgoing(self) -> Smtp:
        if self._smtp is None:
            own = self.settings.smtp
            tls = await asyncio.to_thread(_tls, own.ca_file) if own.security != "none" else None
            username = self._username if own.username is None else own.username
            password = (own.password or self.settings.password).get_secret_value()
            self._smtp = Smtp(own.host, own.port, own.security, tls, username, password)
        return self._smtp

    def _read(self, mail: Mail, cursor: Cursor) -> Arrival:
        return self._reader.read(mail.raw, mail.received_at, cursor=cursor, cut_off=mail.size > len(mail.raw))


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)


def _contents(message: Outbound) -> list[bytes]:
    return [file.path.read_bytes() for file in message.files]


def _imap_remedy(fault: Exception) -> str:
    text = f"{fault} {fault.__cause__ or ''}".lower()
    if isinstance(fault.__cause__, ssl.SSLError) or "ssl" in text or "certificate" in text:
        return REMEDIES["tls"]
    if "no mailbox" in text:
        return "Check imap.mailbox: the folder must exist."
    return REMEDIES["host"]
