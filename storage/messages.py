"""What arrived, each thing once, in the order of its conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlmodel import col, func, or_, select

from storage.direct import blank, inserting
from storage.folding import fold
from storage.scope import Scope
from storage.tables import Attachment, Conversation, Message

_ONCE = "ON CONFLICT ON CONSTRAINT messages_once DO NOTHING RETURNING id"
_HANDLED = (
    "UPDATE messages SET handled_at = %s, understanding = theirs.understanding"
    " FROM unnest(%s::uuid[], %s::jsonb[], %s::int[]) AS theirs (id, understanding, revisions)"
    " WHERE messages.id = theirs.id AND handled_at IS NULL"
    " AND coalesce(jsonb_array_length(messages.revisions) = theirs.revisions, true) RETURNING 1"
)
WAITING = "WHERE conversation_id = %s AND handled_at IS NULL ORDER BY number LIMIT %s"
_MORE = "SELECT EXISTS (SELECT 1 FROM messages WHERE conversation_id = %s AND handled_at IS NULL)"


_SPOKEN = """
WHERE handled_at IS NULL AND kind = 'person' AND text = '' AND extra ? 'voice' AND NOT extra ?| '{transcript,unheard}'
  AND coalesce((extra->>'listening')::timestamptz, '-infinity') <= %s
  AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.message_id = messages.id AND a.state = 'waiting')
