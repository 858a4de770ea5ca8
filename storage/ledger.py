"""What of all that a provider tells us is kept already: it may tell it many times, and long afterwards."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import col, func, select

from storage.tables import Delivery, Message
from storage.transaction import Transaction

_REASON = 500  # characters of a reason that are kept everywhere


async def known_ids(tx: Transaction, account: str, provider_ids: Sequence[str]) -> set[str]:
    """Those of these ids by which a provider calls a message that we have."""
    if not provider_ids:
        return set()
    query = select(Message.provider_id).where(
        Message.account == account, col(Message.provider_id).in_(list(provider_ids))
    )
    return {one for one in (await tx.session.exec(query)).all() if one}


async def is_kept(tx: Transaction, account: str, key: str) -> bool:
    """Whether a message lies under this key."""
    query = select(Message.id).where(Message.account == account, Message.provider_key == key)
    return (await tx.session.exec(query.limit(1))).first() is not None


async def is_told(
    tx: Transaction, outgoing_id: UUID, provider_id: str, state: str, at: datetime, reason: str | None
) -> bool:
    """Whether just this was said of a row: by the same id, of the same moment, for the same reason."""
    kept = func.left(func.coalesce(func.nullif(col(Delivery.reason), ""), col(Delivery.state)), _REASON)
    query = select(Delivery.id).where(
        Delivery.outgoing_id == outgoing_id,
        Delivery.provider_id == provider_id,
        Delivery.state == state,
        Delivery.at == at,
        kept == (reason or state)[:_REASON],
    )
    return (await tx.session.exec(query.limit(1))).first() is not None


async def was_tried(tx: Transaction, outgoing_id: UUID, before: datetime) -> bool:
    """Whether something was known of a row before a moment: then what is older speaks of an attempt that is over."""
    query = select(Delivery.id).where(Delivery.outgoing_id == outgoing_id, Delivery.learned_at < before)
    return (await tx.session.exec(query.limit(1))).first() is not None
