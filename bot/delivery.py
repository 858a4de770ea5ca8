"""What became of what we sent, and another way when it did not arrive (A0-4, A0-7, R096)."""

import logging
from datetime import timedelta
from uuid import UUID

from bot.parts import Parts
from bot.reach import Way, best_way, usable
from bot.writing import marked, write
from channels.channel import Address, Button, DeliveryReport
from storage.tables import Case, Conversation, Outgoing
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
        case = await tx.cases.get(row.case_id, lock=True) if row.case_id else None
        tried = await self._tried(tx, row)
        way = await best_way(self._parts, tx, case, conversation, without=tried) if case else None
        if row.author == "bot" and (conversation if way is None else way.conversation).speaker != "bot":
            way = None  # a person speaks: the row stays on the list of what failed, for them
        if case is not None:
            data = {"account": row.account, "reason": reason[:200], "next": way.contact.account if way else None}
            await tx.cases.add_event(case, actor="bot", kind="undelivered", data=data)
        if way is None:
            self._tell_agents(conversation)
            return None
        row.fallback_at = self._parts.now()
        return await self._copy(tx, row, way, case)

    async def _tried(self, tx: Transaction, row: Outgoing) -> frozenset[UUID]:
        """Every contact point that these words were sent to: two ways that fail must not lead to each other."""
        tried, seen, one = set[UUID](), set[UUID](), row
        while one.id not in seen:
            seen.add(one.id)
            contact = await tx.people.contact(one.account, one.address)
            tried |= {contact.id} if contact else set()
            one = (await tx.outbox.get(one.fallback_of) if one.fallback_of else None) or one
        return frozenset(tried)

    async def _copy(self, tx: Transaction, row: Outgoing, way: Way, case: Case | None) -> Outgoing:
        """The same words, fitted to what the other channel can show, with the same files."""
        buttons = [Button(one["label"], one["payload"]) for one in row.buttons]
        numbered = len(row.buttons) > self._parts.features(row.account).buttons  # the choices stand in the text
        copies = await write(
            self._parts,
            tx,
            way.conversation,
            Address(way.contact.account, way.contact.address),
            author=row.author,
            kind=row.kind,
            text=row.text,
            buttons=[] if numbered else marked(buttons, way.conversation, case),
            lines=row.lines,
            case=case,
            language=row.language,
            fallback_of=row.id,
        )
        for file in await tx.outbox.files([row.id]):
            tx.messages.attach(
                outgoing_id=copies[-1].id, name=file.name, sha256=file.sha256, type=file.type, size=file.size
            )
        return copies[0]

    def _tell_agents(self, conversation: Conversation) -> None:
        if conversation.flagged_at is None:
            conversation.flagged_at, conversation.flag_reason = self._parts.now(), "undelivered"

    async def unread(self, account: str, after: timedelta) -> int:
        """News that a web page was handed and that nobody has seen: they take another way. Returns how many."""
        now = self._parts.now()
        async with self._parts.database.transaction() as tx:
            found = await tx.outbox.unread_since(account, now - after, now - timedelta(days=3))
        return sum([await self._pass_on(row) for row in found])

    async def _pass_on(self, seen: Outgoing) -> bool:
        """One of them, with the conversation locked before the row, as everywhere."""
        async with self._parts.database.transaction() as tx:
            await tx.conversations.locked(seen.conversation_id)
            row = await tx.outbox.get(seen.id, lock=True)
            if row is None or row.state != "sent" or row.fallback_at is not None:
                return False
            row.fallback_at = self._parts.now()  # looked at once, whatever comes of it
            if row.kind not in MATTERS or row.case_id is None or not await self._other_way(tx, row):
                return False
            return await self.fall_back(tx, row, "nobody was there to read it") is not None

    async def _other_way(self, tx: Transaction, row: Outgoing) -> bool:
        """A web page that was closed is no failure as long as there is nowhere else to write."""
        case = await tx.cases.get(row.case_id) if row.case_id else None
        if case is None:
            return False
        contacts = await tx.people.contacts(case.person_id)
        return any(one.account != row.account and usable(self._parts, one) for one in contacts)
