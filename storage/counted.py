"""The lists behind managers' figures: the rows that it counted, newest or longest first, keyset paging."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from storage.scope import Scope
from storage.surveys import ASKED_AGAIN

MEASURED = """
measured AS (
  SELECT 'ack' AS kind, o.account, o.conversation_id, o.id, o.sent_at AS at,
         extract(epoch FROM o.sent_at - m.received_at)::float8 AS seconds
    FROM outgoing o
    JOIN LATERAL (SELECT received_at FROM messages m WHERE m.conversation_id = o.conversation_id
                   AND m.number < o.number AND m.kind = 'person' ORDER BY m.number DESC LIMIT 1) m ON true
   WHERE o.kind = 'ack' AND o.sent_at IS NOT NULL AND o.fallback_of IS NULL
     AND o.created_at >= :start AND o.created_at < :end
  UNION ALL
  SELECT 'answer', o.account, o.conversation_id, o.id, o.sent_at,
         extract(epoch FROM o.sent_at - burst.received_at)::float8
    FROM outgoing o
    JOIN LATERAL (SELECT number, handled_at FROM messages m WHERE m.conversation_id = o.conversation_id
                   AND m.number < o.number AND m.kind = 'person' ORDER BY m.number DESC LIMIT 1) last ON true
    JOIN LATERAL (SELECT min(m.received_at) AS received_at FROM messages m
                   WHERE m.conversation_id = o.conversation_id AND m.kind = 'person'
                     AND m.number <= last.number AND m.number > last.number - 50
                     AND (m.number = last.number OR m.handled_at >= last.handled_at - interval '1 second')
                 ) burst ON true
   WHERE o.kind IN ('answer', 'receipt') AND o.author = 'bot' AND o.sent_at IS NOT NULL AND o.fallback_of IS NULL
     AND o.created_at >= :start AND o.created_at < :end
     -- nothing of ours had answered already; a scalar look-up, because an anti-join would read the whole table
     AND coalesce((SELECT p.number FROM outgoing p WHERE p.conversation_id = o.conversation_id AND p.number < o.number
                    AND p.kind NOT IN ('ack', 'code', 'alert') ORDER BY p.number DESC LIMIT 1), 0) < last.number
  UNION ALL
  SELECT 'human', account, id, id, first_human_at, extract(epoch FROM first_human_at -
         CASE WHEN human_asked_at <= first_human_at THEN human_asked_at ELSE created_at END)::float8
    FROM conversations WHERE first_human_at >= :start AND first_human_at < :end)
"""
"""What people waited for, one row each.

