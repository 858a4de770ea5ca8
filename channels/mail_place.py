"""Where a listener stands in its folders and what waits there: at the first start, later, and after a renumbering."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta

from channels.channel import Cursor
from channels.imap import Imap

logger = logging.getLogger(__name__)

RESCAN = timedelta(days=7)
"""How far back a folder is read again whose numbering has changed."""
_SLACK = timedelta(minutes=5)  # between our clock and the server's


EVER = datetime.min.replace(tzinfo=UTC)
"""Older than any mail."""


@dataclass(frozen=True)
class Place:
    """A place in one folder: its numbering, the last mail that we have, and how reading began."""

    mailbox: str
    uidvalidity: int
    uid: int
    since: str  # older mail was there before us and is not read after a renumbering either; empty: all is read
    seen: str  # when the server got the newest mail that we have
    before: int = 0  # up to this number it was there before us

    def after(self, uid: int, received_at: datetime | None = None) -> "Place":
        """One mail on."""
        seen = max(self.seen, received_at.isoformat()) if received_at else self.seen
        return replace(self, uid=uid, seen=seen)

    @property
    def oldest(self) -> datetime:
        """Mail that the server got before this is not for us."""
        return _moment(self.since)


def places_of(cursor: Cursor | None, folders: Sequence[str]) -> dict[str, Place]:
    """The places that a saved cursor tells, by folder. A single folder under another name was renamed."""
    told = cursor.get("folders", [cursor]) if cursor else []
    places = [Place(**{name: one[name] for name in Place.__dataclass_fields__ if name in one}) for one in told]
    if len(places) == len(folders) == 1:
        return {folders[0]: places[0]}
    return {place.mailbox: place for place in places}


def cursor_of(places: Mapping[str, Place]) -> Cursor:
    """What is saved: of one folder its place, of several a list."""
    told = [asdict(place) for place in places.values()]
    return told[0] if len(told) == 1 else {"folders": told}


@dataclass(frozen=True)
class Start:
    """Where to go on: what waits, and how old a waiting mail may be (the server's search knows whole days only)."""

    place: Place
    waiting: Sequence[int]
    oldest: datetime = EVER


async def begin(imap: Imap, mailbox: str, known: Place | None, first: str | date, now: datetime) -> Start:
    """Open the folder and find the place. `first` says what a first start reads: installation, all, or from a day on.

    Raises Unavailable.
    """
    selected = await imap.select(mailbox)
    if known and (known.mailbox, known.uidvalidity) == (mailbox, selected.uidvalidity):
        return Start(known, await imap.uids(after=known.uid))
    if known:
        return await _again(
            imap, replace(known, mailbox=mailbox, uidvalidity=selected.uidvalidity, uid=0, before=0), now
        )
    place = Place(mailbox, selected.uidvalidity, 0, "", now.isoformat())
    if isinstance(first, date):
        midnight = datetime(first.year, first.month, first.day, tzinfo=UTC)
        return Start(replace(place, since=midnight.isoformat()), await imap.uids(since=first))
    if first == "all":
        return Start(place, await imap.uids())
    last = selected.uidnext - 1 if selected.uidnext else max(await imap.uids(), default=0)
    return Start(replace(place, uid=last, before=last, since=(now - _SLACK).isoformat()), [])


async def _again(imap: Imap, place: Place, now: datetime) -> Start:
    """The numbers mean other mails now: what is recent is read again, and the keys tell what we have."""
    logger.warning("email: the mailbox %s was numbered anew: the last days are read again", place.mailbox)
    start = max(min(now - RESCAN, _moment(place.seen) - timedelta(days=1)), place.oldest)
    return Start(place, await imap.uids(since=start.date()), place.oldest)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text) if text else EVER
