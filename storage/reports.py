"""Managers' figures, straight from the tables that the bot writes (I10, I17, I25, I28, I29).

A case that was merged into another is counted with that one: once.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from storage.counted import MEASURED, Counted
from storage.examples import Examples
from storage.scope import Scope
from storage.surveys import ASKED_AGAIN, COUNTED, SurveyCount


@dataclass(frozen=True)
class ChannelDay:
    """How many messages of people arrived, and how many cases were opened, on one account on a company's day."""

    day: date
    account: str
    messages: int
    cases: int


@dataclass(frozen=True)
class TypeCount:
    """Cases of one type and severity that were opened in the period."""

    type: str
    severity: str
    cases: int


@dataclass(frozen=True)
class Wait:
    """How long people waited for something, in seconds; what was never measured has no row."""

    kind: str  # ack | answer | human
    account: str | None  # None: all accounts together
    count: int
    p50: float
    p95: float


@dataclass(frozen=True)
class Standing:
    """Where the cases stand now, and what was opened and solved in the period."""

    opened: int
    open: int
    overdue: int
    flagged: int
    solved_by_customer: int
    solved_by_agent_only: int
    surveys: tuple[SurveyCount, ...] = ()  # of the cases that were called solved in the period
    asked_again: int = 0  # customers who had been detractors and answered again
    won_back: int = 0  # of them: promoters now (I16)


@dataclass(frozen=True)
class UnderstoodWeek:
    """How well the cases that were opened in a week were understood; `week` is its Monday."""

    week: date
    cases: int
    doubtful: int  # the customer had to say what it was
    corrected: int  # an agent changed the type or the severity
    by_rules: int  # the model did not answer


class Reports:
    """Each figure is one query over an indexed range of time; `counted` lists what it counted."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.counted = Counted(scope)
        self.examples = Examples(scope)

    async def _rows(self, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        connection = await self._scope.session.connection()
        return [dict(row._mapping) for row in await connection.execute(text(query), values)]

    async def channel_mix(self, start: datetime, end: datetime, timezone: str) -> list[ChannelDay]:
        """Messages and opened cases by day and account (I28); the day is the company's."""
        query = """
        WITH said AS (
          SELECT (received_at AT TIME ZONE :tz)::date AS day, account, count(*) AS n FROM messages
           WHERE kind = 'person' AND received_at >= :start AND received_at < :end GROUP BY 1, 2),
        opened AS (
          SELECT (opened_at AT TIME ZONE :tz)::date AS day, account, count(*) AS n FROM cases
           WHERE opened_at >= :start AND opened_at < :end AND merged_into IS NULL GROUP BY 1, 2)
        SELECT coalesce(s.day, o.day) AS day, coalesce(s.account, o.account) AS account,
               coalesce(s.n, 0) AS messages, coalesce(o.n, 0) AS cases
          FROM said s FULL JOIN opened o ON o.day = s.day AND o.account = s.account ORDER BY 1, 2"""
        return [ChannelDay(**row) for row in await self._rows(query, {"tz": timezone, "start": start, "end": end})]

    async def by_type(self, start: datetime, end: datetime) -> list[TypeCount]:
        """Cases opened in the period by type and severity (I10)."""
        query = """SELECT type, severity, count(*) AS cases FROM cases
                    WHERE opened_at >= :start AND opened_at < :end AND merged_into IS NULL
                    GROUP BY 1, 2 ORDER BY 1, 2"""
        return [TypeCount(**row) for row in await self._rows(query, {"start": start, "end": end})]

    async def waits(self, start: datetime, end: datetime) -> list[Wait]:
        """Ack, Answer and first human words (I17, I29): by account, and all together (`account` None)."""
        query = f"""
        WITH {MEASURED}
        SELECT kind, account, count(*) AS count, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
          FROM measured GROUP BY GROUPING SETS ((kind, account), (kind)) ORDER BY kind, account NULLS FIRST"""  # noqa: S608  constants
        return [Wait(**row) for row in await self._rows(query, {"start": start, "end": end})]

    async def understood(self, start: datetime, end: datetime, timezone: str) -> list[UnderstoodWeek]:
        """Doubts and corrections by week: a model that no longer fits what people write shows it here first."""
        query = """
        SELECT date_trunc('week', k.opened_at AT TIME ZONE :tz)::date AS week, count(*) AS cases,
               count(*) FILTER (WHERE e.data->>'doubt' = 'true') AS doubtful,
               count(*) FILTER (WHERE EXISTS (SELECT 1 FROM labels l WHERE l.case_id = k.id)) AS corrected,
               count(*) FILTER (WHERE e.data->>'source' = 'rules') AS by_rules
          FROM cases k LEFT JOIN case_events e ON e.case_id = k.id AND e.number = 1
         WHERE k.opened_at >= :start AND k.opened_at < :end AND k.merged_into IS NULL GROUP BY 1 ORDER BY 1"""
        return [UnderstoodWeek(**row) for row in await self._rows(query, {"tz": timezone, "start": start, "end": end})]

    async def standing(self, start: datetime, end: datetime, today: date) -> Standing:
        """Opened and solved in the period; what is open, overdue (I25) and flagged now."""
        query = f"""
        SELECT (SELECT coalesce(json_agg(s), '[]') FROM ({COUNTED}) s) AS surveys,
               (SELECT count(*) FROM cases WHERE opened_at >= :start AND opened_at < :end
                   AND merged_into IS NULL) AS opened,
               (SELECT count(*) FROM cases WHERE closed_at IS NULL) AS open,
               (SELECT count(*) FROM cases WHERE closed_at IS NULL AND due < :today) AS overdue,
               (SELECT count(*) FROM conversations WHERE flagged_at IS NOT NULL AND closed_at IS NULL
                   AND (speaker = 'bot' OR flag_reason = 'unanswered')) AS flagged,
               (SELECT count(*) FROM cases WHERE solved_at >= :start AND solved_at < :end
                   AND solved_by = 'customer') AS solved_by_customer,
               (SELECT count(*) FROM cases WHERE solved_at >= :start AND solved_at < :end
                   AND solved_by = 'agent') AS solved_by_agent_only,
               again.asked_again, again.won_back
          FROM (SELECT count(*) AS asked_again, count(*) FILTER (WHERE nps >= 9) AS won_back
                  FROM ({ASKED_AGAIN}) one) again"""  # noqa: S608  constants
        [row] = await self._rows(query, {"start": start, "end": end, "today": today})
        return Standing(**row | {"surveys": tuple(SurveyCount(**one) for one in row["surveys"])})