ack: from the message that it answers to its leaving. answer: from the first message of the burst (one turn handles
them together) to the first thing that left after it; what follows in the same turn, or was caused by a timer, is none.
human: from asking for a person, or else the first message, to an agent's first words.
"""


_SENT = "s.state IN ('asked', 'answered', 'unanswered')"
_ARRIVED = (
    "EXISTS (SELECT 1 FROM outgoing o WHERE o.case_id = s.case_id AND o.kind IN ('survey', 'reminder')"
    " AND o.state IN ('delivered', 'read'))"
)
_AGAIN = ASKED_AGAIN.replace(":start", ":survey_from").replace(":end", ":survey_to")
SURVEYS = {
    "asked": _SENT,
    "arrived": f"{_SENT} AND (s.state = 'answered' OR {_ARRIVED})",
    "answered": "s.state = 'answered'",
    "open": "s.state = 'asked'",
    "unanswered": "s.state = 'unanswered'",
    "waiting": "s.state = 'waiting'",
    "not_sent": "s.state = 'not_sent'",
    "not": "s.state = 'not_sent' AND s.reason = :survey_reason",
    **{str(score): f"s.csat = {score}" for score in range(1, 6)},
    "csat": "s.csat >= 4",
    "promoters": "s.nps >= 9",
    "passives": "s.nps BETWEEN 7 AND 8",
    "detractors": "s.nps <= 6",
    "asked_again": f"s.case_id IN (SELECT case_id FROM ({_AGAIN}) again)",  # noqa: S608  constants
    "won_back": f"s.case_id IN (SELECT case_id FROM ({_AGAIN}) again WHERE nps >= 9)",  # noqa: S608  constants
}
"""What a survey may have become, as a figure counts it."""


@dataclass(frozen=True, kw_only=True)
class CasesCounted:
    """Which cases a figure counted; empty fields do not filter."""

    account: str | None = None
    type: str | None = None
    severity: str | None = None
    status: str | None = None
    opened: tuple[datetime, datetime] | None = None  # the end is excluded
    solved: tuple[datetime, datetime] | None = None
    solved_by: str | None = None
    open: bool = False
    due_before: date | None = None
    survey: str | None = None  # a name of SURVEYS, or "not:" and a reason
    surveyed: tuple[datetime, datetime] | None = None  # called solved in these days

    def condition(self) -> tuple[str, dict[str, Any]]:
        """SQL and its values."""
        found, values = ["k.merged_into IS NULL"], dict[str, Any]()  # counted once, with the case that goes on
        for name in ("account", "type", "severity", "status", "solved_by"):
            if (value := getattr(self, name)) is not None:
                found.append(f"k.{name} = :{name}")
                values[name] = value
        for name in ("opened", "solved"):
            if (span := getattr(self, name)) is not None:
                found.append(f"k.{name}_at >= :{name}_from AND k.{name}_at < :{name}_to")
                values |= {f"{name}_from": span[0], f"{name}_to": span[1]}
        if self.open:
            found.append("k.closed_at IS NULL")
        if self.due_before is not None:
            found.append("k.due < :due_before")
            values["due_before"] = self.due_before
        if self.survey is not None and self.surveyed is not None:
            kind, _, reason = self.survey.partition(":")
            of_these = "s.case_id = k.id AND s.planned_at >= :survey_from AND s.planned_at < :survey_to"
            which = SURVEYS.get(kind, "false")
            found.append(f"EXISTS (SELECT 1 FROM surveys s WHERE {of_these} AND {which})")  # noqa: S608  constants
            values |= {"survey_from": self.surveyed[0], "survey_to": self.surveyed[1]}
            values |= {"survey_reason": reason} if kind == "not" else {}
        return " AND ".join(found), values


@dataclass(frozen=True)
class CountedCase:
    """One line of a list of cases."""

    id: UUID
    code: str
    account: str
    type: str
    severity: str
    status: str
    opened_at: datetime
    due: date | None
    closed_at: datetime | None
    solved_by: str | None
    name: str | None
    conversation_id: UUID | None


@dataclass(frozen=True)
class CountedMessage:
    """One line of a list of messages."""

    id: UUID
    conversation_id: UUID
    account: str
    received_at: datetime
    text: str
    name: str | None


@dataclass(frozen=True)
class CountedWait:
    """One measured wait. `id` is that of what ended it."""

    id: UUID
    conversation_id: UUID
    account: str
    at: datetime
    seconds: float
    name: str | None


class Counted:
    """One query for a page, one for the count."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def _all(self, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        connection = await self._scope.session.connection()
        return [dict(row._mapping) for row in await connection.execute(text(query), values)]

    async def _count(self, query: str, values: dict[str, Any]) -> int:
        return int((await self._all(query, values))[0]["n"])

    async def cases(
        self, which: CasesCounted, before: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[list[CountedCase], int]:
        """Cases, newest first, and how many there are in all. Each opens the conversation that it was told in."""
        condition, values = which.condition()
        total = await self._count(f"SELECT count(*) AS n FROM cases k WHERE {condition}", values)  # noqa: S608  constants
        if before is not None:
            condition += " AND (k.opened_at, k.id) < (:before_at, :before_id)"
            values |= {"before_at": before[0], "before_id": before[1]}
        query = f"""
        SELECT k.id, k.code, k.account, k.type, k.severity, k.status, k.opened_at, k.due, k.closed_at, k.solved_by,
               p.name, c.id AS conversation_id
          FROM cases k JOIN people p ON p.id = k.person_id
          LEFT JOIN LATERAL (SELECT id FROM conversations c WHERE c.person_id = k.person_id
               ORDER BY (c.case_id = k.id) DESC NULLS LAST, (c.account = k.account) DESC, c.last_at DESC LIMIT 1
          ) c ON true
         WHERE {condition} ORDER BY k.opened_at DESC, k.id DESC LIMIT :limit"""  # noqa: S608  constants
        return [CountedCase(**row) for row in await self._all(query, values | {"limit": limit})], total

    async def messages(
        self,
        start: datetime,
        end: datetime,
        account: str | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> tuple[list[CountedMessage], int]:
        """People's messages that arrived from `start` on and before `end`, newest first, and how many in all."""
        condition = "m.kind = 'person' AND m.received_at >= :start AND m.received_at < :end"
        values: dict[str, Any] = {"start": start, "end": end}
        if account is not None:
            condition += " AND m.account = :account"
            values["account"] = account
        total = await self._count(f"SELECT count(*) AS n FROM messages m WHERE {condition}", values)  # noqa: S608  constants
        if before is not None:
            condition += " AND (m.received_at, m.id) < (:before_at, :before_id)"
            values |= {"before_at": before[0], "before_id": before[1]}
        query = f"""
        SELECT m.id, m.conversation_id, m.account, m.received_at, left(m.text, 160) AS text, p.name
          FROM messages m JOIN conversations c ON c.id = m.conversation_id JOIN people p ON p.id = c.person_id
         WHERE {condition} ORDER BY m.received_at DESC, m.id DESC LIMIT :limit"""  # noqa: S608  constants
        return [CountedMessage(**row) for row in await self._all(query, values | {"limit": limit})], total

    async def waits(
        self,
        kind: str,
        start: datetime,
        end: datetime,
        account: str | None,
        before: tuple[float, UUID] | None,
        limit: int,
    ) -> tuple[list[CountedWait], int]:
        """Measured waits of one kind (ack | answer | human), the longest first, and how many in all."""
        condition, values = "kind = :kind", {"kind": kind, "start": start, "end": end}
        if account is not None:
            condition += " AND account = :account"
            values["account"] = account
        total = await self._count(f"WITH {MEASURED} SELECT count(*) AS n FROM measured WHERE {condition}", values)  # noqa: S608  constants
        if before is not None:
            condition += " AND (w.seconds, w.id) < (:before_seconds, :before_id)"
            values |= {"before_seconds": before[0], "before_id": before[1]}
        query = f"""
        WITH {MEASURED}
        SELECT w.id, w.conversation_id, w.account, w.at, w.seconds, p.name FROM measured w
          JOIN conversations c ON c.id = w.conversation_id JOIN people p ON p.id = c.person_id
         WHERE {condition.replace("account =", "w.account =")} ORDER BY w.seconds DESC, w.id DESC LIMIT :limit"""  # noqa: S608  constants
        return [CountedWait(**row) for row in await self._all(query, values | {"limit": limit})], total
