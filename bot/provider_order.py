"""Where a late message stands: webhooks come shuffled, and what was said is read in the order of saying it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

SLACK = timedelta(seconds=3)  # Telegram tells whole seconds, and no two clocks agree: nearer than that, arrival decides
OWN_CLOCKS = ("email",)  # the moment is the sender's word there, and no provider's nor ours
Item = TypeVar("Item")


@dataclass(frozen=True)
class Mark:
    """When something was said, by whom; `clock`: whether that moment is a provider's (or our own) and counts."""

    at: datetime
    theirs: bool
    clock: bool = True


def in_provider_order(items: Sequence[Item], mark: Callable[[Item], Mark]) -> list[Item]:
    """Given in the order of arrival; a message that the provider had earlier moves up to its place."""
    placed: list[Item] = []
    for item in items:
        at, late = len(placed), mark(item)
        if late.theirs and late.clock:
            while at and _before(late, mark(placed[at - 1])):
                at -= 1
        placed.insert(at, item)
    return placed


def counts(channel: str | None) -> bool:
    """Whether the moment that a channel of this kind gives to a message is more than its sender's word."""
    return channel not in OWN_CLOCKS


def _before(late: Mark, other: Mark) -> bool:
    if other.theirs:
        return other.clock and late.at < other.at
    return late.at < other.at - SLACK
