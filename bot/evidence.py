"""The proof of a notification: what was sent to whom, and each thing that became known of it, with its time."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bot.parts import Parts
from storage.tables import Delivery, Outgoing

HIDDEN = "••••••"  # a code proves a mailbox: nobody else may read it


@dataclass(frozen=True)
class Step:
    """What became known, when it was so and when we learned it."""

    state: str
    at: datetime
    learned_at: datetime
    provider_id: str | None
    reason: str | None


@dataclass(frozen=True)
class Proof:
    """One message of ours."""

    id: UUID
    conversation_id: UUID
    code: str | None
    kind: str
    author: str
    channel: str
    account: str
    address: str
    subject: str | None
    text: str
    state: str
    written_at: datetime
    provider_id: str | None
    confirms: bool  # False: this channel tells nothing after `sent`, which counts unless it comes back
    instead_of: UUID | None  # the message that did not arrive and whose words these are
    steps: Sequence[Step]

    def as_json(self) -> dict[str, Any]:
        """Plain values: moments in ISO 8601, ids as text."""
        return {name: _plain(value) for name, value in asdict(self).items()}


class Evidence:
    """Reads what is kept of a message; `deliveries` is append-only."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def of(self, outgoing_id: UUID) -> Proof | None:
        """The proof of one message; None if there is none of this id."""
        async with self._parts.database.transaction() as tx:
            row = await tx.outbox.get(outgoing_id)
            if row is None:
                return None
            return self.proof(row, await tx.outbox.deliveries(row.id))

    def proof(self, row: Outgoing, steps: Sequence[Delivery]) -> Proof:
        """The proof of a row, of all that became known of it."""
        return Proof(
            id=row.id,
            conversation_id=row.conversation_id,
            code=row.code,
            kind=row.kind,
            author=row.author.partition(":")[0],
            channel=self._parts.kinds.get(row.account, row.account),
            account=row.account,
            address=shown(self._parts.kinds.get(row.account), row.address),
            subject=row.subject,
            text=HIDDEN if row.kind == "code" else row.text,
            state=row.state,
            written_at=row.created_at,
            provider_id=row.provider_id,
            confirms=self._parts.features(row.account).receipts,
            instead_of=row.fallback_of,
            steps=[Step(one.state, one.at, one.learned_at, one.provider_id, one.reason) for one in steps],
        )


def shown(kind: str | None, address: str) -> str:
    """An address as others may read it: that of a web chat is the key to it, and only a mark of it leaves the house."""
    return f"webchat-{hashlib.sha256(address.encode()).hexdigest()[:16]}" if kind == "webchat" else address


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
    return value
