"""Conversations: the row that locks all that happens in one thread with one person."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import and_, case, col, func, or_, select, update

from storage.direct import LOCKED, blank, inserting, reading
from storage.scope import Scope
from storage.tables import ContactPoint, Conversation

_OPEN = "WHERE contact_point_id = %s AND thread_key = %s AND closed_at IS NULL FOR NO KEY UPDATE"
_ONE_OPEN = "ON CONFLICT (contact_point_id, thread_key) WHERE closed_at IS NULL DO NOTHING RETURNING id"
_HOLD_CASE = "SELECT 1 FROM cases WHERE id = %s FOR NO KEY UPDATE"
_PERSON_NEAR = "SELECT speaker FROM conversations WHERE (case_id = %s OR id = %s) AND speaker <> 'bot' LIMIT 1"
UNANSWERED = "unanswered"  # the one reason for which a talk is on the list though a person has it
_LEFT_WAITING = """
SELECT c.id, greatest(waits.since, c.taken_at) AS since, c.speaker FROM conversations c
  JOIN LATERAL (
    SELECT min(m.received_at) AS since FROM messages m
     WHERE m.conversation_id = c.id AND m.kind = 'person' AND m.understanding->>'act' IS DISTINCT FROM 'thanks'
       AND m.number > coalesce((SELECT max(o.number) FROM outgoing o WHERE o.conversation_id = c.id
                                   AND o.author LIKE 'agent:%%' AND o.state <> 'withdrawn'), 0)
  ) waits ON waits.since IS NOT NULL
 WHERE c.speaker <> 'bot' AND c.closed_at IS NULL AND c.flag_reason IS DISTINCT FROM %(reason)s
   AND c.last_in_at > %(oldest)s AND greatest(waits.since, c.taken_at) <= %(before)s
   AND NOT EXISTS (SELECT 1 FROM outgoing o WHERE o.case_id = c.case_id AND o.author LIKE 'agent:%%'
                      AND o.state <> 'withdrawn' AND o.created_at > waits.since)
   AND NOT EXISTS (SELECT 1 FROM case_events e WHERE e.case_id = c.case_id AND e.kind = 'moved'
                      AND e.actor LIKE 'agent:%%' AND e.at > waits.since)
 ORDER BY since LIMIT %(limit)s
