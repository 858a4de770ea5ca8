"""Decide where a message to a person goes: the preferred proved address, else the next one that they allowed."""

from dataclasses import dataclass
from uuid import UUID

from bot.parts import Parts
from storage.tables import Case, ContactPoint, Conversation
from storage.transaction import Transaction


@dataclass(frozen=True)
class Way:
    """An address and the (locked) conversation that keeps what is sent there."""

    contact: ContactPoint
    conversation: Conversation


def usable(parts: Parts, contact: ContactPoint, *, at_home: bool = False) -> bool:
    """Proved (or where the case is talked of), not blocked, not opted out, on a channel that we still have.

    A channel that cannot write first has contact points only of people who wrote."""
    return (
        (contact.verified_at is not None or at_home)
        and contact.blocked_at is None
        and contact.opted_out_at is None
        and contact.account in parts.channels
    )


async def best_way(
    parts: Parts, tx: Transaction, case: Case, home: Conversation | None, *, without: frozenset[UUID] = frozenset()
) -> Way | None:
    """The way for news of a case: preferred address first, then where it was talked of, then any other (A0-7).

    `home` is the conversation that the caller has locked; `without` are contact points that have failed.
    """
    person = await tx.people.get(case.person_id)
    contacts = {one.id: one for one in await tx.people.contacts(case.person_id) if one.id not in without}
    at_home = home.contact_point_id if home else None
    for contact_id in (person.preferred_contact_id, at_home, *contacts):
        contact = contacts.get(contact_id) if contact_id else None
        if contact is not None and usable(parts, contact, at_home=contact_id == at_home):
            return Way(contact, await conversation_for(tx, contact, case, home))
    return None


async def conversation_for(
    tx: Transaction, contact: ContactPoint, case: Case, home: Conversation | None
) -> Conversation:
    """Where the case is talked of at this address, locked; a new thread belongs to the case from its first line."""
    if home is not None and home.contact_point_id == contact.id:
        return home
    latest = await tx.conversations.latest_of_contact(contact.id)
    threaded = latest is None or latest.thread_key != ""
    here = [
        one
        for one in await tx.conversations.of_case(case.id)
        if one.contact_point_id == contact.id and one.closed_at is None
    ]
    if here and threaded:
        locked = await tx.conversations.locked(here[-1].id)
        assert locked is not None
        return locked
    conversation = await tx.conversations.of(contact, f"case:{case.code}" if threaded else "")
    if conversation.case_id is None:
        await tx.conversations.enter(conversation, case.id, beside=home)
    return conversation
