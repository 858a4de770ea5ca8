"""E-mail: read over IMAP, sent over SMTP."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx

from channels.channel import (
    Arrival,
    Cursor,
    Features,
    Health,
    Ignored,
    Known,
    Media,
    Outbound,
    Stock,
    Unavailable,
    Undeliverable,
)
from channels.imap import Imap, LoginRefused, Mail
from channels.mail_folder import Fetching, Folder, Found, side_by_side
from channels.mail_health import of_mailbox, remedy_of
from channels.mail_machine import without_tag
from channels.mail_marks import Marks
from channels.mail_oauth import Tokens
from channels.mail_place import cursor_of, places_of
from channels.mail_reading import Reader
from channels.mail_settings import ImapSettings, Settings, SmtpSettings
from channels.mail_smtp import Smtp, SmtpFault
from channels.mail_stock import count, fetch_missing
from channels.mail_trust import TextRecord, look_up
from channels.mail_writing import write_mail

__all__ = ["Email", "ImapSettings", "Settings", "SmtpSettings"]

POLL = 120.0
"""Seconds after which the mailbox is searched even if the server reports nothing; it also renews IDLE."""


class Email:
    """One mail account. `secret` signs message ids and reply addresses: the installation's, at least 16 bytes.

    `text_record` asks the DNS and `transport` reaches the token's provider; both are replaced in tests.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        now: Callable[[], datetime],
        secret: bytes,
        poll: float = POLL,
        text_record: TextRecord = look_up,
        transport: httpx.AsyncBaseTransport | None = None,
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
        checks = settings.check_signatures
        self._reader = Reader(
            account=name,
            marks=self._marks,
            own=frozenset(map(without_tag, (settings.address, *settings.aliases))),
            trusted_authserv=frozenset(settings.trusted_authserv),
            own_lists=frozenset(one.lower().strip("<> ") for one in settings.own_lists),
            text_record=text_record if (not settings.trusted_authserv if checks is None else checks) else None,
        )
        self._username = settings.address if settings.username is None else settings.username
        self._tokens = Tokens(settings.oauth, now=now, transport=transport) if settings.oauth else None
        self._fetching = Fetching(settings.max_bytes)
        self._smtp: Smtp | None = None

    async def listen(self, since: Cursor | None) -> AsyncGenerator[Arrival, None]:
        """Yield what arrives in the folders, each mail once; a mail is never marked or moved.

        When no mail waits at a first start, the place itself comes first, so that nothing is lost before a first mail.
        """
        names = self.settings.imap.mailbox
        places = places_of(since, names)
        streams = {name: self._folder(name).listen(places.get(name)) for name in names}
        arriving = side_by_side(streams)
        try:
            async for name, found in arriving:
                places[name] = found.place
                if found.mail is None:
                    yield Ignored(why=f"email: the place in {name}", cursor=cursor_of(places))
                else:
                    yield await asyncio.to_thread(self._read, found, cursor_of(places))
        finally:
            await arriving.aclose()

    async def take_stock(self, cursor: Cursor | None, since: datetime, known: Known) -> Stock:
        """Count what the server holds and what of it we do not know."""
        names = self.settings.imap.mailbox
        async with self._connected() as imap:
            return await count(imap, places_of(cursor, names), names, since, known)

    async def recover(self, missing: Sequence[str]) -> AsyncIterator[Arrival]:
        """Fetch the mails that `take_stock` named."""
        async with self._connected() as imap:
            async for found in fetch_missing(imap, missing, self.settings.max_bytes, self._now()):
                yield await asyncio.to_thread(self._read, found, None)

    async def send(self, message: Outbound) -> str:
        """Send one mail; its id is the same at every attempt, so that a second copy is known as one."""
        mail = await asyncio.to_thread(self._written, message, self._now())
        await (await self._outgoing()).send(mail, self.settings.address, message.to.value)
        return str(mail["Message-ID"])

    async def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """Files come along with a mail, all but one that was cut off: that one cannot be had here."""
        if media.content is None:
            raise Undeliverable(f"the mail is larger than {self.settings.max_bytes} bytes: see the mailbox itself")
        yield media.content

    async def check(self) -> Health:
        """Log in to both servers, open every folder, and look how full the mailbox is and when mail last came."""
        try:
            async with self._connected() as imap:
                found = await of_mailbox(imap, self.settings.imap.mailbox, self._now())
            await (await self._outgoing()).check()
        except SmtpFault as fault:
            return Health(ok=False, detail=fault.reason, remedy=fault.remedy)
        except (Unavailable, OSError) as fault:
            return Health(ok=False, detail=str(fault), remedy=remedy_of(fault))
        return Health(found.ok, f"{found.detail}; sends as {self.settings.address}", found.remedy)

    async def close(self) -> None:
        """Nothing is held: a listener closes its connections itself, each mail has its own."""

    def _folder(self, name: str) -> Folder:
        return Folder(
            name,
            self.settings.since or "installation",
            alone=len(self.settings.imap.mailbox) == 1,
            connect=self._connect,
            fetching=self._fetching,
            now=self._now,
            poll=self._poll,
        )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Imap]:
        imap = await self._connect()
        try:
            yield imap
        finally:
            await imap.close()

    async def _connect(self) -> Imap:
        """A connection that is logged in. A token that is refused is renewed once. Raises LoginRefused."""
        if self._tokens is None:
            assert self.settings.password is not None
            return await self._log_in(self.settings.password.get_secret_value())
        token = await self._tokens.access()
        try:
            return await self._log_in(token)
        except LoginRefused:
            return await self._log_in(await self._tokens.access(refused=token))

    async def _log_in(self, secret: str) -> Imap:
        own = self.settings.imap
        tls = await asyncio.to_thread(_tls, own.ca_file) if own.security == "tls" else None
        imap = Imap(own.host, own.port, tls)
        try:
            await imap.open(self._username, secret, token=self._tokens is not None)
        except BaseException:
            await imap.close()
            raise
        return imap

    async def _outgoing(self) -> Smtp:
        if self._smtp is None:
            own = self.settings.smtp
            tls = await asyncio.to_thread(_tls, own.ca_file) if own.security != "none" else None
            username = self._username if own.username is None else own.username
            password = own.password or self.settings.password
            self._smtp = Smtp(
                own.host,
                own.port,
                own.security,
                tls,
                username,
                None if password is None else password.get_secret_value(),
                self._tokens if own.password is None else None,
            )
        return self._smtp

    def _written(self, message: Outbound, now: datetime) -> EmailMessage:
        """Blocks for most of a second where the files are large."""
        return write_mail(
            message,
            [file.path.read_bytes() for file in message.files],
            sender=self.settings.address,
            name=self.settings.name,
            marks=self._marks,
            now=now,
            reply_tag=self.settings.reply_tag,
        )

    def _read(self, found: Found, cursor: Cursor | None) -> Arrival:
        mail = found.mail
        assert mail is not None
        if found.fault is not None:
            key = f"unfetched|{found.place.mailbox}|{found.place.uidvalidity}|{mail.uid}"
            return self._reader.unfetched(key, mail.raw, found.received_at, found.fault, cursor=cursor)
        return self._reader.read(mail.raw, found.received_at, cursor=cursor, cut_off=_is_cut_off(mail))


def _is_cut_off(mail: Mail) -> bool:
    return mail.size > len(mail.raw)


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