ORDER BY received_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_HEARD = """
SELECT m.id, m.text, m.received_at, (SELECT max(o.sent_at) FROM outgoing o
        WHERE o.conversation_id = m.conversation_id AND o.address = p.address AND o.number < m.number)
  FROM contact_points p
  JOIN conversations c ON c.contact_point_id = p.id AND c.closed_at IS NULL AND c.last_at > %(since)s
  CROSS JOIN LATERAL (SELECT id, number, text, received_at, conversation_id FROM messages
        WHERE conversation_id = c.id AND kind = 'person' ORDER BY number DESC LIMIT %(limit)s) m
 WHERE p.id = %(contact)s AND m.received_at > %(since)s ORDER BY m.received_at DESC, m.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Heard:
    """A message of a person, and when the last of ours that stands before it had left."""

    id: UUID
    text: str
    at: datetime
    ours_at: datetime | None


class Messages:
    """Keep messages and hand out those that wait for an answer."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def receive(self, conversation: Conversation, *, provider_key: str, **values: Any) -> Message | None:
        """Keep a message under the next number of its (locked) conversation.

        None: the unique key says that we have it already; nothing was changed.
        """
        now = self._scope.now()
        row: dict[str, Any] = {
            "id": self._scope.ids(),
            "conversation_id": conversation.id,
            "number": conversation.last_number + 1,
            "account": conversation.account,
            "provider_key": provider_key,
            "text": "",
            "received_at": now,
            "sent_at": now,
        } | values
        row["text"] = row["text"].replace("\x00", "")  # PostgreSQL's text cannot hold it
        row["folded"] = fold(row["text"])[:50_000]  # a tsvector is limited; the text itself is kept whole
        message = blank(Message, **row)
        [made] = await self._scope.direct.run(inserting(message, _ONCE))
        if not made:
            return None
        conversation.last_number += 1
        conversation.last_at = now
        return message

    async def heard_from(self, contact_id: UUID, since: datetime, limit: int = 12) -> list[Heard]:
        """What came from an address since then, in whatever thread, the newest first."""
        values = {"contact": contact_id, "since": since, "limit": limit}
        [found] = await self._scope.direct.run((_HEARD, values))
        return [Heard(*one) for one in found]

    async def get(self, message_id: UUID) -> Message | None:
        """One message, as it stands now."""
        return next(iter(await self._scope.direct.find(Message, "WHERE id = %s", message_id)), None)

    def rewrite(self, message: Message, text: str) -> None:
        """The person changed what they wrote; the caller keeps the revision."""
        message.text = text.replace("\x00", "")
        message.folded = fold(message.text)[:50_000]

    async def take_spoken(self, again: timedelta) -> Message | None:
        """The oldest voice note that waits, whose file is settled and that nobody listens to; it is ours from now on.

        Whoever took it and came to an end meanwhile has it no longer after `again`.
        """
        now = self._scope.now()
        found = next(iter(await self._scope.direct.find(Message, _SPOKEN, now - again)), None)
        if found is not None:
            found.extra = {**found.extra, "listening": now.isoformat()}
        return found

    def heard(self, message: Message, transcript: str | None) -> None:
        """What a voice note says, or that nobody can tell; it is found by these words, and never taken for typed."""
        extra = {name: value for name, value in message.extra.items() if name != "listening"}
        told = {"unheard": True} if transcript is None else {"transcript": transcript.replace("\x00", "")}
        message.extra = {**extra, **told}
        if transcript is not None:
            message.folded = fold(transcript)[:50_000]

    async def waiting(self, conversation_id: UUID, limit: int = 50) -> list[Message]:
        """What has no Answer yet, in order."""
        return await self._scope.direct.find(Message, WAITING, conversation_id, limit)

    async def handled(
        self, conversation_id: UUID, understood: dict[UUID, dict[str, Any]], *, as_read: Sequence[Message] = ()
    ) -> tuple[int, bool]:
        """Tick off messages of a (locked) conversation with what was understood of them.

        `as_read` are those that must not have been edited since they were read.
        Returns how many of them still waited, so unchanged, and whether others wait.
        """
        edits = {message.id: len(message.revisions) for message in as_read}
        read = [edits.get(one) for one in understood]
        values = self._scope.now(), list(understood), [Jsonb(one) for one in understood.values()], read
        ticked, [[more]] = await self._scope.direct.run((_HANDLED, values), (_MORE, (conversation_id,)))
        return len(ticked), more

    async def forgotten(self, older_than: timedelta, limit: int = 200) -> Sequence[UUID]:
        """Conversations with messages that have waited too long: their wake-up may have been lost."""
        query = (
            select(Message.conversation_id)
            .join(Conversation, col(Conversation.id) == col(Message.conversation_id))
            .where(
                col(Message.handled_at).is_(None),
                col(Message.received_at) < self._scope.now() - older_than,
                col(Conversation.answer_after).is_(None),
            )
            .distinct()
            .limit(limit)
        )
        return (await self._scope.session.exec(query)).all()

    async def by_provider_id(self, account: str, provider_id: str) -> Message | None:
        """The message that the provider calls by this id."""
        query = select(Message).where(Message.account == account, Message.provider_id == provider_id)
        return (await self._scope.session.exec(query)).first()

    async def said_from(self, account: str, addresses: Sequence[str], since: datetime, limit: int) -> list[str]:
        """What somebody wrote from an address since then, oldest first; nothing whose sender may be forged."""
        said = (
            "SELECT m.text FROM contact_points cp"
            " JOIN conversations c ON c.person_id = cp.person_id AND c.contact_point_id = cp.id"  # its index
            " JOIN messages m ON m.conversation_id = c.id"
            " WHERE cp.account = %s AND cp.address = ANY(%s) AND m.authentic AND m.kind = 'person'"
            " AND m.received_at >= %s ORDER BY m.received_at LIMIT %s"
        )
        [found] = await self._scope.direct.run((said, (account, list(addresses), since, limit)))
        return [text for (text,) in found]

    async def by_thread(self, account: str, provider_ids: Sequence[str]) -> Message | None:
        """The newest message among these ids: the thread that a mail belongs to."""
        if not provider_ids:
            return None
        query = (
            select(Message)
            .where(Message.account == account, col(Message.provider_id).in_(provider_ids))
            .order_by(col(Message.received_at).desc())
            .limit(1)
        )
        return (await self._scope.session.exec(query)).first()

    async def recent_ids(self, conversation_id: UUID, limit: int = 21) -> list[str]:
        """Provider ids of the conversation's messages, oldest first (mail: References)."""
        query = (
            select(Message.provider_id)
            .where(Message.conversation_id == conversation_id, col(Message.provider_id).is_not(None))
            .order_by(col(Message.number).desc())
            .limit(limit)
        )
        return [one for one in reversed((await self._scope.session.exec(query)).all()) if one]

    async def count_since(self, account: str, since: datetime) -> int:
        """How many messages of people arrived on an account."""
        query = select(func.count()).where(Message.account == account, col(Message.received_at) >= since)
        return (await self._scope.session.exec(query)).one()

    def attach(self, **values: Any) -> Attachment:
        """Keep the row of a file."""
        return self._scope.direct.new(Attachment, id=self._scope.ids(), created_at=self._scope.now(), **values)

    async def attachments(self, message_ids: Sequence[UUID]) -> list[Attachment]:
        """The files that came with these messages."""
        query = select(Attachment).where(col(Attachment.message_id).in_(message_ids)).order_by(col(Attachment.id))
        return list((await self._scope.session.exec(query)).all())

    async def attachment(self, attachment_id: UUID) -> Attachment | None:
        """One file's row."""
        return await self._scope.session.get(Attachment, attachment_id)

    async def files_to_fetch(self, pause: timedelta, limit: int = 20) -> list[tuple[Attachment, str]]:
        """Files that are still at the provider, with their account; locked, so that one worker fetches each.

        After each attempt the pause is four times as long: `pause`, 4, 16 … since the message came.
        """
        tried_at = func.power(4, Attachment.attempts - 1) * pause
        query = (
            select(Attachment, Message.account)
            .join(Message, col(Message.id) == col(Attachment.message_id))
            .where(
                Attachment.state == "waiting",
                or_(Attachment.attempts == 0, col(Attachment.created_at) + tried_at <= self._scope.now()),
            )
            .order_by(col(Attachment.created_at))
            .limit(limit)
            .with_for_update(skip_locked=True, of=Attachment)
        )
        return [(row[0], row[1]) for row in (await self._scope.session.exec(query)).all()]

    async def known_files(self, among: Sequence[str]) -> set[str]:
        """Those of these hashes that some row speaks of: of a file, or of a mail as it came."""
        files = select(Attachment.sha256).where(col(Attachment.sha256).in_(among))
        raws = select(Message.raw_sha256).where(col(Message.raw_sha256).in_(among))
        found = [*(await self._scope.session.exec(files)).all(), *(await self._scope.session.exec(raws)).all()]
        return {one for one in found if one}
