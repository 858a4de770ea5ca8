"""Where a conversation is shown to agents outside the console, and how far it has been told there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from storage.scope import Scope
from storage.tables import Conversation, DeskThread, Message, Note, Outgoing

ACTS = 100  # of one thread, remembered to tell a repetition
TOLD = 400  # rows that need no word any more
_LOOKS = """
    concat_ws('|', c.last_number, c.speaker, c.flagged_at, c.urgent, k.code, k.status, k.severity, k.type, k.due, (
        SELECT count(*) FROM outgoing o WHERE o.conversation_id = c.id AND o.state IN ('failed', 'uncertain')
    ), (
        SELECT p.since FROM pauses p WHERE p.account = c.account
    ), (
        SELECT f.since FROM account_faults f WHERE f.account = c.account AND f.mended_at IS NULL
    ))
"""
_OPEN = """
    INSERT INTO desk_threads (id, conversation_id, account, active, created_at)
    SELECT gen_random_uuid(), c.id, :account, true, :now FROM conversations c
    WHERE c.flagged_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM desk_threads t WHERE t.conversation_id = c.id AND t.account = :account AND t.active)
    ORDER BY c.flagged_at LIMIT 50
    ON CONFLICT (conversation_id, account) DO UPDATE SET active = true
"""
_REOPEN = """
    UPDATE desk_threads t SET active = true FROM conversations c
    WHERE t.conversation_id = c.id AND t.account = :account AND NOT t.active AND c.speaker <> 'bot'
"""
_CHANGED = f"""
    SELECT t.id, {_LOOKS} AS looks FROM desk_threads t
    JOIN conversations c ON c.id = t.conversation_id LEFT JOIN cases k ON k.id = c.case_id
    WHERE t.account = :account AND t.active AND (t.claimed_until IS NULL OR t.claimed_until < :now)
      AND t.seen IS DISTINCT FROM {_LOOKS}
    ORDER BY c.urgent DESC, c.flagged_at NULLS LAST, t.id LIMIT :limit FOR UPDATE OF t SKIP LOCKED
"""  # noqa: S608  only constants of this file are put together


@dataclass(frozen=True)
class Claimed:
    """A thread that this worker looks after until `claimed_until`; `looks` is what it will have seen then."""

    thread: DeskThread
    looks: str


class DeskThreads:
    """Threads below cards."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def claim(self, account: str, lasts: timedelta, limit: int = 10) -> list[Claimed]:
        """Threads in which something is to be shown, the most urgent first; nobody else gets them meanwhile."""
        session, now = self._scope.session, self._scope.now()
        values: dict[str, Any] = {"account": account, "now": now, "limit": limit}
        connection = await session.connection()
        await connection.execute(text(_OPEN), {"account": account, "now": now})
        await connection.execute(text(_REOPEN), {"account": account})
        looks = {row.id: row.looks for row in (await connection.execute(text(_CHANGED), values)).all()}
        query = select(DeskThread).where(col(DeskThread.id).in_(looks))
        rows = {row.id: row for row in (await session.exec(query)).all()}
        for row in rows.values():
            row.claimed_until = now + lasts
        return [Claimed(rows[one], looks[one]) for one in looks]

    async def get(self, thread_id: UUID) -> DeskThread | None:
        """One, locked."""
        query = select(DeskThread).where(DeskThread.id == thread_id).with_for_update()
        return (await self._scope.session.exec(query)).first()

    async def by_name(self, account: str, thread: str) -> DeskThread | None:
        """The thread that the provider calls so, locked."""
        query = select(DeskThread).where(DeskThread.account == account, DeskThread.thread == thread)
        return (await self._scope.session.exec(query.with_for_update())).first()

    async def said_since(
        self, conversation: Conversation, number: int, limit: int = 20
    ) -> list[Message | Outgoing | Note]:
        """What was said after this number, in order; our own internal rows are not said."""
        session, here = self._scope.session, conversation.id
        messages = select(Message).where(
            Message.conversation_id == here, Message.number > number, Message.kind != "internal"
        )
        outgoing = select(Outgoing).where(Outgoing.conversation_id == here, Outgoing.number > number)
        notes = select(Note).where(Note.conversation_id == here, Note.number > number)
        found: list[Message | Outgoing | Note] = [
            *(await session.exec(messages.order_by(col(Message.number)).limit(limit))).all(),
            *(await session.exec(outgoing.order_by(col(Outgoing.number)).limit(limit))).all(),
            *(await session.exec(notes.order_by(col(Note.number)).limit(limit))).all(),
        ]
        return sorted(found, key=lambda one: one.number)[:limit]

    async def quoted(self, conversation_id: UUID, before: datetime, limit: int = 3) -> list[Message]:
        """The last words of the person before a card was made: what it quotes, now and whenever it is shown anew."""
        query = (
            select(Message)
            .where(Message.conversation_id == conversation_id, Message.kind == "person", Message.received_at <= before)
            .order_by(col(Message.number).desc())
            .limit(limit)
        )
        return list((await self._scope.session.exec(query)).all())[::-1]

    async def undelivered(self, conversation_id: UUID, since: datetime, limit: int = 20) -> list[Outgoing]:
        """What was written here by people and did not arrive."""
        query = (
            select(Outgoing)
            .where(
                Outgoing.conversation_id == conversation_id,
                col(Outgoing.state).in_(("failed", "uncertain")),
                col(Outgoing.author).startswith("agent:"),
                col(Outgoing.created_at) >= since,
            )
            .order_by(col(Outgoing.number).desc())
            .limit(limit)
        )
        return list((await self._scope.session.exec(query)).all())[::-1]


def remember(known: Sequence[Any], *more: str, at_most: int) -> list[Any]:
    """The newest so many."""
    return list(dict.fromkeys([*known, *more]))[-at_most:]