"""
_OLDEST = timedelta(days=30)  # whoever wrote before that waits for something else by now
LONGEST_PAUSE = timedelta(hours=4)  # between two alerts of one matter


class Conversations:
    """Open, lock and find conversations."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self, conversation_id: UUID) -> Conversation | None:
        """The conversation as it stands, without a lock."""
        direct = self._scope.direct
        return direct.held(Conversation, conversation_id) or next(
            iter(await direct.find(Conversation, "WHERE id = %s", conversation_id)), None
        )

    async def locked(self, conversation_id: UUID) -> Conversation | None:
        """The conversation, and nobody else writes in it until this transaction ends."""
        return next(iter(await self._scope.direct.find(Conversation, LOCKED, conversation_id)), None)

    async def of(self, contact: ContactPoint, thread_key: str = "") -> Conversation:
        """The open conversation of this address (and thread), locked; made if there is none."""
        direct = self._scope.direct
        if found := await direct.find(Conversation, _OPEN, contact.id, thread_key):
            return found[0]
        now = self._scope.now()
        fresh = blank(
            Conversation,
            id=self._scope.ids(),
            person_id=contact.person_id,
            contact_point_id=contact.id,
            account=contact.account,
            thread_key=thread_key,
            last_at=now,
            created_at=now,
        )
        made, found_now = await direct.run(
            inserting(fresh, _ONE_OPEN), reading(Conversation, _OPEN, contact.id, thread_key)
        )
        return direct.adopt(fresh) if made else direct.load(Conversation, found_now)[0]

    async def of_case(self, case_id: UUID, *, lock: bool = False) -> list[Conversation]:
        """All conversations in which this case is talked of, oldest first."""
        query = (
            select(Conversation).where(Conversation.case_id == case_id).order_by(col(Conversation.id))
        )  # one order for everybody, so that two transactions never wait for each other
        if lock:
            query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
        return list((await self._scope.session.exec(query)).all())

    async def together(self, conversation_id: UUID) -> list[Conversation]:
        """The conversations in which one person must speak at a time, this one among them, locked, oldest first.

        They share a case; or an address without threads, where all cases of the person are talked of in one line.
        """
        return await self._together(Conversation.id == conversation_id)

    async def together_about(self, *case_ids: UUID) -> list[Conversation]:
        """The same of several cases at once, locked in the one order of everybody."""
        return await self._together(col(Conversation.case_id).in_(case_ids))

    async def _together(self, first: ColumnElement[bool] | bool) -> list[Conversation]:
        near = (
            select(Conversation.id, Conversation.case_id, Conversation.contact_point_id, Conversation.thread_key)
            .where(first)
            .cte("near", recursive=True)
        )
        one_line = and_(
            Conversation.contact_point_id == near.c.contact_point_id,
            col(Conversation.closed_at).is_(None),
            or_(Conversation.thread_key == "", near.c.thread_key == ""),
        )
        near = near.union(
            select(Conversation.id, Conversation.case_id, Conversation.contact_point_id, Conversation.thread_key).join(
                near, or_(Conversation.case_id == near.c.case_id, one_line)
            )
        )
        query = (
            select(Conversation)
            .where(col(Conversation.id).in_(select(near.c.id)))
            .order_by(col(Conversation.id))  # the order of `of_case`
            .with_for_update(key_share=True, of=Conversation)
            .execution_options(populate_existing=True)
        )
        return list((await self._scope.session.exec(query)).all())

    async def keep_case(self, left: Conversation, contact: ContactPoint, case_id: UUID, code: str) -> None:
        """Give a case that a (locked) conversation leaves a place of its own, unless it is talked of elsewhere too.

        Without one no list and no search would find it, and no agent could move it.
        """
        if any(one.id != left.id and one.closed_at is None for one in await self.of_case(case_id)):
            return
        kept = await self.of(contact, f"case:{code}")
        await self.enter(kept, case_id, beside=left)

    async def is_open(self, closed: Conversation) -> bool:
        """Whether the place of a closed conversation, its address and thread, has an open one by now."""
        found = await self._scope.direct.find(Conversation, _OPEN, closed.contact_point_id, closed.thread_key)
        return any(one.id != closed.id for one in found)

    async def enter(
        self, conversation: Conversation, case_id: UUID | None, *, beside: Conversation | None = None
    ) -> None:
        """Make a (locked) talk one of this case's, unless it has a case; whoever speaks there speaks here as well.

        `beside` is another talk that it goes on from. A person who speaks here already is never replaced. Whoever
        takes a case or gives it back holds its row until the commit: the speaker is asked for once that row is ours.
        """
        case_id = case_id if conversation.case_id is None else None
        _, people = await self._scope.direct.run(
            (_HOLD_CASE, (case_id,)), (_PERSON_NEAR, (case_id, beside.id if beside else None))
        )
        conversation.case_id = conversation.case_id or case_id
        if conversation.speaker == "bot" and people:
            conversation.speaker = people[0][0]

    async def latest_of_contact(self, contact_id: UUID) -> Conversation | None:
        """The open conversation that an address is in: its one line where it has no threads, else the newest thread."""
        query = (
            select(Conversation)
            .where(Conversation.contact_point_id == contact_id, col(Conversation.closed_at).is_(None))
            .order_by((col(Conversation.thread_key) == "").desc(), col(Conversation.last_at).desc())
            .limit(1)
        )
        return (await self._scope.session.exec(query)).first()

    async def burst_is_over(self, limit: int = 200) -> Sequence[UUID]:
        """Take the conversations whose burst window has ended; each is given out once."""
        due = (
            select(Conversation.id)
            .where(col(Conversation.answer_after) <= self._scope.now())
            .order_by(col(Conversation.answer_after))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = (
            update(Conversation)
            .where(col(Conversation.id).in_(due))
            .values(answer_after=None)
            .returning(col(Conversation.id))
            .execution_options(synchronize_session=False)
        )
        return [row[0] for row in (await self._scope.session.exec(taken)).all()]

    async def left_waiting(self, before: datetime, limit: int = 50) -> list[tuple[UUID, datetime, str]]:
        """Talks that a person has, in which the customer wrote and no person answered, longest wait first.

        Since when: the oldest words without an answer, or the take-over if that was later. A word of thanks waits for
        none; an answer elsewhere in the case, or a move of it, is one. Those since `before` or earlier, with speakers.
        """
        values = {"before": before, "oldest": self._scope.now() - _OLDEST, "reason": UNANSWERED, "limit": limit}
        [found] = await self._scope.direct.run((_LEFT_WAITING, values))
        return [(talk, since, speaker) for talk, since, speaker in found]

    async def to_alert(self, repeat: timedelta, limit: int = 20) -> list[Conversation]:
        """Flagged conversations that nobody took and nobody was told of lately; marked as told.

        In the first hour, and where it is urgent, again after each `repeat`; then the pause grows with the wait.
        """
        now: datetime = self._scope.now()
        waited = func.least(col(Conversation.alerted_at) - col(Conversation.flagged_at), LONGEST_PAUSE)
        soon = or_(col(Conversation.urgent), waited < timedelta(hours=1))
        pause = case((soon, repeat), else_=func.greatest(waited, repeat))
        query = (
            select(Conversation)
            .where(
                col(Conversation.flagged_at).is_not(None),
                or_(col(Conversation.speaker) == "bot", col(Conversation.flag_reason) == UNANSWERED),
                or_(
                    col(Conversation.alerted_at).is_(None),
                    col(Conversation.alerted_at) < col(Conversation.flagged_at),  # of a matter that is over
                    col(Conversation.alerted_at) < now - pause,
                ),
            )
            .order_by(col(Conversation.flagged_at))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = list((await self._scope.session.exec(query)).all())
        for conversation in found:
            conversation.alerted_at = now
        return found
