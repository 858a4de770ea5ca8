"""How a mailbox is, in a sentence, and what to do about it."""

import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from channels.channel import Health
from channels.imap import Imap, LoginRefused, NoMailbox
from channels.mail_oauth import LOGIN_AGAIN, UNREADABLE
from channels.mail_smtp import REMEDIES

_NEARLY_FULL = 0.9
_HOURS = 3600.0
FOLDER = "Check imap.mailbox: the folder must exist."
FULL = "Make room in the mailbox or get a larger one: a full one sends customers' mail back."

_SINCE: Mapping[str, float] = MappingProxyType({"d": 24 * _HOURS, "h": _HOURS, "min": 60.0})


async def of_mailbox(imap: Imap, folders: Sequence[str], now: datetime) -> Health:
    """Look into every folder. Raises Unavailable."""
    said: list[str] = []
    remedy = None
    for folder in folders:
        try:
            selected = await imap.select(folder)
        except NoMailbox as fault:
            said.append(str(fault))
            remedy = FOLDER
            continue
        said.append(f"reads {folder} ({await _newest(imap, selected.uidnext, now)})")
    said.append("told of new mail at once" if imap.has("IDLE") else "looks every two minutes: the server has no IDLE")
    quota = await imap.quota()
    if quota is not None:
        used, allowed = quota
        said.append(f"{used / allowed:.0%} of {allowed / 1024:.0f} MB used")
        remedy = remedy or (FULL if used >= _NEARLY_FULL * allowed else None)
    return Health(remedy is None, "; ".join(said), remedy)


def remedy_of(fault: Exception) -> str:
    """What to do when the mailbox cannot be opened."""
    if isinstance(fault, LoginRefused):
        if UNREADABLE in str(fault):
            return UNREADABLE
        return LOGIN_AGAIN if "OAuth" in str(fault) else REMEDIES["login"]
    if isinstance(fault, NoMailbox):
        return FOLDER
    text = f"{fault} {fault.__cause__ or ''}".lower()
    if isinstance(fault.__cause__, ssl.SSLError) or "ssl" in text or "certificate" in text:
        return REMEDIES["tls"]
    return REMEDIES["host"]


async def _newest(imap: Imap, uidnext: int | None, now: datetime) -> str:
    """When the last mail came. Only the end of the folder is looked at."""
    uids = await imap.uids(after=max(0, (uidnext or 1) - 50))
    moments = [one.received_at for one in await imap.entries(uids[-5:]) if one.received_at is not None]
    if not moments:
        return "no mail lately" if uidnext and uidnext > 1 else "empty"
    seconds = max(0.0, (now - max(moments)).total_seconds())
    unit = next((unit for unit, size in _SINCE.items() if seconds >= size), None)
    return f"last mail {seconds / _SINCE[unit]:.0f} {unit} ago" if unit else "last mail just now"
