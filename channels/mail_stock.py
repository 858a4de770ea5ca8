"""Compare what lies in the folders with what we kept, and fetch what is missing (the nightly reconciliation)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from channels.channel import Health, Known, Stock
from channels.imap import Imap, NoMailbox
from channels.mail_answers import Entry
from channels.mail_folder import Fetching, Found, received
from channels.mail_place import Place

_AT_ONCE = 500  # ids in one question


@dataclass
class _Count:
    held: int = 0
    missing: list[str] = field(default_factory=list)
    waiting: list[Entry] = field(default_factory=list)
    problems: list[Health] = field(default_factory=list)


async def count(
    imap: Imap, places: Mapping[str, Place], folders: Sequence[str], since: datetime, known: Known
) -> Stock:
    """Look through all folders. A mail without an id is always asked for again: only its key can tell it.

    Raises Unavailable.
    """
    total = _Count()
    for folder in folders:
        place = places.get(folder)
        try:
            selected = await imap.select(folder)
        except NoMailbox as fault:
            total.problems.append(Health(False, str(fault), "Check imap.mailbox: the folder must exist."))
            continue
        if place is None or place.uidvalidity != selected.uidvalidity:
            continue  # the listener has not been there yet: it will read all of it itself
        entries = await imap.entries(await imap.uids(since=since.date()))
        await _compare(total, place, [one for one in entries if _is_ours(one, place, since)], known)
    moments = [one.received_at for one in total.waiting if one.received_at is not None]
    return Stock(
        held=total.held,
        missing=tuple(total.missing),
        waiting=len(total.waiting),
        waiting_since=min(moments, default=None),
        problems=tuple(total.problems),
    )


async def fetch_missing(imap: Imap, missing: Sequence[str], max_bytes: int, now: datetime) -> AsyncIterator[Found]:
    """The mails that `count` found missing. Raises Unavailable."""
    fetching, selected, current = Fetching(max_bytes), "", ""
    for one in missing:
        uid, validity, folder = one.split("/", 2)
        if folder != selected:
            current, selected = str((await imap.select(folder)).uidvalidity), folder
        if current != validity:
            continue  # numbered anew meanwhile: the listener reads it again
        place = Place(folder, int(validity), int(uid), "", "")
        mail, fault = await fetching.fetch(imap, place, int(uid))
        if mail is not None:
            yield Found(place, mail, received(mail, now), fault)


async def _compare(total: _Count, place: Place, entries: Sequence[Entry], known: Known) -> None:
    total.held += len(entries)
    total.waiting += [one for one in entries if one.uid > place.uid]
    read = [one for one in entries if one.uid <= place.uid]
    for start in range(0, len(read), _AT_ONCE):
        some = read[start : start + _AT_ONCE]
        kept = set(await known([one.message_id for one in some if one.message_id]))
        total.missing += [
            f"{one.uid}/{place.uidvalidity}/{place.mailbox}" for one in some if one.message_id not in kept
        ]


def _is_ours(entry: Entry, place: Place, since: datetime) -> bool:
    if entry.uid <= place.before:
        return False
    return entry.received_at is None or entry.received_at >= max(since, place.oldest)
