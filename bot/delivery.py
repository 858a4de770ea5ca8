"""What became of what we sent, and another way when it did not arrive (A0-4, A0-7, R096)."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from bot.cleaning import clean
from bot.in_parts import arrived, part_mark
from bot.parts import Parts
from bot.reach import Way, best_way, usable
from bot.writing import button, marked, write
from channels.channel import Address, DeliveryReport, Inbound
from storage.ledger import is_told, was_tried
from storage.tables import Case, ContactPoint, Conversation, Outgoing
from storage.transaction import Transaction

logger = logging.getLogger(__name__)

MATTERS = ("receipt", "update", "closing", "agent")
"""Kinds of which it must be known that they arrived; an Ack or an answer is not sent a second way."""
UNASKED = ("survey", "broadcast", "marketing")
"""What a complaint about a message of ours ends."""
Means = Literal["address", "opted_out", "message", "window", "later", "account"]


class Deliveries:
    """Keeps the truth about outgoing rows; never moves one back."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def report(self, tx: Transaction, report: DeliveryReport) -> None:
        """A callback, a bounce or a browser's word. In any order and any number of times.

        One about a message that we do not know (yet: it may be faster than our own commit) is kept for a while.
        """
        found = await self._spoken_of(tx, report)
        if found is None:
            await tx.early.keep(report.account, report.provider_id, report.state, report.at, _told(report))
            return
        await tx.conversations.locked(found.conversation_id)
        row = await tx.outbox.get(found.id, lock=True)
        if row is None or (_has_consequences(report) and await _is_told(tx, row, report)):
            return
        if report.state in ("sent", "failed") and await self._over(tx, row, report):
            # of an attempt that is over, only its arrival means anything: nothing else is said of the last one
            tx.outbox.note(row, report.state, report.at, reason=report.reason, provider_id=report.provider_id)
            return
        row.provider_id = row.provider_id or report.provider_id
        if report.part is not None:
            await self._of_part(tx, row, report, report.part)
        elif report.state == "failed":
            await self._report_failed(tx, row, report, report.reason or "failed")
        else:
            learned = report.provider_id
            tx.outbox.learn(row, report.state, report.at, reason=report.reason, provider_id=learned)
            if report.means == "opted_out":
                await self._complained(tx, row, report.reason or "complaint")
        await tx.ring(f"conversation:{row.conversation_id}")
        await tx.ring("desk")

    async def _report_failed(self, tx: Transaction, row: Outgoing, report: DeliveryReport, reason: str) -> bool:
        means: Means = report.means or ("address" if report.permanent else "message")
        if report.alert:  # a sender's limit: it passes, but somebody must know of it
            await tx.faults.note(row.account, reason, row.conversation_id)
        return await self.failed(tx, row, reason, means=means, at=report.at, retries=report.retries)

    async def _of_part(self, tx: Transaction, row: Outgoing, report: DeliveryReport, part: int) -> None:
        """A message has arrived when all of its parts have, and has failed when one has, in whatever order it is told.

        Where it counts as arrived already (the person answered its words), it stays there, and the part's failure has
        the consequences that any failure has: what matters goes another way, else people are told.
        """
        if report.state == "sent":  # told of the last one only, before which all others have left
            tx.outbox.learn(row, "sent", report.at, provider_id=report.provider_id)
            return
        said = await tx.outbox.said_of_attempt(row.id, report.provider_id)
        if report.state == "failed":
            reason = f"{part_mark(part, last=report.last_part)}: {report.reason or 'failed'}"[:500]
            if ("failed", reason) in said or await self._report_failed(tx, row, report, reason):
                return
            if row.state in ("delivered", "read") and row.kind in MATTERS and row.fallback_at is None:
                await self.fall_back(tx, row, reason)
            return
        mark = part_mark(part, last=report.last_part)
        tx.outbox.note(row, report.state, report.at, reason=mark, provider_id=report.provider_id)
        if state := arrived([*said, (report.state, mark)]):
            tx.outbox.learn(row, state, report.at, provider_id=report.provider_id)

    async def knows(self, report: DeliveryReport) -> bool:
        """Whether just this was said before: what a mailbox still holds is read there again and again."""
        async with self._parts.database.transaction() as tx:
            row = await self._spoken_of(tx, report := clean(report))
            return row is not None and await _is_told(tx, row, report)

    async def _spoken_of(self, tx: Transaction, report: DeliveryReport) -> Outgoing | None:
        found = await tx.outbox.by_provider_id(report.account, report.provider_id)
        if found is not None or report.key is None:
            return found
        try:
            by_key = await tx.outbox.get(UUID(report.key))
        except ValueError:
            return None
        return by_key if by_key is not None and by_key.account == report.account else None

    async def _over(self, tx: Transaction, row: Outgoing, report: DeliveryReport) -> bool:
        """Whether it speaks of an attempt before the last: that one failed, and the row was sent anew."""
        if row.provider_id is None:
            return await tx.outbox.has_tried(row.id, report.provider_id)
        if row.provider_id != report.provider_id:
            return True
        # mail has the same id at every attempt, so only the moment tells them apart; servers give it in whole seconds
        began = row.sending_at
        if report.state != "failed" or began is None or report.at >= began.replace(microsecond=0):
            return False
        return await was_tried(tx, row.id, began)

    async def claim(self, account: str, provider_id: str) -> None:
        """What was said of a message before its id was known."""
        async with self._parts.database.transaction() as tx:
            for word in await tx.early.claim(account, provider_id):
                more = {**word.more, "retries": tuple(timedelta(seconds=s) for s in word.more.get("retries", ()))}
                report = DeliveryReport(account=account, provider_id=provider_id, state=word.state, at=word.at, **more)
                await self.report(tx, report)

    async def claim_all(self) -> None:
        """The same of all messages that are known by now: whoever wrote an id may not have seen the report."""
        async with self._parts.database.transaction() as tx:
            known = await tx.early.known()
        for account, provider_id in known:
            await self.claim(account, provider_id)

    async def _complained(self, tx: Transaction, row: Outgoing, how: str) -> None:
        """It did arrive, and the person wants no more of the kind."""
        contact = await tx.people.contact(row.account, row.address)
        if contact is not None:
            tx.people.consent(contact, UNASKED, False, who="provider", how=how[:200])

    async def stopped(self, tx: Transaction, contact: ContactPoint) -> None:
        """Nothing may go to an address any more: the open cases move to another, or people are told that there is none.

        What waits for it is refused when it is about to leave, and then goes the same way.
        """
        known = await tx.cases.of_person(contact.person_id)
        if all(case.closed_at is not None for case in known):
            return
        others = [one for one in await tx.people.contacts(contact.person_id) if usable(self._parts, one)]
        person = await tx.people.get(contact.person_id)
        if person.preferred_contact_id == contact.id:
            person.preferred_contact_id = others[0].id if others else None
        talk = await tx.conversations.latest_of_contact(contact.id)
        talk = await tx.conversations.locked(talk.id) if talk is not None else None
        if talk is not None and not others and talk.flagged_at is None:
            talk.flagged_at, talk.flag_reason = self._parts.now(), "unreachable"

    async def reacted(self, tx: Transaction, conversation: Conversation, inbound: Inbound) -> None:
        """Whoever presses a button of ours, or answers a message of ours, has read it."""
        row = None
        if inbound.replies_to:
            row = await tx.outbox.by_provider_ids(inbound.sender.account, inbound.replies_to[:1])
        if row is None and inbound.pressed:
            row = await tx.outbox.offering(conversation.id, inbound.pressed)
        if row is not None and row.conversation_id == conversation.id and row.state not in ("read", "withdrawn"):
            tx.outbox.learn(row, "read", inbound.sent_at, reason="the person answered it")

    async def failed(
        self,
        tx: Transaction,
        row: Outgoing,
        reason: str,
        *,
        means: Means,
        at: datetime | None = None,
        retries: Sequence[timedelta] = (),
    ) -> bool:
        """It did not arrive. What that means for the address is kept; then the same again, or what matters another way.

        `retries`: the pauses before each new attempt, if it means "later". False: it is known to have arrived, or to
        have failed.
        """
        if not tx.outbox.learn(row, "failed", at or self._parts.now(), reason=reason[:500]):
            return False
        if await self._again(tx, row, means, retries):
            return True
        contact = await tx.people.contact(row.account, row.address)
        if contact is not None and means == "address":
            contact.blocked_at = contact.blocked_at or self._parts.now()
        if contact is not None and means == "opted_out":
            tx.people.consent(contact, ("everything",), False, who="provider", how=reason[:200])
        if means == "account":
            logger.error("delivery: %s refuses what we send; the operator must mend it: %s", row.account, reason[:200])
            await tx.faults.note(row.account, reason, row.conversation_id)
        await tx.flush()
        if row.kind in MATTERS and row.fallback_at is None:
            await self.fall_back(tx, row, reason, listed=means != "account")
        elif row.kind == "code":
            logger.warning("delivery: a code could not be mailed")
        return True

    async def _again(self, tx: Transaction, row: Outgoing, means: Means, retries: Sequence[timedelta]) -> bool:
        """The same row once more: as a template, or after a pause. The bot's own words not once a person speaks."""
        pause = timedelta(0)
        if means == "later":
            failures = await tx.outbox.failures(row.id)
            if failures > len(retries):
                return False
            pause = retries[failures - 1]
        elif means != "window" or row.as_template:
            return False
        conversation = await tx.conversations.locked(row.conversation_id)
        if conversation is None or (row.author == "bot" and conversation.speaker != "bot"):
            return False
        case = await tx.cases.get(row.case_id) if row.author == "bot" and row.case_id else None
        if case is not None and case.merged_into is not None:
            return False  # nor once the case goes on as part of another
        row.as_template = row.as_template or means == "window"
        row.state, row.provider_id, row.slot_at, row.sending_at = "queued", None, None, None
        row.not_before = self._parts.now() + pause
        if not pause:
            await tx.wake("send", conversation.id, lane=self._parts.lane(conversation.account))
        return True

    async def fall_back(self, tx: Transaction, row: Outgoing, reason: str, *, listed: bool = True) -> Outgoing | None:
        """The same words to the next proved address; without one, the agents' list.

        Not `listed`: what concerns a whole account is told once (bot/account_alerts.py), not in each conversation.
        """
        conversation = await tx.conversations.locked(row.conversation_id)
        assert conversation is not None
        case = await tx.cases.get(row.case_id, lock=True) if row.case_id else None
        if case is not None and case.merged_into is not None:
            if row.author == "bot":
                return None  # it goes on as part of another case: the bot says nothing of it any more
            onward = await tx.cases.by_code(case.code)
            case = await tx.cases.get(onward.id, lock=True) if onward is not None else None
        tried = await self._tried(tx, row)
        way = await best_way(self._parts, tx, case, conversation, without=tried) if case else None
        if row.author == "bot" and (conversation if way is None else way.conversation).speaker != "bot":
            way = None  # a person speaks: the row stays on the list of what failed, for them
        if case is not None:
            data = {"account": row.account, "reason": reason[:200], "next": way.contact.account if way else None}
            await tx.cases.add_event(case, actor="bot", kind="undelivered", data=data)
        if way is None:
            if listed:
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
        buttons = [button(one["label"], one["payload"]) for one in row.buttons]
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

    async def unconfirmed(self, account: str) -> int:
        """What matters, where the provider confirms, and was not confirmed in time, takes another way. How many.

        Whoever has written to us since then is there and reads; they need no second message.
        """
        policy, now = self._parts.policy, self._parts.now()
        usual, critical = (
            timedelta(hours=policy.confirmed_in_hours),
            timedelta(hours=policy.critical_confirmed_in_hours),
        )
        async with self._parts.database.transaction() as tx:
            found = await tx.outbox.unconfirmed(account, MATTERS, usual=now - usual, critical=now - critical)
        return sum([await self._pass_on(row, listed=True) for row in found])

    async def _pass_on(self, seen: Outgoing, *, listed: bool = False) -> bool:
        """One of them, with the conversation locked before the row, as everywhere.

        `listed`: where there is no other way, people are told. A web page that was closed is no failure.
        """
        async with self._parts.database.transaction() as tx:
            await tx.conversations.locked(seen.conversation_id)
            row = await tx.outbox.get(seen.id, lock=True)
            if row is None or row.state != "sent" or row.fallback_at is not None:
                return False
            row.fallback_at = self._parts.now()  # looked at once, whatever comes of it
            if row.kind not in MATTERS or row.case_id is None:
                return False
            if not listed and not await self._other_way(tx, row):
                return False
            why = "nobody has confirmed that it arrived" if listed else "nobody was there to read it"
            return await self.fall_back(tx, row, why) is not None

    async def _other_way(self, tx: Transaction, row: Outgoing) -> bool:
        case = await tx.cases.get(row.case_id) if row.case_id else None
        if case is None:
            return False
        contacts = await tx.people.contacts(case.person_id)
        return any(one.account != row.account and usable(self._parts, one) for one in contacts)


def _has_consequences(report: DeliveryReport) -> bool:
    """Whether it blocks, sends again or ends a consent: what must follow once, and never from a repetition."""
    return report.state == "failed" or report.means == "opted_out"


async def _is_told(tx: Transaction, row: Outgoing, report: DeliveryReport) -> bool:
    return await is_told(tx, row.id, report.provider_id, report.state, report.at, report.reason)


def _told(report: DeliveryReport) -> dict[str, object]:
    """What else a report says, as JSON."""
    return {
        "reason": report.reason,
        "permanent": report.permanent,
        "recipient": report.recipient,
        "key": report.key,
        "means": report.means,
        "alert": report.alert,
        "part": report.part,
        "last_part": report.last_part,
        "retries": [pause.total_seconds() for pause in report.retries],
    }
