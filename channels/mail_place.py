"""Where a listener stands in a mailbox and what waits there: at the first start, later, and after a renumbering."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta

from channels.channel import Cursor
from channels.imap import Imap, Mail

logger = logging.getLogger(__name__)

RESCAN = timedelta(days=7)
"""How far back a mailbox is read again whose numbering has changed."""
_SLACK = timedelta(minutes=5)  # between our clock and the server's


EVER = datetime.min.replace(tzinfo=UTC)
"""Older than any mail."""


@dataclass(frozen=True)
class Place:
    """A cursor: the mailbox, its numbering, the last mail that we have, and how reading began."""

    mailbox: str
    uidvalidity: int
    uid: int
    since: str  # older mail was there before us and is not read after a renumbering either; empty: all is read
    seen: str  # when the server got the newest mail that we have

    @classmethod
    def of(cls, cursor: Cursor | None) -> "Place | None":
        """The place that a saved cursor tells."""
        return cls(**{name: cursor[name] for name in cls.__dataclass_fields__}) if cursor else None

    def cursor(self) -> Cursor:
        """What is saved."""
        return asdict(self)

    def after(self, uid: int, mail: Mail | None = None) -> "Place":
        """One mail on."""
        return replace(self, uid=uid, seen=max(self.seen, mail.received_at.isoformat()) if mail else self.seen)


@dataclass(frozen=True)
class Start:
    """Where to go on: what waits, and how old a waiting mail may be (the server's search knows whole days only)."""

    place: Place
    waiting: Sequence[int]
    oldest: datetime = EVER


async def begin(imap: Imap, mailbox: str, known: Place | None, first: str | date, now: datetime) -> Start:
    """Open the mailbox and find the place. `first` says what a first start reads: installation, all, or from a day on.

    Raises Unavailable.
    """
    selected = await imap.select(mailbox)
    if known and (known.mailbox, known.uidvalidity) == (mailbox, selected.uidvalidity):
        return Start(known, await imap.uids(after=known.uid))
    if known:
        return await _again(imap, replace(known, mailbox=mailbox, uidvalidity=selected.uidvalidity, uid=0), now)
    place = Place(mailbox, selected.uidvalidity, 0, "", now.isoformat())
    if isinstance(first, date):
        midnight = datetime(first.year, first.month, first.day, tzinfo=UTC)
        return Start(replace(place, since=midnight.isoformat()), await imap.uids(since=first))
    if first == "all":
        return Start(place, await imap.uids())
    last = selected.uidnext - 1 if selected.uidnext else max(await imap.uids(), default=0)
    return Start(replace(place, uid=last, since=(now - _SLACK).isoformat()), [])


async def _again(imap: Imap, place: Place, now: datetime) -> Start:
    """The numbers mean other mails now: what is recent is read again, and the keys tell what we have."""
    logger.warning("email: the mailbox %s was numbered anew: the last days are read again", place.mailbox)
    oldest = _moment(place.since)
    start = max(min(now - RESCAN, _moment(place.seen) - timedelta(days=1)), oldest)
    return Start(place, await imap.uids(since=start.date()), oldest)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text) if text else EVER
