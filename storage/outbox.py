"""What leaves: one row for each message to a person, and everything that became known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlmodel import col, exists, func, or_, select, update

from storage.direct import LOCKED, reading
from storage.scope import Scope
from storage.tables import Attachment, Conversation, Delivery, Outgoing, Pause

RANK = {"queued": 0, "sending": 1, "uncertain": 2, "sent": 3, "delivered": 4, "read": 5}
"""A delivery never goes back (A0-4); `failed` and `withdrawn` are decided beside this order."""

_WAITING = "WHERE conversation_id = %s AND state IN ('queued', 'sending') ORDER BY number LIMIT %s"
_LINE = (  # nothing leaves on an account that rests, nor to an address that must be proved first
    "WHERE conversation_id = %s AND state IN ('queued', 'sending') AND NOT awaits_proof"
    " AND NOT EXISTS (SELECT 1 FROM pauses WHERE pauses.account = outgoing.account) ORDER BY number LIMIT %s"
)
_REFUSES = (  # anything at all: what it is, and whether it matters for the row, is for the caller to read
    "EXISTS (SELECT 1 FROM contact_points AS at WHERE at.account = outgoing.account AND at.address = outgoing.address"
    " AND (at.opted_out_at IS NOT NULL OR at.consent @? '$.* ? (@ == false)'))"
)
_MORE = (
    "SELECT EXISTS (SELECT 1 FROM outgoing WHERE state IN ('queued', 'sending') AND NOT awaits_proof AND id <> %s"
    " AND conversation_id = (SELECT conversation_id FROM outgoing WHERE id = %s)),"
    " EXISTS (SELECT 1 FROM early_reports WHERE account = %s AND provider_id = %s)"
)
_RESTS = exists().where(col(Pause.account) == col(Outgoing.account))


@dataclass(frozen=True)
class Line:
    """What waits in a conversation to be sent."""

    conversation: Conversation | None  # locked
    rows: list[Outgoing]
    unwelcome: frozenset[UUID]  # those at addresses where something is refused, be it this or something else


class Outbox:
    """Queue, take and settle outgoing rows."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def queue(self, conversation: Conversation, *, address: str, author: str, kind: str, **values: Any) -> Outgoing:
        """Write a row under the next number of its (locked) conversation."""
        now = self._scope.now()
        conversation.last_number += 1
        conversation.last_at = now
        return self._scope.direct.new(
            Outgoing,
            id=self._scope.ids(),
            conversation_id=conversation.id,
            number=conversation.last_number,
            account=values.pop("account", conversation.account),
            address=address,
            author=author,
            kind=kind,
            not_before=values.pop("not_before", now),
            created_at=now,
            **values,
        )

    async def get(self, outgoing_id: UUID, *, lock: bool = False) -> Outgoing | None:
        """One row."""
        rest = LOCKED if lock else "WHERE id = %s"
        return next(iter(await self._scope.direct.find(Outgoing, rest, outgoing_id)), None)

    async def to_settle(self, outgoing_id: UUID, account: str, provider_id: str) -> tuple[Outgoing | None, bool, bool]:
        """A row, locked, whose provider has answered; whether others of its conversation wait as well; and whether
        the provider has said more of it already (`Early`)."""
        direct = self._scope.direct
        found, [[more, early]] = await direct.run(
            reading(Outgoing, LOCKED, outgoing_id), (_MORE, (outgoing_id, outgoing_id, account, provider_id))
        )
        return next(iter(direct.load(Outgoing, found)), None), more, early

    async def held_up(self, account: str, limit: int = 200) -> list[UUID]:
        """Conversations with rows for an account, the one that waited longest first: it goes on after a rest."""
        waits = (
            "SELECT conversation_id FROM outgoing WHERE account = %s AND state IN ('queued', 'sending')"
            " AND NOT awaits_proof GROUP BY conversation_id ORDER BY min(created_at) LIMIT %s"
        )
        [found] = await self._scope.direct.run((waits, (account, limit)))
        return [one[0] for one in found]

    async def awaiting(self, instead_of: UUID | None = None, limit: int = 100) -> list[Outgoing]:
        """Rows that leave once their address is proved, oldest first; all, or those in the place of one."""
        of_one = "" if instead_of is None else " AND fallback_of = %s"
        rest = f"WHERE awaits_proof AND state = 'queued'{of_one} ORDER BY created_at LIMIT %s"
        values = [limit] if instead_of is None else [instead_of, limit]
        return await self._scope.direct.find(Outgoing, rest, *values)

    async def waiting(self, conversation_id: UUID, limit: int = 20) -> list[Outgoing]:
        """Rows of a (locked) conversation that have not left, in their order."""
        return await self._scope.direct.find(Outgoing, _WAITING, conversation_id, limit)

    async def line(self, conversation_id: UUID, limit: int) -> "Line":
        """A conversation, locked, and its `waiting` rows, but for those on accounts that rest."""
        direct = self._scope.direct
        locked, waiting = await direct.run(
            reading(Conversation, LOCKED, conversation_id),
            reading(Outgoing, _LINE, conversation_id, limit, also=_REFUSES),
        )
        rows = direct.load(Outgoing, [one[:-1] for one in waiting])
        unwelcome = frozenset(row.id for row, one in zip(rows, waiting, strict=True) if one[-1])
        return Line(next(iter(direct.load(Conversation, locked)), None), rows, unwelcome)

    async def withdraw(self, conversation_ids: Sequence[UUID]) -> int:
        """Waiting rows of the bot will not leave: a person speaks now."""
        query = (
            update(Outgoing)
            .where(
                col(Outgoing.conversation_id).in_(conversation_ids),
                col(Outgoing.state) == "queued",
                col(Outgoing.author) == "bot",
                col(Outgoing.kind) != "alarm",  # it is about an account, not about this conversation
            )
            .values(state="withdrawn")
            .execution_options(synchronize_session="fetch")
        )
        return (await self._scope.session.exec(query)).rowcount

    async def withdraw_about(self, case_id: UUID) -> int:
        """Waiting rows of the bot about this case will not leave: it goes on as part of another one."""
        query = (
            update(Outgoing)
            .where(col(Outgoing.case_id) == case_id, col(Outgoing.state) == "queued", col(Outgoing.author) == "bot")
            .values(state="withdrawn")
            .execution_options(synchronize_session="fetch")
        )
        return (await self._scope.session.exec(query)).rowcount

    async def withdraw_late_acks(self, conversation_id: UUID, now: datetime) -> None:
        """The Answer is there before a late Ack was due: the Ack need not leave."""
        query = (
            update(Outgoing)
            .where(
                col(Outgoing.conversation_id) == conversation_id,
                col(Outgoing.state) == "queued",
                col(Outgoing.kind) == "ack",
                col(Outgoing.not_before) > now,
            )
            .values(state="withdrawn")
            .execution_options(synchronize_session="fetch")
        )
        await self._scope.session.exec(query)

    def note(
        self, row: Outgoing, state: str, at: datetime, *, reason: str | None = None, provider_id: str | None = None
    ) -> None:
        """Write down what somebody said of a row, whatever it changes. `provider_id`: of an attempt before the last."""
        self._scope.direct.new(
            Delivery,
            id=self._scope.ids(),
            outgoing_id=row.id,
            state=state,
            at=at,
            learned_at=self._scope.now(),
            provider_id=provider_id or row.provider_id,
            reason=reason,
        )

    def learn(
        self, row: Outgoing, state: str, at: datetime, *, reason: str | None = None, provider_id: str | None = None
    ) -> bool:
        """Note what became known of a row. False: it changes nothing (a repetition, or older than what we know)."""
        self.note(row, state, at, reason=reason, provider_id=provider_id)
        if not may_become(row.state, state):
            return False
        row.state = state
        if reason is not None or state != "uncertain":
            row.reason = reason
        if state in ("sent", "delivered", "read"):
            row.sent_at = row.sent_at or at
        if state in ("delivered", "read"):
            row.delivered_at = row.delivered_at or at
        if state == "read":
            row.read_at = at
        return True

    async def by_provider_id(self, account: str, provider_id: str) -> Outgoing | None:
        """The row that the provider calls by this id; lock its conversation, then the row, in this order."""
        query = select(Outgoing).where(Outgoing.account == account, Outgoing.provider_id == provider_id)
        return (await self._scope.session.exec(query)).first()

    async def has_tried(self, outgoing_id: UUID, provider_id: str) -> bool:
        """Whether an attempt of this row that is over had this id."""
        told = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE outgoing_id = %s AND provider_id = %s)"
        [[[found]]] = await self._scope.direct.run((told, (outgoing_id, provider_id)))
        return bool(found)

    async def said_of_attempt(self, outgoing_id: UUID, provider_id: str) -> list[tuple[str, str | None]]:
        """State and reason of each thing that became known of the attempt that had this id."""
        told = "SELECT DISTINCT state, reason FROM deliveries WHERE outgoing_id = %s AND provider_id = %s"
        [found] = await self._scope.direct.run((told, (outgoing_id, provider_id)))
        return [(state, reason) for state, reason in found]

    async def failures(self, outgoing_id: UUID) -> int:
        """How often a row was said to have failed."""
        told = "SELECT count(*) FROM deliveries WHERE outgoing_id = %s AND state = 'failed'"
        [[[found]]] = await self._scope.direct.run((told, (outgoing_id,)))
        return int(found)

    async def deliveries(self, outgoing_id: UUID) -> list[Delivery]:
        """All that became known of a row, as we learned it."""
        rest = "WHERE outgoing_id = %s ORDER BY learned_at, id"
        return await self._scope.direct.find(Delivery, rest, outgoing_id)

    async def of_case(self, case_id: UUID) -> list[Outgoing]:
        """All that was written to the customer about a case and not withdrawn, oldest first.

        The Ack of its first message is among it, though no case was there yet when it left.
        """
        rest = (
            "WHERE state <> 'withdrawn' AND kind <> 'alert'"
            " AND (case_id = %s OR id IN (SELECT entry_id FROM case_messages WHERE case_id = %s)"
            " OR kind = 'ack' AND created_at <= (SELECT opened_at FROM cases WHERE cases.id = %s)"
            " AND EXISTS (SELECT 1 FROM case_messages JOIN messages ON messages.id = entry_id"
            " WHERE case_messages.case_id = %s AND messages.conversation_id = outgoing.conversation_id"
            " AND messages.received_at <= outgoing.created_at))"
            " ORDER BY created_at, number, id"
        )
        return await self._scope.direct.find(Outgoing, rest, case_id, case_id, case_id, case_id)

    async def all_deliveries(self, outgoing_ids: Sequence[UUID]) -> list[Delivery]:
        """The same of many rows."""
        rest = "WHERE outgoing_id = ANY(%s) ORDER BY learned_at, id"
        return await self._scope.direct.find(Delivery, rest, list(outgoing_ids))

    async def offering(self, conversation_id: UUID, payload: str) -> Outgoing | None:
        """The newest row of a conversation with this choice below it."""
        rest = "WHERE conversation_id = %s AND buttons @> %s AND provider_id IS NOT NULL ORDER BY number DESC LIMIT 1"
        found = await self._scope.direct.find(Outgoing, rest, conversation_id, Jsonb([{"payload": payload}]))
        return next(iter(found), None)

    async def last_heard(self, account: str, address: str) -> datetime | None:
        """When somebody last wrote from an address, in whichever conversation, by the provider's clock."""
        heard = (
            "SELECT max(last_in_at) FROM conversations JOIN contact_points ON contact_points.id = contact_point_id"
            " WHERE contact_points.account = %s AND address = %s"
        )
        [[[found]]] = await self._scope.direct.run((heard, (account, address)))
        return found  # type: ignore[no-any-return]  # timestamptz

    async def by_provider_ids(self, account: str, provider_ids: Sequence[str]) -> Outgoing | None:
        """The newest row among these ids: the message of ours that a mail answers."""
        if not provider_ids:
            return None
        query = (
            select(Outgoing)
            .where(Outgoing.account == account, col(Outgoing.provider_id).in_(provider_ids))
            .order_by(col(Outgoing.created_at).desc())
            .limit(1)
        )
        return (await self._scope.session.exec(query)).first()

    async def due(self, window: timedelta, limit: int = 200) -> Sequence[tuple[UUID, str]]:
        """Conversations, with their accounts, that hold rows which were held back and may leave now."""
        now = self._scope.now()
        query = (
            select(Conversation.id, Conversation.account)
            .join(Outgoing, col(Outgoing.conversation_id) == col(Conversation.id))
            .where(
                Outgoing.state == "queued",
                col(Outgoing.not_before) <= now,
                col(Outgoing.not_before) > now - window,
                col(Outgoing.not_before) > col(Outgoing.created_at),
                ~col(Outgoing.awaits_proof),
                ~_RESTS,
            )
            .distinct()
            .limit(limit)
        )
        return (await self._scope.session.exec(query)).all()

    async def forgotten(self, older_than: timedelta, limit: int = 200) -> Sequence[tuple[UUID, str]]:
        """Conversations, with their accounts, that hold rows which should have left long ago: a wake-up got lost.

        Those whose oldest row has waited longest come first.
        """
        limit_at = self._scope.now() - older_than
        query = (
            select(Conversation.id, Conversation.account)
            .join(Outgoing, col(Outgoing.conversation_id) == col(Conversation.id))
            .where(
                or_(
                    (col(Outgoing.state) == "queued") & (col(Outgoing.not_before) < limit_at),
                    (col(Outgoing.state) == "sending") & (col(Outgoing.sending_at) < limit_at),
                ),
                ~col(Outgoing.awaits_proof),
                ~_RESTS,
            )
            .group_by(col(Conversation.id), col(Conversation.account))
            .order_by(func.min(Outgoing.created_at))
            .limit(limit)
        )
        return (await self._scope.session.exec(query)).all()

    async def unread_since(self, account: str, before: datetime, after: datetime, limit: int = 50) -> list[Outgoing]:
        """Rows that left and of which nobody has said that they arrived: they need another channel."""
        query = (
            select(Outgoing)
            .where(
                Outgoing.account == account,
                Outgoing.state == "sent",
                col(Outgoing.fallback_at).is_(None),
                col(Outgoing.sent_at) < before,
                col(Outgoing.sent_at) > after,
            )
            .order_by(col(Outgoing.sent_at))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return list((await self._scope.session.exec(query)).all())

    async def unconfirmed(
        self, account: str, kinds: Sequence[str], *, usual: datetime, critical: datetime, limit: int = 50
    ) -> list[Outgoing]:
        """Rows that left before a moment (those of critical cases: before another) and that nobody has confirmed.

        A person who has written in the conversation since has confirmed it by that.
        """
        rest = (
            "JOIN cases ON cases.id = outgoing.case_id"
            " JOIN conversations ON conversations.id = outgoing.conversation_id"
            " WHERE outgoing.account = %s AND outgoing.state = 'sent' AND fallback_at IS NULL AND kind = ANY(%s)"
            " AND sent_at > %s AND sent_at < CASE WHEN severity = 'critical' THEN %s::timestamptz ELSE %s END"
            " AND coalesce(last_in_at <= sent_at, true) ORDER BY sent_at LIMIT %s"
        )
        since = min(usual, critical) - timedelta(days=3)
        return await self._scope.direct.find(Outgoing, rest, account, list(kinds), since, critical, usual, limit)

    async def thread_ids(self, conversation_id: UUID, limit: int = 21) -> list[tuple[datetime, str]]:
        """Provider ids of what we sent in a conversation (mail: References), oldest first."""
        query = (
            select(Outgoing.created_at, Outgoing.provider_id)
            .where(Outgoing.conversation_id == conversation_id, col(Outgoing.provider_id).is_not(None))
            .order_by(col(Outgoing.number).desc())
            .limit(limit)
        )
        rows = (await self._scope.session.exec(query)).all()
        return [(at, provider_id) for at, provider_id in reversed(rows) if provider_id]

    async def files(self, outgoing_ids: Sequence[UUID]) -> list[Attachment]:
        """The files that leave with these rows."""
        rest = "WHERE outgoing_id = ANY(%s) ORDER BY id"
        return await self._scope.direct.find(Attachment, rest, list(outgoing_ids))

    async def failed(self, limit: int = 100) -> list[Outgoing]:
        """What did not arrive and that nothing has replaced, newest first."""
        query = (
            select(Outgoing)
            .where(col(Outgoing.state).in_(("failed", "uncertain")), col(Outgoing.fallback_at).is_(None))
            .order_by(col(Outgoing.created_at).desc(), col(Outgoing.id).desc())
            .limit(limit)
        )
        return list((await self._scope.session.exec(query)).all())

    async def after(self, conversation_id: UUID, number: int, limit: int = 200) -> list[Outgoing]:
        """Rows behind a number: what a web chat's stream has not shown yet."""
        query = (
            select(Outgoing)
            .where(Outgoing.conversation_id == conversation_id, Outgoing.number > number)
            .order_by(col(Outgoing.number))
            .limit(limit)
        )
        return list((await self._scope.session.exec(query)).all())

    async def shown_after(
        self, conversation_id: UUID, account: str, after: datetime | None, limit: int = 200
    ) -> list[Outgoing]:
        """Rows that were handed to a web page after a moment, in the order of their sending."""
        query = (
            select(Outgoing)
            .where(
                Outgoing.conversation_id == conversation_id,
                Outgoing.account == account,
                col(Outgoing.state).in_(("sent", "delivered", "read")),
            )
            .order_by(col(Outgoing.sent_at), col(Outgoing.number))
            .limit(limit)
        )
        if after is not None:
            query = query.where(col(Outgoing.sent_at) > after)
        return list((await self._scope.session.exec(query)).all())


def may_become(now: str, then: str) -> bool:
    """Whether a delivery may move from one state to another: never back, and nothing leaves `withdrawn`."""
    if now == then or now == "withdrawn":
        return False
    if then == "failed":
        return now not in ("delivered", "read")
    if now == "failed":
        return then in ("delivered", "read")  # the provider was wrong, the person has it
    return RANK[then] > RANK[now]
