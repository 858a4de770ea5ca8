"""What a transaction changed that is told outside, gathered where it is written: whoever changes a case need not know.

Nothing is gathered where nobody is told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.orm.attributes import instance_state
from sqlmodel import SQLModel

from storage.tables import Case, CaseEvent, Conversation, Outgoing

TOLD_OF_A_CASE = ("status", "severity", "type", "merged_into", "solved_by", "solved_at")


@dataclass
class Notices:
    """One transaction's. Objects hold what they hold at its end; `before` says what stood there at its beginning."""

    opened: dict[UUID, CaseEvent] = field(default_factory=dict)  # by case
    changed: dict[UUID, Case] = field(default_factory=dict)
    before: dict[UUID, dict[str, Any]] = field(default_factory=dict)  # by case: those of TOLD_OF_A_CASE that changed
    flagged: dict[UUID, Conversation] = field(default_factory=dict)
    linked: dict[UUID, UUID] = field(default_factory=dict)  # messages, and our own rows too, to their cases
    sent: dict[UUID, Outgoing] = field(default_factory=dict)  # a provider took them just now

    def __bool__(self) -> bool:
        return any((self.opened, self.changed, self.flagged, self.linked, self.sent))

    def note(self, fresh: Iterable[SQLModel], changed: Iterable[tuple[SQLModel, Sequence[str]]]) -> None:
        """Look at what is about to be written: new objects, and changed ones with the names of what changed."""
        for one in fresh:
            if isinstance(one, CaseEvent) and one.kind == "opened":
                self.opened[one.case_id] = one
            elif isinstance(one, Conversation) and one.flagged_at is not None:
                self.flagged[one.id] = one
        for one, names in changed:
            match one:
                case Case():
                    self._note_case(one, names)
                case Conversation() if "flagged_at" in names and one.flagged_at is not None:
                    self.flagged[one.id] = one
                case Outgoing() if "sent_at" in names and _was(one, "sent_at") is None:
                    self.sent[one.id] = one

    def link(self, case_id: UUID, entries: Iterable[UUID]) -> None:
        """Note that these belong to a case."""
        self.linked.update(dict.fromkeys(entries, case_id))

    def _note_case(self, case: Case, names: Sequence[str]) -> None:
        told = [name for name in names if name in TOLD_OF_A_CASE]
        if not told:
            return
        self.changed[case.id] = case
        before = self.before.setdefault(case.id, {})
        for name in told:
            before.setdefault(name, _was(case, name))


def _was(one: SQLModel, name: str) -> Any:
    """What stood in the database before this change."""
    return instance_state(one).committed_state.get(name)
