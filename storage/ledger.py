"""What of a provider's list is kept: for the nightly comparison."""

from collections.abc import Sequence

from sqlmodel import col, select

from storage.tables import Message
from storage.transaction import Transaction


async def known_ids(tx: Transaction, account: str, provider_ids: Sequence[str]) -> set[str]:
    """Those of these ids by which a provider calls a message that we have."""
    if not provider_ids:
        return set()
    query = select(Message.provider_id).where(
        Message.account == account, col(Message.provider_id).in_(list(provider_ids))
    )
    return {one for one in (await tx.session.exec(query)).all() if one}
