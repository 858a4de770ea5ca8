"""Managers' figures, straight from the tables that the bot writes (I10, I17, I25, I28)."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text

from storage.scope import Scope


@dataclass(frozen=True)
class ChannelDay:
    """How many messages of people arrived on one account on one of the company's days."""

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
class Waits:
    """Seconds from a person's first message to something; None where nothing was measured."""

    ack_p50: float | None
    ack_p95: float | None
    acks: int
    answer_p50: float | None
    answer_p95: float | None
    answers: int
    human_p50: float | None
    human_p95: float | None
    humans: int


@dataclass(frozen=True)
class Standing:
    """Where the cases stand now."""

    opened: int
    open: int
    overdue: int
    flagged: int
    solved_by_customer: int
    solved_by_agent_only: int


class Reports:
    """Each figure is one query over an indexed range of time."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def channel_mix(self, start: datetime, end: datetime, timezone: str) -> list[ChannelDay]:
        """Messages and opened cases by day and account (I28); the day is the company's."""
        query = """
        WITH said AS (
          SELECT (received_at AT TIME ZONE :tz)::date AS day, account, count(*) AS n FROM messages
           WHERE kind = 'person' AND received_at >= :start AND received_at < :end GROUP BY 1, 2),
        opened AS (
          SELECT (opened_at AT TIME ZONE :tz)::date AS day, account, count(*) AS n FROM cases
           WHERE opened_at >= :start AND opened_at < :end GROUP BY 1, 2)
        SELECT coalesce(s.day, o.day) AS day, coalesce(s.account, o.account) AS account,
               coalesce(s.n, 0) AS messages, coalesce(o.n, 0) AS cases
          FROM said s FULL JOIN opened o ON o.day = s.day AND o.account = s.account ORDER BY 1, 2"""
        connection = await self._scope.session.connection()
        rows = await connection.execute(text(query), {"tz": timezone, "start": start, "end": end})
        return [ChannelDay(**row._mapping) for row in rows]

    async def by_type(self, start: datetime, end: datetime) -> list[TypeCount]:
        """Cases opened in the period by type and severity (I10)."""
        query = """SELECT type, severity, count(*) AS cases FROM cases
                    WHERE opened_at >= :start AND opened_at < :end GROUP BY 1, 2 ORDER BY 1, 2"""
        connection = await self._scope.session.connection()
        rows = await connection.execute(text(query), {"start": start, "end": end})
        return [TypeCount(**row._mapping) for row in rows]

    async def waits(self, start: datetime, end: datetime) -> Waits:
        """How long people waited for the Ack, the Answer and the first human words (I17, I29).

        Ack: from our receiving the message that it answers to its leaving. Answer: from that message to the first
        answer or receipt that left after it. Human: from asking for a person, or else the first message, to an
        agent's first words.
        """
        query = """
        WITH ack AS (
          SELECT extract(epoch FROM o.sent_at - m.received_at) AS s FROM outgoing o
            JOIN LATERAL (SELECT received_at FROM messages m WHERE m.conversation_id = o.conversation_id
                           AND m.number < o.number AND m.kind = 'person' ORDER BY m.number DESC LIMIT 1) m ON true
           WHERE o.kind = 'ack' AND o.sent_at IS NOT NULL AND o.created_at >= :start AND o.created_at < :end),
        answer AS (
          SELECT extract(epoch FROM o.sent_at - m.received_at) AS s FROM outgoing o
            JOIN LATERAL (SELECT received_at FROM messages m WHERE m.conversation_id = o.conversation_id
                           AND m.number < o.number AND m.kind = 'person' ORDER BY m.number DESC LIMIT 1) m ON true
           WHERE o.kind IN ('answer', 'receipt') AND o.author = 'bot' AND o.sent_at IS NOT NULL
             AND o.created_at >= :start AND o.created_at < :end),
        human AS (
          SELECT extract(epoch FROM first_human_at - coalesce(human_asked_at, created_at)) AS s FROM conversations
           WHERE first_human_at >= :start AND first_human_at < :end)
        SELECT (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s) FROM ack) AS ack_p50,
               (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY s) FROM ack) AS ack_p95,
               (SELECT count(*) FROM ack) AS acks,
               (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s) FROM answer) AS answer_p50,
               (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY s) FROM answer) AS answer_p95,
               (SELECT count(*) FROM answer) AS answers,
               (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s) FROM human) AS human_p50,
               (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY s) FROM human) AS human_p95,
               (SELECT count(*) FROM human) AS humans"""
        connection = await self._scope.session.connection()
        return Waits(**(await connection.execute(text(query), {"start": start, "end": end})).one()._mapping)

    async def standing(self, start: datetime, end: datetime, today: date) -> Standing:
        """Opened in the period, and what is open, overdue (I25) and flagged now."""
        query = """
        SELECT (SELECT count(*) FROM cases WHERE opened_at >= :start AND opened_at < :end) AS opened,
               (SELECT count(*) FROM cases WHERE closed_at IS NULL) AS open,
               (SELECT count(*) FROM cases WHERE closed_at IS NULL AND due < :today) AS overdue,
               (SELECT count(*) FROM conversations WHERE flagged_at IS NOT NULL AND closed_at IS NULL
                   AND speaker = 'bot') AS flagged,
               (SELECT count(*) FROM cases WHERE solved_at >= :start AND solved_at < :end
                   AND solved_by = 'customer') AS solved_by_customer,
               (SELECT count(*) FROM cases WHERE solved_at >= :start AND solved_at < :end
                   AND solved_by = 'agent') AS solved_by_agent_only"""
        connection = await self._scope.session.connection()
        values = {"start": start, "end": end, "today": today}
        return Standing(**(await connection.execute(text(query), values)).one()._mapping)
