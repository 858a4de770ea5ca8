"""What the console lists and shows: one query for a page of the queue, keyset paging, never an offset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text, union
from sqlmodel import col, select

from storage.folding import fold
from storage.merges import surviving
from storage.scope import Scope
from storage.tables import Attachment, CaseEvent, CaseMessage, Conversation, Message, Note, Outgoing

_ROW = """
SELECT c.id, c.account, c.speaker, c.taken_at, c.flagged_at, c.flag_reason, c.urgent, c.last_at, c.created_at,
       c.case_id,
       c.thread_key, c.person_id, c.human_asked_at, c.subject, p.name, p.language, p.preferred_contact_id, cp.address,
       k.code, k.type, k.second_type, k.doubt, k.severity,
       k.status, k.due, k.due_kind, k.opened_at, k.closed_at AS case_closed_at, k.assigned_to, k.solved_by,
       last.text AS last_text, last.author AS last_author, last.number AS last_number,
       EXISTS (SELECT 1 FROM pauses rest WHERE rest.account = c.account) AS resting
  FROM conversations c
  JOIN people p ON p.id = c.person_id
  JOIN contact_points cp ON cp.id = c.contact_point_id
  LEFT JOIN cases k ON k.id = c.case_id
  LEFT JOIN LATERAL (
       SELECT * FROM (
         (SELECT left(m.text, 200) AS text, 'person' AS author, m.number FROM messages m
           WHERE m.conversation_id = c.id AND m.kind <> 'internal' ORDER BY m.number DESC LIMIT 1)
         UNION ALL
         (SELECT left(o.text, 200), o.author, o.number FROM outgoing o
           WHERE o.conversation_id = c.id AND o.state <> 'withdrawn' AND o.kind NOT IN ('code', 'alert', 'alarm')
           ORDER BY o.number DESC LIMIT 1)
       ) both_sides ORDER BY number DESC LIMIT 1
  ) last ON true
"""

_MERGES = """
(SELECT coalesce(jsonb_agg(jsonb_build_object(
        'id', m.id, 'at', m.at, 'agent', m.agent_id, 'reason', m.reason,
        'code', k.code, 'type', k.type, 'status', k.status, 'opened_at', k.opened_at) ORDER BY m.at, m.id), '[]')
   FROM merges m JOIN cases k ON k.id = m.case_id WHERE m.into_id = one.case_id AND m.undone_at IS NULL) AS merges"""
_JOINS = """
(SELECT coalesce(jsonb_agg(jsonb_build_object(
        'id', a.id, 'at', a.at, 'detail', a.detail) ORDER BY a.at DESC, a.id DESC), '[]')
   FROM audit a WHERE a.action = 'people joined' AND a.object = one.person_id::text) AS joins"""
_DRAFTS = """
(SELECT coalesce(jsonb_object_agg(d.mode, d.text), '{}')
   FROM drafts d WHERE d.agent_id = :agent AND d.conversation_id = one.id) AS drafts"""

_VIEWS = {
    # what waits for a person: the most urgent first, then who has waited longest
    "flagged": """c.flagged_at IS NOT NULL AND c.closed_at IS NULL
       AND (c.speaker = 'bot' OR c.flag_reason = 'unanswered')""",
    # two short lists by their indexes: with OR the whole table would be read
    "mine": """c.closed_at IS NULL AND k.closed_at IS NULL AND c.id IN (
       SELECT id FROM conversations WHERE speaker <> 'bot' AND speaker = :me
       UNION ALL
       SELECT t.id FROM cases a JOIN conversations t ON t.case_id = a.id
        WHERE a.assigned_to = :agent AND a.closed_at IS NULL)""",
    "open": "c.closed_at IS NULL AND k.id IS NOT NULL AND k.closed_at IS NULL",
    "all": "true",
    "overdue": "c.closed_at IS NULL AND k.id IS NOT NULL AND k.closed_at IS NULL AND k.due < :today",
}

_FAILED = "(SELECT count(*) FROM outgoing WHERE state IN ('failed', 'uncertain') AND fallback_at IS NULL)"


# how a view is sorted, and what comes after a row of it
_NEWEST_FIRST = ("c.last_at DESC, c.id DESC", "(c.last_at, c.id) < (:after_at, :after_id)")
_ORDER = {
    "flagged": (
        "c.urgent DESC, c.flagged_at, c.id",
        "(NOT c.urgent, c.flagged_at, c.id) > (NOT :after_urgent, :after_at, :after_id)",
    )
}


@dataclass(frozen=True)
class Place:
    """Where a page ended: by `last_at`, in the flagged view by `urgent` and `flagged_at`."""

    at: datetime
    id: UUID
    urgent: bool = False


@dataclass(frozen=True)
class QueueRow:
    """One line of the queue."""

    id: UUID
    account: str
    speaker: str
    taken_at: datetime | None
    flagged_at: datetime | None
    flag_reason: str | None
    urgent: bool
    last_at: datetime
    created_at: datetime
    case_id: UUID | None
    thread_key: str
    person_id: UUID
    human_asked_at: datetime | None
    subject: str | None
    name: str | None
    language: str | None
    preferred_contact_id: UUID | None
    address: str
    code: str | None
    type: str | None
    second_type: str | None
    doubt: bool | None
    severity: str | None
    status: str | None
    due: date | None
    due_kind: str | None
    opened_at: datetime | None
    case_closed_at: datetime | None
    assigned_to: UUID | None
    solved_by: str | None
    last_text: str | None
    last_author: str | None
    last_number: int | None
    resting: bool
    merges: Sequence[dict[str, Any]] = ()  # of one row only: what its case goes on for, oldest first
    joins: Sequence[dict[str, Any]] = ()  # of one row only: who turned out to be its person, newest first
    drafts: Mapping[str, str] = field(default_factory=dict)  # of one row only: by mode

    def place(self, view: str) -> Place:
        """Where the page goes on that ends with this row."""
        if view == "flagged" and self.flagged_at is not None:
            return Place(self.flagged_at, self.id, self.urgent)
        return Place(self.last_at, self.id)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which cases a list shows; empty fields do not filter."""

    account: str | None = None
    type: str | None = None
    severity: str | None = None
    status: str | None = None
    opened_from: datetime | None = None
    opened_to: datetime | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None

    def conditions(self) -> tuple[list[str], dict[str, Any]]:
        """SQL conditions and their values."""
        found: list[str] = []
        values: dict[str, Any] = {}
        for name, column in (("type", "k.type"), ("severity", "k.severity"), ("status", "k.status")):
            if (value := getattr(self, name)) is not None:
                found.append(f"{column} = :{name}")
                values[name] = value
        if self.account is not None:
            found.append("c.account = :account")
            values["account"] = self.account
        if self.opened_from is not None:
            found.append("k.opened_at >= :opened_from")
            values["opened_from"] = self.opened_from
        if self.opened_to is not None:
            found.append("k.opened_at < :opened_to")
            values["opened_to"] = self.opened_to
        if self.received_from is not None and self.received_to is not None:
            found.append(
                "EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id AND m.kind = 'person'"
                " AND m.received_at >= :received_from AND m.received_at < :received_to)"
            )
            values |= {"received_from": self.received_from, "received_to": self.received_to}
        return found, values


