"""What a provider calls: checked, kept, and only then confirmed; and the files that it fetches from us."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from bot.intake import Intake
from bot.parts import Parts
from bot.signs import Signs
from channels import links
from channels.channel import (
    Arrival,
    Forged,
    Inbound,
    Introduces,
    Malformed,
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

    async def take(self, account: str, request: Request) -> Reply:
        """Keep what a call brings. When this returns, it is committed, and the provider may be told so.

        Raises NoSuchAccount, Forged, Malformed, or whatever the database says: the provider will call again.
        """
        channel = self._parts.channels.get(account)
        if not isinstance(channel, Webhook):
            raise NoSuchAccount(account)
        arrivals: list[Arrival] = []
        try:
            arrivals = channel.read(request)
        except Unsupported as fault:
            logger.info("hooks: %s: passed over: %s", account, fault)
        for arrival in arrivals:
            known = await _introduced(channel, arrival)
            kept = await self._intake.keep(account, known)
            if isinstance(known, Inbound):
                self._signs.show(channel, known, kept)
        reply = channel.reply(request) if isinstance(channel, Replies) else None
        return reply or Reply()

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
