"""What a provider calls: checked, kept, and only then confirmed; and the files that it fetches from us."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from bot.intake import Intake
from bot.keeper import describe
from bot.parts import Parts
from bot.quarantine import Quarantine
from bot.signs import Signs
from channels import links
from channels.channel import (
    Arrival,
    Forged,
    Inbound,
    Introduces,
    Malformed,
    Opened,
    Replies,
    Reply,
    Request,
    Unsupported,
    Webhook,
)

__all__ = ["FILES", "Forged", "Hooks", "Malformed", "NoSuchAccount", "Reply", "Request"]

logger = logging.getLogger(__name__)
FILES = links.PATH


class NoSuchAccount(Exception):
    """There is no account of this name that its provider calls."""


@dataclass(frozen=True)
class Handed:
    """A file that somebody holds a link to."""

    path: Path
    type: str


class Hooks:
    """The way in for channels that are called."""

    def __init__(self, parts: Parts, intake: Intake) -> None:
        self._parts = parts
        self._intake = intake
        self._signs = Signs()
        self._quarantines: dict[str, Quarantine] = {}

    async def take(self, account: str, request: Request) -> Reply:
        """Keep what a call brings. When this returns, it is committed, and the provider may be told so.

        Raises NoSuchAccount, Forged, Malformed, or the first fault of what could not be kept, after all else was: the
        provider will call again. What fails again and again is set aside, else it would be lost when it gives up.
        """
        channel = self._parts.channels.get(account)
        if not isinstance(channel, Webhook):
            raise NoSuchAccount(account)
        arrivals: list[Arrival] = []
        try:
            arrivals = channel.read(request)
        except Unsupported as fault:
            logger.info("hooks: %s: passed over: %s", account, fault)
        faults = [await self._fault_of(channel, one) for one in arrivals]
        for first in filter(None, faults):
            raise first
        reply = channel.reply(request) if isinstance(channel, Replies) else None
        return reply or Reply()

    async def _fault_of(self, channel: Webhook, arrival: Arrival) -> Exception | None:
        """Keep one, whatever became of those before it (P11). None: it is kept, or set aside."""
        quarantine = self._quarantines.setdefault(channel.name, Quarantine(self._parts, self._intake, channel.name))
        try:
            known = await _introduced(channel, arrival)
            kept = await self._intake.keep(channel.name, known)
        except Exception as fault:
            try:
                aside = await quarantine.holds(arrival) or await quarantine.take(arrival, fault)
            except Exception as worse:
                logger.debug("hooks: %s: not set aside: %s", channel.name, describe(worse))
                return fault
            return None if aside else fault
        quarantine.kept(arrival)
        if isinstance(known, Inbound):
            self._signs.show(channel, known, kept)
        elif isinstance(known, Opened):
            self._signs.greet(self._parts, channel, known)
        return None

    async def handed(self, token: str, name: str) -> Handed | None:
        """The file that a link names, if the link is ours and not over."""
        sha = links.opened(self._parts.secret, token, name, now=self._parts.now())
        if sha is None:
            return None
        path = self._parts.files.path(sha)
        return Handed(path, links.type_of(name)) if await asyncio.to_thread(path.is_file) else None


async def _introduced(channel: Webhook, arrival: Arrival) -> Arrival:
    """With the sender's name, where the channel must ask for it."""
    if isinstance(arrival, Inbound) and isinstance(channel, Introduces):
        return await channel.introduce(arrival)
    return arrival