class Inbox:
    """The lists of the console."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def _rows(self, query: str, values: dict[str, Any]) -> list[QueueRow]:
        connection = await self._scope.session.connection()
        found = await connection.execute(text(query), values)
        return [QueueRow(**row._mapping) for row in found]

    async def queue(
        self,
        view: str,
        agent_id: UUID,
        *,
        today: date,
        after: Place | None = None,
        only: Filter | None = None,
        limit: int = 50,
    ) -> list[QueueRow]:
        """One page of a view, from `after`, the place of the last row of the page above."""
        conditions, values = (only or Filter()).conditions()
        conditions.append(f"({_VIEWS[view]})")
        values |= {"me": f"agent:{agent_id}", "agent": agent_id, "today": today, "limit": limit}
        order, further = _ORDER.get(view, _NEWEST_FIRST)
        if after is not None:
            conditions.append(further)
            values |= {"after_urgent": after.urgent, "after_at": after.at, "after_id": after.id}
        return await self._rows(f"{_ROW} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT :limit", values)

    async def row(self, conversation_id: UUID, agent_id: UUID) -> QueueRow | None:
        """One conversation, as the queue shows it, what stands behind it, and what the agent has begun."""
        query = f"SELECT one.*, {_MERGES}, {_JOINS}, {_DRAFTS} FROM ({_ROW} WHERE c.id = :id) one"  # noqa: S608  constants
        rows = await self._rows(query, {"id": conversation_id, "agent": agent_id})
        return rows[0] if rows else None

    async def counts(self, agent_id: UUID, today: date) -> dict[str, int]:
        """How many each view holds, and how many messages did not arrive (`failed`)."""
        # one short look for each: a single pass would read every conversation that there ever was
        one_each = ", ".join(
            f"(SELECT count(*) FROM conversations c LEFT JOIN cases k ON k.id = c.case_id WHERE {condition}) AS {view}"  # noqa: S608  constants only
            for view, condition in _VIEWS.items()
            if view != "all"
        )
        query = f"SELECT {one_each}, {_FAILED} AS failed"
        connection = await self._scope.session.connection()
        values = {"me": f"agent:{agent_id}", "agent": agent_id, "today": today}
        return dict((await connection.execute(text(query), values)).one()._mapping)

    async def search(self, words: str, codes: Sequence[str], limit: int = 30) -> list[QueueRow]:
        """Conversations by the code of their case, else by the person's name, address or any word that was written."""
        if codes:
            query = f"{_ROW} WHERE k.id IN ({surviving(':codes')}) ORDER BY c.last_at DESC"
            if found := await self._rows(query, {"codes": list(codes)}):
                return found  # else it is a word: one name in thirty has the right check symbol
        terms = [term for term in fold(words).replace(":", " ").replace("'", " ").split() if term]
        if not terms:
            return []
        query = " & ".join("'" + term.replace("\\", "") + "':*" for term in terms)
        hits = f"""
        WITH query AS (SELECT to_tsquery('simple', :query) AS q),
        hits AS (
          (SELECT c.id FROM people p JOIN conversations c ON c.person_id = p.id, query
            WHERE p.search @@ q LIMIT 200)
          UNION
          (SELECT m.conversation_id FROM messages m, query WHERE m.search @@ q LIMIT 500)
          UNION
          (SELECT c.id FROM contact_points cp
             JOIN conversations c ON c.person_id = cp.person_id AND c.contact_point_id = cp.id  -- its index
            WHERE cp.address = :address LIMIT 50)
        )
        {_ROW} JOIN hits ON hits.id = c.id ORDER BY c.last_at DESC, c.id DESC LIMIT :limit
        """  # noqa: S608  only constants of this file are put together
        return await self._rows(hits, {"query": query, "address": words.strip().lower(), "limit": limit})

    async def said(
        self, conversation_id: UUID, limit: int = 300, *, case_id: UUID | None = None
    ) -> tuple[Sequence[Message], Sequence[Outgoing], Sequence[Note]]:
        """Everything that was said in a conversation: the newest `limit` of each voice, in order.

        With `case_id`, instead what was said of that case at the same address, in whichever conversation.
        """
        session = self._scope.session
        of_messages = col(Message.conversation_id) == conversation_id
        of_outgoing = (col(Outgoing.conversation_id) == conversation_id) & (col(Outgoing.kind) != "alarm")
        if case_id is not None:
            here = select(Conversation.contact_point_id).where(Conversation.id == conversation_id).scalar_subquery()
            near = select(Conversation.id).where(Conversation.contact_point_id == here)
            linked = select(CaseMessage.entry_id).where(CaseMessage.case_id == case_id)
            own_in = select(Message.id).where(of_messages)
            own_out = select(Outgoing.id).where(of_outgoing)
            of_messages = col(Message.conversation_id).in_(near) & col(Message.id).in_(union(linked, own_in))
            of_outgoing = col(Outgoing.conversation_id).in_(near) & col(Outgoing.id).in_(union(linked, own_out))
        messages = (
            select(Message)
            .where(of_messages, Message.kind != "internal")
            .order_by(col(Message.number).desc())
            .limit(limit)
        )
        outgoing = select(Outgoing).where(of_outgoing).order_by(col(Outgoing.number).desc()).limit(limit)
        notes = (
            select(Note).where(Note.conversation_id == conversation_id).order_by(col(Note.number).desc()).limit(limit)
        )
        return (
            (await session.exec(messages)).all()[::-1],
            (await session.exec(outgoing)).all()[::-1],
            (await session.exec(notes)).all()[::-1],
        )

    async def files(self, entry_ids: Sequence[UUID], *, of_case: UUID | None = None) -> Sequence[Attachment]:
        """The files of messages and of outgoing rows; with `of_case` also of all that was said of that case."""
        owned = col(Attachment.message_id).in_(entry_ids) | col(Attachment.outgoing_id).in_(entry_ids)
        if of_case is not None:
            linked = select(CaseMessage.entry_id).where(CaseMessage.case_id == of_case)
            owned |= col(Attachment.message_id).in_(linked) | col(Attachment.outgoing_id).in_(linked)
        return (await self._scope.session.exec(select(Attachment).where(owned).order_by(col(Attachment.id)))).all()

    async def case_events(self, case_id: UUID, limit: int = 200) -> Sequence[CaseEvent]:
        """The newest events of a case, oldest first."""
        query = (
            select(CaseEvent).where(CaseEvent.case_id == case_id).order_by(col(CaseEvent.number).desc()).limit(limit)
        )
        return (await self._scope.session.exec(query)).all()[::-1]
