"""What stands behind a case and its person: what was merged into the one, and who turned out to be the other."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bot import states
from bot.views import ContactView, JoinView, MergedView
from storage.inbox import QueueRow
from storage.tables import Case


def merged_into(row: QueueRow, names: Mapping[UUID, str]) -> Sequence[MergedView]:
    """The cases that the one of this conversation goes on for; the last of them can be parted again."""
    return [
        MergedView(
            id=UUID(told["id"]),
            code=told["code"],
            type=told["type"],
            status=told["status"],
            opened_at=datetime.fromisoformat(told["opened_at"]),
            at=datetime.fromisoformat(told["at"]),
            by=names.get(UUID(told["agent"])),
            reason=told["reason"],
            may_undo=number == len(row.merges),
        )
        for number, told in enumerate(row.merges, start=1)
    ]


def may_take(case: Case, others: Sequence[Case]) -> Sequence[Case]:
    """The person's other cases that this one can go on as part of."""
    return [other for other in others if other.id != case.id and other.merged_into is None and _fits(case, other)]


def joins_of(
    row: QueueRow, contacts: Mapping[UUID, ContactView], cases: Sequence[Case], names: Mapping[UUID, str]
) -> Sequence[JoinView]:
    """Who turned out to be this person, newest first."""
    codes = {str(case.id): case.code for case in cases}
    found = []
    for told in row.joins:
        detail, moved = told["detail"], told["detail"].get("moved", {})
        undone, by = detail.get("undone"), detail.get("undone_by")
        here = [contacts.get(UUID(one)) for one in moved.get("contact_points", ())]
        view = JoinView(
            id=UUID(told["id"]),
            at=datetime.fromisoformat(told["at"]),
            proof=str(detail.get("by", "")),
            contacts=[one for one in here if one is not None],
            cases=[codes[one] for one in moved.get("cases", ()) if one in codes],
            undone_at=datetime.fromisoformat(undone) if undone else None,
            undone_by=names.get(UUID(by)) if by else None,
        )
        found.append(view)
    return found


def _fits(case: Case, into: Case) -> bool:
    try:
        states.check_merge(case.status, into.status)
    except states.ForbiddenMove:
        return False
    return True
