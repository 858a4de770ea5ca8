"""Cases that an agent merged into another of the same person: who goes on for whom, and what undoes it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import col, select

from storage.scope import Scope
from storage.tables import Case, Merge

_FOLLOWED = (
    "WITH RECURSIVE followed AS (SELECT id, merged_into FROM cases WHERE code = ANY(CODES)"
    " UNION SELECT next.id, next.merged_into FROM cases next JOIN followed ON next.id = followed.merged_into"
    ") SELECT id FROM followed WHERE merged_into IS NULL"
)


def surviving(codes: str) -> str:
    """SQL for the ids of the cases that go on for those with these codes. `codes`: the blank of an array."""
    return _FOLLOWED.replace("CODES", codes)


_BETWEEN = (
    "SELECT 1 FROM cases JOIN cases onward ON onward.id = cases.merged_into"
    " WHERE cases.person_id <> onward.person_id AND (cases.person_id = ANY(%s) OR onward.person_id = ANY(%s)) LIMIT 1"
)
_LOCKED = "WHERE id = %s FOR UPDATE"
_SHARE = (
    "INSERT INTO case_messages (case_id, entry_id) SELECT %s, entry_id FROM case_messages WHERE case_id = %s"
    " ON CONFLICT DO NOTHING RETURNING entry_id"
)
_UNSHARE = "DELETE FROM case_messages WHERE case_id = %s AND entry_id = ANY(%s)"
_SINCE = (  # what was said meanwhile in the talks that go back belongs to their case as well
    "INSERT INTO case_messages (case_id, entry_id) SELECT %(back)s, entry_id FROM case_messages"
    " WHERE case_id = %(into)s AND entry_id IN ("
    "SELECT id FROM messages WHERE conversation_id = ANY(%(talks)s) AND received_at >= %(since)s"
    " UNION ALL SELECT id FROM outgoing WHERE conversation_id = ANY(%(talks)s) AND created_at >= %(since)s"
    " AND kind NOT IN ('update', 'closing')) ON CONFLICT DO NOTHING"
)
_END_TIMERS = "UPDATE timers SET done_at = %s WHERE conversation_id = ANY(%s) AND done_at IS NULL RETURNING id"
_RESTART_TIMERS = "UPDATE timers SET done_at = NULL WHERE id = ANY(%s) AND done_at = %s"
_FIRED = (  # what a timer brought and no turn has read yet
    "UPDATE messages SET handled_at = %s WHERE conversation_id = ANY(%s) AND kind = 'internal' AND handled_at IS NULL"
)


class Merges:
    """Keep, find and undo merges; whoever calls holds the conversations and both cases."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def case(self, code: str) -> Case | None:
        """The very case with this code, also when another goes on for it."""
        return next(iter(await self._scope.direct.find(Case, "WHERE code = %s", code)), None)

    def keep(self, case: Case, into: Case, **values: Any) -> Merge:
        """Write down that the first goes on as part of the second."""
        case.merged_into = into.id
        return self._scope.direct.new(Merge, id=self._scope.ids(), case_id=case.id, into_id=into.id, **values)

    async def get(self, merge_id: UUID, *, lock: bool = False) -> Merge | None:
        """One merge, undone or not."""
        return next(iter(await self._scope.direct.find(Merge, _LOCKED if lock else "WHERE id = %s", merge_id)), None)

    async def standing(self, into_id: UUID) -> list[tuple[Merge, Case]]:
        """The merges into a case that were not undone, oldest first, with the cases that it goes on for."""
        query = (
            select(Merge, Case)
            .join(Case, col(Case.id) == col(Merge.case_id))
            .where(Merge.into_id == into_id, col(Merge.undone_at).is_(None))
            .order_by(col(Merge.at), col(Merge.id))
        )
        return list((await self._scope.session.exec(query)).all())

    async def last_of(self, case_id: UUID) -> Merge | None:
        """The merge by which another case goes on for this one."""
        found = await self._scope.direct.find(Merge, "WHERE case_id = %s AND undone_at IS NULL", case_id)
        return next(iter(found), None)

    async def between(self, *people: UUID) -> bool:
        """Whether a case of one of these people goes on as part of a case of somebody else."""
        [found] = await self._scope.direct.run((_BETWEEN, (list(people), list(people))))
        return bool(found)

    async def share(self, case_id: UUID, into_id: UUID) -> list[str]:
        """What was said of a case belongs to the other one as well. Returns what did not before."""
        [found] = await self._scope.direct.run((_SHARE, (into_id, case_id)))
        return [str(row[0]) for row in found]

    def unshare(self, into_id: UUID, entries: Sequence[str]) -> None:
        """Take that back."""
        self._scope.direct.later((_UNSHARE, (into_id, [UUID(one) for one in entries])))

    def give_since(self, into_id: UUID, back: UUID, talks: Sequence[UUID], since: datetime) -> None:
        """What people said in these conversations since then is of the case that they go back to, too."""
        told = {"into": into_id, "back": back, "talks": list(talks), "since": since}
        self._scope.direct.later((_SINCE, told))

    async def end_timers(self, talks: Sequence[UUID], now: datetime) -> list[str]:
        """Nothing becomes due in these conversations any more. Returns the timers that ran."""
        ended, _ = await self._scope.direct.run((_END_TIMERS, (now, list(talks))), (_FIRED, (now, list(talks))))
        return [str(row[0]) for row in ended]

    def restart_timers(self, timers: Sequence[str], ended_at: datetime) -> None:
        """They run again, unless they were moved meanwhile."""
        self._scope.direct.later((_RESTART_TIMERS, ([UUID(one) for one in timers], ended_at)))
