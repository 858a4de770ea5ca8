"""What stands behind a case and its person: what was merged into the one, and who turned out to be the other."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bot import states
from bot.views import ContactView, JoinView, MergedView
from storage.tables import Audit, Case, Merge
from storage.transaction import Transaction


async def merged_into(tx: Transaction, case: Case, names: Mapping[UUID, str]) -> Sequence[MergedView]:
    """The cases that this one goes on for; the last of them can be parted again."""
    found = await tx.merges.standing(case.id)
    return [_merged(merge, one, names, last=merge is found[-1][0]) for merge, one in found]


def may_take(case: Case, others: Sequence[Case]) -> Sequence[Case]:
    """The person's other cases that this one can go on as part of."""
    return [other for other in others if other.id != case.id and other.merged_into is None and _fits(case, other)]


async def joins_of(
    tx: Transaction,
    person_id: UUID,
    contacts: Mapping[UUID, ContactView],
    cases: Sequence[Case],
    names: Mapping[UUID, str],
) -> Sequence[JoinView]:
    """Who turned out to be this person, newest first."""
    codes = {str(case.id): case.code for case in cases}
    return [_join(entry, contacts, codes, names) for entry in await tx.agents.joins(person_id)]


def _merged(merge: Merge, case: Case, names: Mapping[UUID, str], *, last: bool) -> MergedView:
    return MergedView(
        id=merge.id,
        code=case.code,
        type=case.type,
        status=case.status,
        opened_at=case.opened_at,
        at=merge.at,
        by=names.get(merge.agent_id),
        reason=merge.reason,
        may_undo=last,
    )


def _fits(case: Case, into: Case) -> bool:
    try:
        states.check_merge(case.status, into.status)
    except states.ForbiddenMove:
        return False
    return True


def _join(
    entry: Audit, contacts: Mapping[UUID, ContactView], codes: Mapping[str, str], names: Mapping[UUID, str]
) -> JoinView:
    told, undone = entry.detail, entry.detail.get("undone")
    moved = told.get("moved", {})
    by = told.get("undone_by")
    return JoinView(
        id=entry.id,
        at=entry.at,
        proof=str(told.get("by", "")),
        contacts=[contacts[UUID(one)] for one in moved.get("contact_points", ()) if UUID(one) in contacts],
        cases=[codes[one] for one in moved.get("cases", ()) if one in codes],
        undone_at=datetime.fromisoformat(undone) if undone else None,
        undone_by=names.get(UUID(by)) if by else None,
    )
