"""A telephone number is one person, on WhatsApp and by SMS alike, in whichever way it is written (P6, P7)."""

import re

from bot.parts import Parts
from channels.twilio_numbers import variants

KINDS = ("whatsapp", "sms")
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")


def accounts(parts: Parts) -> tuple[str, ...]:
    """The accounts whose addresses are telephone numbers."""
    return tuple(account for account, kind in parts.kinds.items() if kind in KINDS)


def beside(parts: Parts, account: str, address: str) -> tuple[str, ...]:
    """The other accounts on which this address is the same person; of an opaque id, and of mail, there are none."""
    if parts.kinds.get(account) not in KINDS or not _NUMBER.fullmatch(address):
        return ()
    return tuple(one for one in accounts(parts) if one != account)


def forms(address: str) -> tuple[str, ...]:
    """The ways to write an address, the given one first."""
    return (address, *variants(address))
