"""A person took a talk and went away: the customer wrote, nobody answered, so others are told and may take it."""

import logging
from datetime import timedelta
from uuid import UUID

from bot.hours import open_between
from bot.parts import Parts
from storage.conversations import UNANSWERED

logger = logging.getLogger(__name__)
LOOK_EVERY = timedelta(seconds=20)


class Absent:
    """Runs with the alerts. The bot stays silent all the while: only people are told."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._hours = parts.company.hours_calendar()
        self._wait = timedelta(minutes=parts.company.taken_answer_minutes)
        self._looked = parts.now() - LOOK_EVERY

    async def look(self) -> int:
        """Flag what waits too long, counted in the hours in which people are there; returns how many."""
        now = self._parts.now()
        if now - self._looked < LOOK_EVERY:
            return 0
        self._looked = now
        async with self._parts.database.transaction() as tx:
            waiting = await tx.conversations.left_waiting(now - self._wait)
        counted = any(self._hours.week)  # a company that is never open has no other time than the clock's
        late = [
            (talk, since, speaker)
            for talk, since, speaker in waiting
            if not counted or open_between(self._hours, since, now) >= self._wait
        ]
        return sum([await self._flag(talk, speaker) for talk, _, speaker in late])

    async def _flag(self, talk: UUID, speaker: str) -> bool:
        """Unless somebody else has taken it meanwhile, or another worker was faster."""
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(talk)
            if conversation is None or conversation.speaker != speaker or conversation.flag_reason == UNANSWERED:
                return False
            conversation.flagged_at, conversation.flag_reason = self._parts.now(), UNANSWERED
            conversation.alerted_at = None
            case = await tx.cases.get(conversation.case_id, lock=True) if conversation.case_id else None
            if case is not None:
                await tx.cases.add_event(case, actor="bot", kind="flagged", data={"reason": UNANSWERED})
            await tx.ring(f"conversation:{talk}")
            await tx.ring("desk")
        logger.info("absent: %s: nobody answered what the customer wrote", talk)
        return True
