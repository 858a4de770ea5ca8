"""Cases and their append-only history, each event chained to the one before by its hash."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlmodel import col, select

from storage.direct import LOCKED, blank, inserting
from storage.merges import surviving
from storage.notices import Notices
from storage.scope import Scope
from storage.tables import Case, CaseEvent, Label

GENESIS = "0" * 64


_FREE = "ON CONFLICT (code) DO NOTHING RETURNING id"
_SURVIVING = f"WHERE id IN ({surviving('%s')})"
_LINK = "INSERT INTO case_messages (case_id, entry_id) SELECT %s, unnest(%s::uuid[]) ON CONFLICT DO NOTHING"


class BrokenChain(Exception):
    """The history of a case was changed behind our back."""


class Cases:
    """Open, find and change cases; nothing changes without an event."""

    def __init__(self, scope: Scope, notices: Notices | None = None) -> None:
        self._scope = scope
        self._notices = notices

    async def get(self, case_id: UUID, *, lock: bool = False) -> Case | None:
        """One case."""
        rest = LOCKED if lock else "WHERE id = %s"
        return next(iter(await self._scope.direct.find(Case, rest, case_id)), None)

    async def by_code(self, *codes: str) -> Case | None:
        """The case with one of these codes, in their canonical form (a bare code may have either prefix).

        The code of a case that was merged gives the one that goes on for it.
        """
        return next(iter(await self._scope.direct.find(Case, _SURVIVING, list(codes))), None)

    async def of_person(self, person_id: UUID, limit: int = 20) -> list[Case]:
        """A person's cases, newest first."""
        query = select(Case).where(Case.person_id == person_id).order_by(col(Case.opened_at).desc()).limit(limit)
        return list((await self._scope.session.exec(query)).all())

    async def open(self, *, actor: str, told: dict[str, Any], **values: Any) -> Case | None:
        """Open a case with its first event, which holds `told`. None: the code is taken; choose another."""
        now = self._scope.now()
        case = blank(Case, id=self._scope.ids(), opened_at=now, updated_at=now, **values)
        event = self._next_event(case, actor, "opened", told)
        [made] = await self._scope.direct.run(inserting(case, _FREE))
        if not made:
            return None
        self._scope.direct.add(event)
        return self._scope.direct.adopt(case)

    async def add_event(self, case: Case, *, actor: str, kind: str, data: dict[str, Any] | None = None) -> CaseEvent:
        """Append to the history of a (locked) case."""
        case.updated_at = self._scope.now()
        event = self._next_event(case, actor, kind, data or {})
        self._scope.direct.add(event)
        return event

    def _next_event(self, case: Case, actor: str, kind: str, data: dict[str, Any]) -> CaseEvent:
        case.last_event += 1
        event = blank(
            CaseEvent,
            id=self._scope.ids(),
            case_id=case.id,
            number=case.last_event,
            at=self._scope.now(),
            actor=actor,
            kind=kind,
            data=data,
            previous=case.last_hash,
            hash="",
        )
        case.last_hash = event.hash = digest(event)
        return event

    async def events(self, case_id: UUID) -> list[CaseEvent]:
        """The history, oldest first."""
        query = select(CaseEvent).where(CaseEvent.case_id == case_id).order_by(col(CaseEvent.number))
        return list((await self._scope.session.exec(query)).all())

    async def verify(self, case_id: UUID) -> int:
        """Check the chain and return its length. Raises BrokenChain with the first number that does not fit."""
        previous, count = GENESIS, 0
        for count, event in enumerate(await self.events(case_id), start=1):
            if event.number != count or event.previous != previous or event.hash != digest(event):
                raise BrokenChain(f"event {event.number} of the case does not fit its chain")
            previous = event.hash
        return count

    def link(self, case_id: UUID, entries: Sequence[UUID]) -> None:
        """Say that messages or outgoing rows belong to a case."""
        if entries:
            self._scope.direct.later((_LINK, (case_id, list(entries))))
            if self._notices is not None:
                self._notices.link(case_id, entries)

    def label(self, **values: Any) -> None:
        """Keep an agent's correction as an example to learn from."""
        self._scope.session.add(Label(id=self._scope.ids(), at=self._scope.now(), **values))


def digest(event: CaseEvent) -> str:
    """SHA-256 over all that an event says and over the hash before it."""
    said = [
        event.previous,
        str(event.case_id),
        event.number,
        event.at.astimezone(tz=None).timestamp(),
        event.actor,
        event.kind,
        event.data,
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
