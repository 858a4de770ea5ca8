"""Where a late message stands: webhooks come shuffled, and agents read what was said in the order of saying it."""

from collections.abc import Sequence
from datetime import timedelta

from bot.views import Entry

SLACK = timedelta(seconds=3)  # Telegram tells whole seconds, and no two clocks agree: nearer than that, arrival decides
OWN_CLOCKS = ("email", "webchat")  # the moment is the sender's word there, not a provider's


def in_provider_order(entries: Sequence[Entry]) -> list[Entry]:
    """Given in the order of arrival; a message that the provider had earlier moves up to its place."""
    placed: list[Entry] = []
    for entry in entries:
        at = len(placed)
        if entry.kind == "in" and entry.channel not in OWN_CLOCKS:
            while at and _before(entry, placed[at - 1]):
                at -= 1
        placed.insert(at, entry)
    return placed


def _before(late: Entry, other: Entry) -> bool:
    if other.kind == "in":
        return other.channel not in OWN_CLOCKS and late.at < other.at
    return late.at < other.at - SLACK
