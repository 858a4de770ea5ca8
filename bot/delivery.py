"""What became of what we sent, and another way when it did not arrive (A0-4, A0-7, R096)."""

import logging
from datetime import timedelta
from typing import Any

from bot.parts import Parts
from bot.reach import best_way
from channels.channel import DeliveryReport
from storage.tables import Conversation, Outgoing
from storage.transaction import Transaction

logger = logging.getLogger(__name__)

MATTERS = ("receipt", "update", "closing", "agent")
"""Kinds of which it must be known that they arrived; an Ack or an answer is not sent a second way."""


class Deliveries:
    """Keeps the truth about outgoing rows; never moves one back."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def report(self, tx: Transaction, report: DeliveryReport) -> None:
        """A callback, a bounce or a browser's word. In any order and any number of times."""
        found = await tx.outbox.by_provider_id(report.account, report.provider_id)
        if found is None:
            logger.info("delivery: a report speaks of a message that we do not know")
            return
        await tx.conversations.locked(found.conversation_id)
        row = await tx.outbox.get(found.id, lock=True)
        if row is None:
            return
        if report.state == "failed":
            await self.failed(tx, row, report.reason or "failed", permanent=report.permanent)
        else:
            tx.outbox.learn(row, report.state, report.at, reason=report.reason)
        await tx.ring(f"conversation:{row.conversation_id}")
        await tx.ring("desk")

    async def failed(self, tx: Transaction, row: Outgoing, reason: str, *, permanent: bool) -> None:
        """It will not arrive: the address is marked, and what matters takes another way."""
        if not tx.outbox.learn(row, "failed", self._parts.now(), reason=reason[:500]):
            return
        contact = await tx.people.contact(row.account, row.address)
        if contact is not None and permanent:
            contact.blocked_at = contact.blocked_at or self._parts.now()
            await tx.flush()
        if row.kind in MATTERS:
            await self.fall_back(tx, row, reason)
        elif row.kind == "code":
            logger.warning("delivery: a code could not be mailed")

    async def fall_back(self, tx: Transaction, row: Outgoing, reason: str) -> Outgoing | None:
        """The same words to the next proved address; without one, the agents' list."""
        conversation = await tx.conversations.locked(row.conversation_id)
        assert conversation is not None
        row.fallback_at = self._parts.now()
        case = await tx.cases.get(row.case_id, lock=True) if row.case_id else None
        contact = await tx.people.contact(row.account, row.address)
        tried = frozenset({contact.id}) if contact else frozenset()
        way = await best_way(self._parts, tx, case, conversation, without=tried) if case else None
        if case is not None:
            data = {"account": row.account, "reason": reason[:200], "next": way.contact.account if way else None}
            await tx.cases.add_event(case, actor="bot", kind="undelivered", data=data)
        if way is None:
            self._tell_agents(conversation)
            return None
        values: dict[str, Any] = {"fallback_of": row.id, "code": row.code, "case_id": row.case_id}
        copy = tx.outbox.queue(
            way.conversation,
            account=way.contact.account,
            address=way.contact.address,
            author=row.author,
            kind=row.kind,
            text=row.text,
            buttons=row.buttons,
            lines=row.lines,
            language=row.language,
            **values,
        )
        await tx.flush()
        await tx.wake("send", way.conversation.id, lane=way.conversation.account)
        await tx.ring(f"conversation:{way.conversation.id}")
        return copy

    def _tell_agents(self, conversation: Conversation) -> None:
        if conversation.flagged_at is None:
            conversation.flagged_at, conversation.flag_reason = self._parts.now(), "undelivered"

    async def unread(self, account: str, after: timedelta) -> int:
        """News that a web page was handed and that nobody has seen: they take another way. Returns how many."""
        now = self._parts.now()
        count = 0
        async with self._parts.database.transaction() as tx:
            for row in await tx.outbox.unread_since(account, now - after, now - timedelta(days=3)):
                row.fallback_at = now  # looked at once, whatever comes of it
                if row.kind in MATTERS and row.case_id is not None and await self._other_way(tx, row, account):
                    await self.fall_back(tx, row, "nobody was there to read it")
                    count += 1
        return count

    async def _other_way(self, tx: Transaction, row: Outgoing, account: str) -> bool:
        """A web page that was closed is no failure as long as there is nowhere else to write."""
        case = await tx.cases.get(row.case_id) if row.case_id else None
        if case is None:
            return False
        contacts = await tx.people.contacts(case.person_id)
        return any(one.account != account and one.verified_at and not one.blocked_at for one in contacts)
