"""Take in what arrives: in one transaction it is kept, acknowledged and handed on, and only then confirmed."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bot import phones
from bot.bursts import PHONE, VOICE
from bot.cleaning import bounded, clean
from bot.codes import readings
from bot.consent import EVERYTHING
from bot.delivery import Deliveries
from bot.desk_line import DeskLine
from bot.listening import held_until
from bot.parts import Parts
from bot.writing import say, write
from channels.channel import Arrival, Blocked, DeliveryReport, DeskAct, Edited, Ignored, Inbound, Media, Opened
from storage.files import Refused, Stored, TooLarge, safe_name
from storage.tables import Attachment, ContactPoint, Conversation, Message
from storage.transaction import Transaction

logger = logging.getLogger(__name__)
LOOKED_AT = 2_000  # characters tell the language of a message; a megabyte would hold up the others


@dataclass(frozen=True)
class Kept:
    """What became of a message: its row, or the fact that we had it already."""

    conversation_id: UUID
    message_id: UUID | None  # None: a repetition


@dataclass(frozen=True)
class _File:
    """A file of a message, before its row is written."""

    media: Media
    stored: Stored | None = None
    refused: str | None = None


def _event(inbound: Inbound) -> dict[str, Any]:
    """What a message brings besides its words that the turn must know."""
    found: dict[str, Any] = {"start": inbound.start} if inbound.start else {}
    if inbound.phone:
        found[PHONE] = inbound.phone
    return found | {"other_subject": True} if inbound.subject_changed else found


def _same(kept: Attachment, file: _File) -> bool:
    """Whether a message has this file already. A provider may give another reference to the same one."""
    if file.stored is not None:
        return kept.sha256 == file.stored.sha256
    alike = (kept.name, kept.size) == (safe_name(file.media.name or "archivo"), file.media.size)
    return (file.media.ref is not None and kept.ref == file.media.ref) or (alike and kept.size is not None)


class Intake:
    """The one way in, for every channel."""

    def __init__(self, parts: Parts, detect_language: Callable[[str, str | None], str]) -> None:
        self._parts = parts
        self._detect_language = detect_language
        self._deliveries = Deliveries(parts)
        self._desk_line = DeskLine(parts)

    async def keep(self, account: str, arrival: Arrival) -> Kept | None:
        """Keep whatever a channel brought, with the listener's cursor in the same transaction.

        When this returns, the provider may be told that we have it.
        """
        kept: Kept | None = None
        arrival = bounded(clean(arrival))
        if isinstance(arrival, DeskAct):  # in transactions of its own, as in the console; its place keeps no cursor
            await self._desk_line.act(arrival)
            return None
        raw, files = await self._store_files(arrival) if isinstance(arrival, Inbound | Edited) else (None, [])
        async with self._parts.database.transaction() as tx:
            match arrival:
                case Inbound() if arrival.aside and not await self._goes_on(tx, arrival):
                    logger.info("intake: %s: passed over: not written to us", account)
                case Inbound():
                    kept = await self._keep_message(tx, arrival, raw, files)
                case Edited():
                    await self._keep_edit(tx, account, arrival, files)
                case DeliveryReport():
                    await self._deliveries.report(tx, arrival)
                case Blocked():
                    await self._keep_block(tx, arrival)
                case Opened():
                    pass  # nothing was said
                case Ignored():
                    logger.info("intake: %s: passed over: %s", account, arrival.why)
            if arrival.cursor is not None:
                tx.cursors.save(account, dict(arrival.cursor))
        return kept

    async def _store_files(self, arrival: Inbound | Edited) -> tuple[Stored | None, list[_File]]:
        """Files are on the disk before any row speaks of them; a crash in between leaves an orphan, which is swept."""
        original = arrival.raw if isinstance(arrival, Inbound) else None
        raw = await self._parts.files.put(original, raw=True) if original is not None else None
        files = []
        for media in arrival.media or ():
            if media.content is None:
                files.append(_File(media, refused=self._too_large(arrival.sender.account, media)))
                continue
            try:
                files.append(_File(media, stored=await self._parts.files.put(media.content)))
            except (TooLarge, Refused) as fault:
                files.append(_File(media, refused=str(fault)))
        return raw, files

    def _too_large(self, account: str, media: Media) -> str | None:
        """What its sender says of it is enough to ask for a smaller one, in the very Answer."""
        limits = (self._parts.policy.attachment_limit, self._parts.features(account).file_limit)
        limit = min(one for one in limits if one is not None)
        return f"larger than {limit / 1e6:.3g} MB" if (media.size or 0) > limit else None

    async def _keep_message(
        self, tx: Transaction, inbound: Inbound, raw: Stored | None, files: list[_File]
    ) -> Kept | None:
        features = self._parts.features(inbound.sender.account)
        proved_by = "provider" if features.verified else ("dmarc" if inbound.authentic else None)
        contact = await tx.people.ensure(
            inbound.sender.account,
            inbound.sender.value,
            name=inbound.name,
            language=inbound.language if inbound.language in self._parts.company.languages else None,
            verified_by=proved_by,
            same_as=inbound.same_as,
            beside=phones.beside(self._parts, inbound.sender.account, inbound.sender.value),
        )
        if contact.verified_at is None and proved_by is not None:
            contact.verified_at, contact.verified_by = self._parts.now(), proved_by
        conversation = await self._conversation(tx, contact, inbound)
        quiet = self._quiet(conversation)
        message = await tx.messages.receive(
            conversation,
            provider_key=inbound.key,
            provider_id=inbound.provider_id or inbound.key,
            kind="machine" if inbound.machine else "person",
            text=inbound.text,
            subject=inbound.subject,
            pressed=inbound.pressed,
            event=_event(inbound),
            extra={**inbound.extra, VOICE: True} if inbound.voice else dict(inbound.extra),
            machine=inbound.machine,
            authentic=features.verified or inbound.authentic or await self._answers_us(tx, contact, inbound),
            raw_sha256=raw.sha256 if raw else None,
            sent_at=inbound.sent_at,
            handled_at=self._parts.now() if inbound.machine else None,
        )
        if message is None:
            return Kept(conversation.id, None)
        self._attach(tx, message, files)
        if conversation.case_id is not None:
            tx.cases.link(conversation.case_id, [message.id])
        conversation.subject = conversation.subject or inbound.subject
        if inbound.pressed or inbound.replies_to:
            await self._deliveries.reacted(tx, conversation, inbound)
        if contact.blocked_at is not None and not inbound.machine:
            contact.blocked_at = None  # whoever writes to us lets us in again
        if not inbound.machine:
            # a delayed message turns no clock back, and a date from the future is only its sender's claim
            said_at = min(inbound.sent_at, self._parts.now())
            conversation.last_in_at = max(conversation.last_in_at or said_at, said_at)
            if quiet and conversation.speaker == "bot":
                await self._acknowledge(tx, conversation, contact, inbound)
            await self._hand_on(tx, conversation, held_until(self._parts, message))
        await tx.ring(f"conversation:{conversation.id}")
        await tx.ring("desk")
        return Kept(conversation.id, message.id)

    def _quiet(self, conversation: Conversation) -> bool:
        """Whether the Ack is due: nothing was heard for so long, nor did an Ack leave (after an outage all is old)."""
        since = self._parts.now() - timedelta(hours=self._parts.policy.ack_after_hours)
        heard, acked = conversation.last_in_at, conversation.acked_at
        return (heard is None or heard < since) and (acked is None or acked < since)

    def _attach(self, tx: Transaction, message: Message, files: list[_File]) -> None:
        for file in files:
            state = "refused" if file.refused else ("stored" if file.stored else "waiting")
            tx.messages.attach(
                message_id=message.id,
                name=safe_name(file.media.name or "archivo"),
                sha256=file.stored.sha256 if file.stored else None,
                type=file.stored.type if file.stored else None,
                size=file.stored.size if file.stored else file.media.size,
                inline=file.media.inline,
                ref=file.media.ref,
                state=state,
                reason=file.refused,
            )

    async def _conversation(self, tx: Transaction, contact: ContactPoint, inbound: Inbound) -> Conversation:
        """The thread that this belongs to, locked. Mail: our reply address, References, then a code in the subject."""
        if not self._parts.features(contact.account).threads:
            return await tx.conversations.of(contact)
        known = await self._by_token(tx, contact, inbound.signed) or await self._by_reference(tx, contact, inbound)
        if known is None or known.person_id != contact.person_id:  # a mail of somebody else's that was forwarded
            known = await self._by_token(tx, contact, inbound.tokens)
        if known is not None and known.closed_at is None and known.contact_point_id == contact.id:
            locked = await tx.conversations.locked(known.id)
            assert locked is not None
            return locked
        conversation = await tx.conversations.of(contact, inbound.thread or inbound.key)
        if known is not None and known.person_id == contact.person_id and conversation.case_id is None:
            await tx.conversations.enter(conversation, known.case_id, beside=known)
        return conversation

    async def _goes_on(self, tx: Transaction, inbound: Inbound) -> bool:
        """Whether this person talks with us in the thread that they wrote into."""
        contact = await tx.people.contact(inbound.sender.account, inbound.sender.value)
        talk = await self._by_reference(tx, contact, inbound) if contact else None
        return talk is not None and contact is not None and talk.contact_point_id == contact.id

    async def _by_reference(self, tx: Transaction, contact: ContactPoint, inbound: Inbound) -> Conversation | None:
        ours = await tx.outbox.by_provider_ids(contact.account, inbound.replies_to)
        theirs = None if ours else await tx.messages.by_thread(contact.account, inbound.replies_to)
        found = ours or theirs
        return await tx.conversations.get(found.conversation_id) if found else None

    async def _answers_us(self, tx: Transaction, contact: ContactPoint, inbound: Inbound) -> bool:
        """Whoever knows the id of a mail that we sent to this address reads its mailbox, whatever From is worth."""
        ours = await tx.outbox.by_provider_ids(contact.account, inbound.replies_to)
        return ours is not None and ours.address == contact.address

    async def _by_token(self, tx: Transaction, contact: ContactPoint, tokens: Sequence[str]) -> Conversation | None:
        """A code opens a thread only to a person whose case it is: else anybody could write into it."""
        for token in tokens:
            codes = readings(token)
            case = await tx.cases.by_code(*codes) if codes else None
            if case is not None and case.person_id == contact.person_id:
                threads = await tx.conversations.of_case(case.id)
                here = [one for one in threads if one.contact_point_id == contact.id and one.closed_at is None]
                if here:
                    return here[-1]
                return threads[-1] if threads else None
        return None

    async def _acknowledge(
        self, tx: Transaction, conversation: Conversation, contact: ContactPoint, inbound: Inbound
    ) -> None:
        """The Ack: one fixed line for the first message after a long silence."""
        person = await tx.people.get(contact.person_id)
        known = person.language or inbound.language
        firm = person.language_votes > 0  # their own words told it, and one message changes nothing
        language = self._parts.language(known if firm else self._detect_language(inbound.text[:LOOKED_AT], known))
        late = self._parts.features(contact.account).late_ack
        await write(
            self._parts,
            tx,
            conversation,
            inbound.sender,
            author="bot",
            kind="ack",
            text=say(self._parts, "ack", language, treatment=person.treatment),
            lines=["ack"],
            language=language,
            not_before=self._parts.now() + late if late else None,
        )
        conversation.acked_at = self._parts.now()

    async def _hand_on(self, tx: Transaction, conversation: Conversation, held: datetime | None) -> None:
        """Wait for the end of the burst, or let the turn begin at once where there is no window.

        `held`: somebody listens to what was said, and wakes the turn; if not, it begins then.
        """
        if held is not None:
            conversation.answer_after = held
            return
        burst = self._parts.policy.burst(conversation.account, self._parts.features(conversation.account).burst)
        if burst > timedelta(0):
            conversation.answer_after = self._parts.now() + burst
        else:
            conversation.answer_after = None
            await tx.wake("turn", conversation.id)

    async def _keep_edit(self, tx: Transaction, account: str, edited: Edited, files: list[_File]) -> None:
        """Keep the first version and each revision; what is not answered yet is answered as it now reads.

        A file that took another's place stands beside it: the revision names those that are of an earlier version.
        """
        found = await tx.messages.by_provider_id(account, edited.original)
        conversation = await tx.conversations.locked(found.conversation_id) if found is not None else None
        # read anew: another edit of it may have held the conversation until now
        message = await tx.messages.get(found.id) if found is not None else None
        if conversation is None or message is None:
            return
        seen = {revision["key"] for revision in message.revisions}
        if edited.key in seen:
            return
        before: dict[str, Any] = {"key": edited.key, "at": edited.sent_at.isoformat(), "was": message.text}
        if edited.media is not None:
            before |= await self._changed_files(tx, message, files)
        message.revisions = [*message.revisions, before]
        tx.messages.rewrite(message, edited.text)
        await tx.ring(f"conversation:{conversation.id}")
        await tx.ring("desk")  # there may be a file to fetch

    async def _changed_files(self, tx: Transaction, message: Message, files: list[_File]) -> dict[str, Any]:
        """Keep the files that are new to a message, and name those that it no longer has."""
        gone = {one for revision in message.revisions for one in revision.get("files", ())}
        standing = [one for one in await tx.messages.attachments([message.id]) if str(one.id) not in gone]
        kept = [next((one for one in standing if _same(one, file)), None) for file in files]
        self._attach(tx, message, [file for file, known in zip(files, kept, strict=True) if known is None])
        replaced = [str(one.id) for one in standing if one not in kept]
        return {"files": replaced} if replaced else {}

    async def _keep_block(self, tx: Transaction, blocked: Blocked) -> None:
        contact = await tx.people.contact(blocked.address.account, blocked.address.value)
        if contact is None:
            return
        if blocked.opted_out:  # by a word that the provider acts on: nothing at all may go there
            how = "STOP" if blocked.blocked else "START"
            tx.people.consent(contact, (EVERYTHING,), not blocked.blocked, who="person", how=how)
            await tx.flush()
            if blocked.blocked:
                await self._deliveries.stopped(tx, contact)
        else:
            contact.blocked_at = blocked.at if blocked.blocked else None
        await tx.ring("desk")
