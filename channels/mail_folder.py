"""Read the folders of a mailbox side by side, each mail once; one that cannot be had does not stop the others."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import date, datetime
from email import message_from_bytes
from email.utils import parsedate_to_datetime

from channels.channel import Unavailable
from channels.imap import Imap, Mail, NoMailbox, NotHandedOut
from channels.mail_headers import raw_values
from channels.mail_place import EVER, Place, begin

logger = logging.getLogger(__name__)

TRIES = 3
"""How often a mail is asked for before it is set aside."""
MISSING = 300.0
"""Seconds until a folder that is not there is looked for again."""
_TRACE = re.compile(r";\s*([^;]{10,60})$")


@dataclass(frozen=True)
class Found:
    """A mail and the place behind it. `mail` None: only the place is new; `fault`: why we have no more than `mail`."""

    place: Place
    mail: Mail | None = None
    received_at: datetime = EVER
    fault: str | None = None


class Fetching:
    """Fetches mails, and counts over all connections what each has cost, so that none is tried for ever."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._tries: Counter[tuple[str, int, int]] = Counter()

    async def fetch(self, imap: Imap, place: Place, uid: int) -> tuple[Mail | None, str | None]:
        """The mail; or what can be had of it and why there is no more. None: somebody removed it.

        Raises Unavailable when the connection is lost, until the mail was tried often enough.
        """
        key = (place.mailbox, place.uidvalidity, uid)
        fault = "the connection broke at this mail each time"
        while self._tries[key] < TRIES:
            self._tries[key] += 1
            try:
                mail = await imap.fetch(uid, self._max_bytes)
            except NotHandedOut as refused:
                fault = str(refused)
                continue
            del self._tries[key]
            return mail, None
        logger.error("email: mail %d in %s is set aside: %s", uid, place.mailbox, fault)
        return await self._beginning(imap, key), fault

    async def _beginning(self, imap: Imap, key: tuple[str, int, int]) -> Mail:
        """Its headers; nothing at all if even they break the connection."""
        nothing = Mail(key[2], b"", 0, None)
        self._tries[key] += 1
        if self._tries[key] > TRIES + 1:
            return nothing
        with suppress(NotHandedOut):
            return await imap.head(key[2]) or nothing
        return nothing


@dataclass(frozen=True)
class Folder:
    """One folder. `first` says what a first start reads; `alone`: without it there is nothing to read."""

    name: str
    first: str | date
    alone: bool
    connect: Callable[[], Awaitable[Imap]]
    fetching: Fetching
    now: Callable[[], datetime]
    poll: float

    async def listen(self, known: Place | None) -> AsyncGenerator[Found, None]:
        """Yield what arrives. At a first start without mail the place itself comes first. Raises Unavailable."""
        while True:
            imap = await self.connect()
            try:
                async with aclosing(self._read(imap, known)) as reading:
                    async for found in reading:
                        yield found
                        known = found.place
            except NoMailbox as fault:
                if self.alone:
                    raise
                logger.error("email: %s: the other folders are read meanwhile", fault)
            finally:
                await imap.close()
            await asyncio.sleep(MISSING)

    async def _read(self, imap: Imap, known: Place | None) -> AsyncGenerator[Found, None]:
        start = await begin(imap, self.name, known, self.first, self.now())
        place, waiting, oldest = start.place, start.waiting, start.oldest
        if place != known and not waiting:
            yield Found(place)
        while True:
            for uid in waiting:
                mail, fault = await self.fetching.fetch(imap, place, uid)
                received_at = received(mail, self.now()) if mail else EVER
                place = place.after(uid, received_at if mail else None)
                if mail is not None and received_at >= oldest:
                    yield Found(place, mail, received_at, fault)
            oldest = EVER  # what arrives from now on is new, whatever the clocks say
            waiting = await imap.uids(after=place.uid)
            if not waiting:
                await imap.wait(self.poll)
                waiting = await imap.uids(after=place.uid)


async def side_by_side(
    streams: Mapping[str, AsyncGenerator[Found, None]],
) -> AsyncGenerator[tuple[str, Found], None]:
    """What any of them brings. The next of a stream is asked for only when its last one was taken."""
    coming = {asyncio.ensure_future(anext(stream)): name for name, stream in streams.items()}
    try:
        while True:
            done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                name = coming[task]
                yield name, task.result()
                del coming[task]
                coming[asyncio.ensure_future(anext(streams[name]))] = name
    finally:
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        for stream in streams.values():
            with suppress(Unavailable):
                await stream.aclose()


def received(mail: Mail, now: datetime) -> datetime:
    """When our server got the mail, from which legal terms count, however much later we fetched it.

    A server that does not say so wrote it into the mail's topmost trace.
    """
    return mail.received_at or _traced(mail.raw, now) or now


def _traced(raw: bytes, now: datetime) -> datetime | None:
    trace = next(iter(raw_values(message_from_bytes(raw[:50_000]), "Received")), "")
    match = _TRACE.search(trace.strip())
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        told = parsedate_to_datetime(match[1].strip()) if match else None
        return told if told is not None and told.tzinfo is not None and told <= now else None
    return None
