"""What a person wants where: by address and purpose, decided when a message leaves, with its history."""

from typing import Literal

from storage.tables import ContactPoint

Purpose = Literal["case", "survey", "broadcast", "marketing"]
PURPOSES: tuple[Purpose, ...] = ("case", "survey", "broadcast", "marketing")
TO_COLLEAGUES = ("alert", "alarm")  # kinds for our own people: somebody waits for one; an account must be mended
EVERYTHING = "everything"  # nothing at all may go there: the provider has been told so itself (STOP)
WANTED = ("ack", "answer", "receipt", "agent", "code", *TO_COLLEAGUES)
"""Kinds that answer what the person wrote or asked for, and that no wish to hear less forbids."""
_PURPOSE: dict[str, Purpose] = {
    "survey": "survey",
    "followup": "survey",
    "reminder": "survey",
    "broadcast": "broadcast",
    "marketing": "marketing",
}


def purpose(kind: str) -> Purpose:
    """What a kind of outgoing row is for."""
    return _PURPOSE.get(kind, "case")


def refusal(contact: ContactPoint | None, kind: str) -> str | None:
    """Why a message may not go to an address; None: it may."""
    if contact is None or kind in ("code", *TO_COLLEAGUES):
        return None
    if contact.consent.get(EVERYTHING) is False:
        return "the person wants nothing more at this address"
    if kind in WANTED:
        return None
    if contact.opted_out_at is not None:
        return "the person wants no news at this address"
    if contact.consent.get(purpose(kind)) is False:
        return f"the person wants no {purpose(kind)} at this address"
    return None
