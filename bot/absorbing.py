"""What a case takes over from one that is merged into it, and what it gives back when that is undone. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from bot.deadlines import Deadline, first_to_end
from bot.dialogue.answers import merged
from storage.tables import Case

FROM = "from_case"  # in `due_reason`: the code of the case whose date it is
_SEVERITIES = ("low", "medium", "high", "critical")
_COUNTED = "evidence"  # a number of files, not words


def absorb(into: Case, case: Case) -> dict[str, Any]:
    """Change `into` so that it stands for both. Returns what `release` needs: its fields before and after."""
    before = _fields(into)
    facts = merged(_facts(into), _facts(case))
    into.facts = {slot: list(said) for slot, said in facts.items()}
    into.severity = max(into.severity, case.severity, key=_SEVERITIES.index)
    into.assigned_to = into.assigned_to or case.assigned_to
    alarms = {*into.understanding.get("alarms", []), *case.understanding.get("alarms", [])}
    if alarms:
        into.understanding = into.understanding | {"alarms": sorted(alarms)}
    own = {"due": into.due, "due_kind": into.due_kind, "due_reason": into.due_reason}
    _set_term(into, earliest(own, [case]))
    return {"before": before, "after": _fields(into)}


def earliest(own: Mapping[str, Any], others: Sequence[Case]) -> dict[str, Any]:
    """The term that ends first, of a case's own and of those that were merged into it: no promise becomes a later one.

    When the report came stays the case's own: its term can be counted again from there.
    """
    by_code: dict[str | None, Deadline] = {None: Deadline.stored(own["due_kind"], own["due"], own["due_reason"])}
    for other in others:
        told = other.due_reason
        by_code[told.get(FROM, other.code)] = Deadline.stored(other.due_kind, other.due, told)
    first = first_to_end(by_code.values())
    code = next(code for code, term in by_code.items() if term is first)
    if code is None:
        return dict(own)
    received = {name: own["due_reason"][name] for name in ("received_at",) if name in own["due_reason"]}
    reason = {name: value for name, value in first.as_json().items() if name != "received_at"}
    return {"due": first.due, "due_kind": first.kind, "due_reason": reason | received | {FROM: code}}


def release(into: Case, case: Case, kept: Mapping[str, Any], own: Mapping[str, Any], others: Sequence[Case]) -> None:
    """Take from `into` what came from `case`, the last that was merged into it. What was learned since stays.

    own: the term of `into` counted anew, in case it was changed since; others: what was merged into it before.
    """
    before, after, now = kept["before"], kept["after"], _fields(into)
    theirs = {
        slot: [one for one in said if one not in before["facts"].get(slot, ())] for slot, said in _facts(case).items()
    }
    into.facts = {slot: left for slot, said in into.facts.items() if (left := _left(slot, said, theirs, _facts(case)))}
    if now["severity"] == after["severity"]:
        into.severity = before["severity"]
    if now["assigned_to"] == after["assigned_to"]:
        into.assigned_to = UUID(before["assigned_to"]) if before["assigned_to"] else None
    if now["alarms"] == after["alarms"] != before["alarms"]:
        rest = {name: said for name, said in into.understanding.items() if name != "alarms"}
        into.understanding = rest | ({} if before["alarms"] is None else {"alarms": before["alarms"]})
    if all(now[name] == after[name] for name in ("due", "due_kind", "due_reason")):
        due = date.fromisoformat(before["due"]) if before["due"] else None
        into.due, into.due_kind, into.due_reason = due, before["due_kind"], before["due_reason"]
    else:
        _set_term(into, earliest(own, others))


def _left(
    slot: str, said: Sequence[str], came: Mapping[str, Sequence[str]], theirs: Mapping[str, Sequence[str]]
) -> list[str]:
    if slot == _COUNTED and slot in theirs:
        count = int(said[0]) - int(theirs[slot][0])
        return [str(count)] if count > 0 else []
    return [one for one in said if one not in came.get(slot, ())]


def _facts(case: Case) -> dict[str, tuple[str, ...]]:
    return {slot: tuple(said) for slot, said in case.facts.items() if said}


def _fields(case: Case) -> dict[str, Any]:
    return {
        "facts": case.facts,
        "severity": case.severity,
        "assigned_to": str(case.assigned_to) if case.assigned_to else None,
        "alarms": case.understanding.get("alarms"),
        "due": case.due.isoformat() if case.due else None,
        "due_kind": case.due_kind,
        "due_reason": case.due_reason,
    }


def _set_term(case: Case, term: Mapping[str, Any]) -> None:
    case.due, case.due_kind, case.due_reason = term["due"], term["due_kind"], term["due_reason"]
