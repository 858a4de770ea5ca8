"""What can never be kept as what it is: it is set aside whole, people are called, and the next goes on."""

import json
import logging
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from bot.cleaning import bounded, clean
from bot.intake import Intake
from bot.keeper import describe
from bot.parts import Parts
from channels.channel import Address, Arrival, Blocked, DeliveryReport, DeskAct, Edited, Ignored, Inbound
from storage.ledger import is_kept

logger = logging.getLogger(__name__)

TRIES = 5  # with the keeper's pauses between them: about ten seconds
MANY = 10_000  # items that fail at the same time; more are forgotten, the oldest first
NOBODY = "unknown@invalid"  # what a mail without a sender is kept under, too


class Quarantine:
    """Of one account. Tries are counted in this process: whoever comes after it begins to count anew."""

    def __init__(self, parts: Parts, intake: Intake, account: str) -> None:
        self._parts = parts
        self._intake = intake
        self._account = account
        self._failures: Counter[str] = Counter()

    def kept(self, arrival: Arrival) -> None:
        """It went well after all."""
        self._failures.pop(_name(arrival), None)

    async def holds(self, arrival: Arrival) -> bool:
        """Whether it was set aside before: it cannot be kept today either, and people know of it.

        Only of what has a key: a person may block us, or a message fail, a second time, which is not the same.
        """
        if not isinstance(arrival, Inbound | Edited | DeskAct):
            return False
        *_, least = self._as_evidence(arrival, "")
        evidence = bounded(clean(least))  # as it was kept
        assert isinstance(evidence, Inbound)
        async with self._parts.database.transaction() as tx:
            return await is_kept(tx, self._account, evidence.key)

    async def take(self, arrival: Arrival, fault: Exception) -> bool:
        """Set it aside if it has failed often enough. False: it has not, or the fault is not its own.

        It is kept as mail that cannot be read is: a message that says why, with the original beside it, never answered;
        its conversation is flagged, which alerts people. Raises what fails now.
        """
        if not await self._database_answers():
            return False
        name = _name(arrival)
        self._failures[name] += 1
        if len(self._failures) > MANY:  # a provider that gave up does not say so
            del self._failures[next(iter(self._failures))]
        if self._failures[name] < TRIES:
            return False
        await self._set_aside(arrival, describe(fault))
        self.kept(arrival)
        return True

    async def _database_answers(self) -> bool:
        """While it is away everything fails, whatever it is."""
        try:
            async with self._parts.database.transaction() as tx:
                await tx.cursors.load(self._account)
        except Exception as error:
            logger.debug("quarantine: not now: %s", type(error).__name__)
            return False
        return True

    async def _set_aside(self, arrival: Arrival, why: str) -> None:
        *attempts, last = self._as_evidence(arrival, why)
        for attempt in attempts:
            try:
                return await self._keep(attempt, arrival)
            except Exception as error:  # the same that broke it may still be in it: with less of it, then
                logger.debug("quarantine: with less: %s", type(error).__name__)
        return await self._keep(last, arrival)

    async def _keep(self, evidence: Inbound, arrival: Arrival) -> None:
        kept = await self._intake.keep(self._account, evidence)
        assert kept is not None  # an Inbound always is
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(kept.conversation_id)
            if conversation is not None and conversation.flagged_at is None and conversation.speaker == "bot":
                conversation.flagged_at, conversation.flag_reason = self._parts.now(), "bot_failed"
            await tx.ring("desk")
        # last, so that a crash before it repeats all this and loses nothing
        await self._intake.keep(self._account, Ignored(why="set aside", cursor=arrival.cursor))
        logger.error("%s: %s was set aside: %s", self._account, _name(arrival), evidence.machine)

    def _as_evidence(self, arrival: Arrival, why: str) -> Iterator[Inbound]:
        """Ways to keep it, with less and less of what may be at fault. The whole of it is always beside them."""
        raw = arrival.raw if isinstance(arrival, Inbound) and arrival.raw is not None else _whole(arrival)
        sender = getattr(arrival, "sender", None) or getattr(arrival, "address", None)
        nobody = Address(self._account, NOBODY)
        # by it the nightly comparison knows that we have the message, and what answers it finds the conversation
        ours = str(arrival.provider_id or arrival.key) if isinstance(arrival, Inbound) else None
        for text, who in ((getattr(arrival, "text", ""), sender or nobody), ("", sender or nobody), ("", nobody)):
            yield Inbound(
                key=f"set aside:{_name(arrival)}",
                sender=who,
                text=text,
                sent_at=self._parts.now(),
                machine=f"quarantine: {why}"[:300],
                authentic=False,
                raw=raw,
                provider_id=ours,
            )


def _name(arrival: Arrival) -> str:
    """The same for the same item, however often it comes."""
    match arrival:
        case Inbound() | Edited() | DeskAct():
            place = arrival.key
        case DeliveryReport():
            place = f"{arrival.provider_id}:{arrival.state}"
        case Blocked() if arrival.cursor is None:  # from one that calls us, and may date it anew at each call
            place = f"{arrival.address}:{arrival.blocked}"
        case _:
            place = json.dumps(arrival.cursor, default=str, sort_keys=True)
    return f"{type(arrival).__name__}:{place}"


def _whole(arrival: Arrival) -> bytes:
    return json.dumps({"kind": type(arrival).__name__, **asdict(arrival)}, default=_plain, indent=1).encode()


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else str(value)
