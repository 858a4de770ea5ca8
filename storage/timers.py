"""Things that become due, and where listeners stand."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, func, select, text

from storage.direct import blank, inserting
from storage.scope import Scope
from storage.tables import Attempt, LeaseHolder, SavedCursor, Timer

_MOVE = "ON CONFLICT (key) DO UPDATE SET due_at = excluded.due_at, data = excluded.data, done_at = NULL"
_SAVE = "ON CONFLICT (account) DO UPDATE SET cursor = excluded.cursor, updated_at = excluded.updated_at"
_STOP = "UPDATE timers SET done_at = %s WHERE key = %s AND done_at IS NULL"
_NEXT_DUE = text(
    "SELECT least((SELECT min(due_at) FROM timers WHERE done_at IS NULL),"
    " (SELECT min(answer_after) FROM conversations WHERE answer_after IS NOT NULL),"
    " (SELECT min(not_before) FROM outgoing WHERE state IN ('queued', 'sending') AND state = 'queued'"
    " AND not_before > :since AND not_before > created_at))"
)


class Timers:
    """Timers are rows of ours with a unique business key; the job engine holds nothing for the future."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def start(
        self, key: str, conversation_id: UUID, kind: str, due_at: datetime, data: dict[str, Any] | None = None
    ) -> None:
        """Start a timer, or move the one that runs under this key."""
        timer = blank(
            Timer,
            id=self._scope.ids(),
            key=key,
            conversation_id=conversation_id,
            kind=kind,
            due_at=due_at,
            data=data or {},
        )
        self._scope.direct.later(inserting(timer, _MOVE))

    async def next_due_at(self, window: timedelta) -> datetime | None:
        """When the next timer, end of a burst or row that is held back is due (or was): three looks at indexes.

        Held back rows that were due before `window` are the sweep's.
        """
        connection = await self._scope.session.connection()
        found = await connection.execute(_NEXT_DUE, {"since": self._scope.now() - window})
        return found.scalar()

    def stop(self, key: str) -> None:
        """It need not happen any more."""
        self._scope.direct.later((_STOP, (self._scope.now(), key)))

    async def next_due(self) -> tuple[UUID, UUID] | None:
        """A timer that is due and its conversation, which the caller locks before it takes the timer."""
        query = (
            select(Timer.id, Timer.conversation_id)
            .where(col(Timer.done_at).is_(None), col(Timer.due_at) <= self._scope.now())
            .order_by(col(Timer.due_at))
            .limit(1)
        )
        return (await self._scope.session.exec(query)).first()

    async def take(self, timer_id: UUID) -> Timer | None:
        """Take it; None: it was taken, stopped or moved meanwhile. Each timer is given out once."""
        query = (
            select(Timer)
            .where(Timer.id == timer_id, col(Timer.done_at).is_(None), col(Timer.due_at) <= self._scope.now())
            .with_for_update()
        )
        timer = (await self._scope.session.exec(query)).first()
        if timer is not None:
            timer.done_at = self._scope.now()
        return timer


class Cursors:
    """Where each listener stands."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def load(self, account: str) -> dict[str, Any] | None:
        """The saved cursor, or None at the first start."""
        row = await self._scope.session.get(SavedCursor, account)
        return None if row is None else row.cursor

    def save(self, account: str, cursor: dict[str, Any]) -> None:
        """Save it, in the transaction that keeps what the listener brought."""
        saved = blank(SavedCursor, account=account, cursor=cursor, updated_at=self._scope.now())
        self._scope.direct.later(inserting(saved, _SAVE))

    async def held(self, name: str, holder: str) -> None:
        """Tell people who holds a listener's lease."""
        query = insert(LeaseHolder).values(name=name, holder=holder, since=self._scope.now())
        await self._scope.session.exec(
            query.on_conflict_do_update(
                index_elements=["name"], set_={"holder": query.excluded.holder, "since": query.excluded.since}
            )
        )


class Limits:
    """How often something may be done: status look-ups, logins, codes."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def use(self, key: str, *, at_most: int, within: timedelta) -> bool:
        """Count one use. False: the limit is reached, and this use was not counted."""
        now = self._scope.now()
        await self._scope.session.exec(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 11))))
        query = select(func.count()).where(Attempt.key == key, col(Attempt.at) > now - within)
        if (await self._scope.session.exec(query)).one() >= at_most:
            return False
        self._scope.session.add(Attempt(id=self._scope.ids(), key=key, at=now))
        return True

    async def forget(self, key: str) -> None:
        """Start to count anew (after a right password)."""
        await self._scope.session.exec(delete(Attempt).where(col(Attempt.key) == key))

    async def sweep(self, older_than: timedelta) -> None:
        """Drop what no limit looks at any more."""
        await self._scope.session.exec(delete(Attempt).where(col(Attempt.at) < self._scope.now() - older_than))
