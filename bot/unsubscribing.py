"""The link by which a person ends one kind of message at one address, with one click (RFC 8058)."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from uuid import UUID

from bot.consent import Purpose, purpose
from bot.parts import Parts
from storage.tables import ContactPoint

PATH = "/unsubscribe"
HOW = "link in the mail"  # as the history of what a person wants names it
_LETTERS: dict[str, Purpose] = {"s": "survey", "b": "broadcast", "m": "marketing"}
_TOKEN = re.compile(r"(?P<contact>[0-9a-f]{32})(?P<of>[sbm])(?P<mark>[A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Ending:
    """What a link ends, and where."""

    contact_id: UUID
    purpose: Purpose


def link(parts: Parts, contact: ContactPoint | None, kind: str, language: str) -> str | None:
    """The link for a row of this kind to this address; None where there is nothing to end or no public address.

    It is good for ever: mail is read years later, and a link that is over would keep somebody in.
    """
    ends = purpose(kind)
    if contact is None or parts.company.public_url is None or ends not in _LETTERS.values():
        return None
    letter = next(one for one, of in _LETTERS.items() if of == ends)
    token = f"{contact.id.hex}{letter}{_mark(parts.secret, contact.id.hex, letter)}"
    return f"{parts.company.public_url.rstrip('/')}{PATH}/{token}?lang={language}"


def opened(secret: bytes, token: str) -> Ending | None:
    """What a link ends; None when it is not ours. Nothing is looked up, so a guess learns nothing of who is there."""
    found = _TOKEN.fullmatch(token)
    if found is None or not hmac.compare_digest(_mark(secret, found["contact"], found["of"]), found["mark"]):
        return None
    return Ending(UUID(found["contact"]), _LETTERS[found["of"]])


async def end(parts: Parts, ending: Ending) -> None:
    """Keep that the person wants no more of this there. Once more changes nothing, nor does an address that is gone."""
    async with parts.database.transaction() as tx:
        contact = await tx.people.contact_alone(ending.contact_id)
        if contact is not None and contact.consent.get(ending.purpose) is not False:
            tx.people.consent(contact, (ending.purpose,), False, who="person", how=HOW)


def _mark(secret: bytes, contact: str, letter: str) -> str:
    signed = "\n".join(("unsubscribe link", contact, letter))
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
