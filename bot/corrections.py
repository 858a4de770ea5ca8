"""A failed message goes to another address that an agent was told of, and nobody has proved yet.

What an address that nobody proved may learn: that we have something to say, and how to get it. No name, no code, no
word of the message, no file, no subject: one wrong letter, and a stranger reads it. The message itself waits until
somebody writes from there and names the case by its code, which only the customer (or whoever they asked) knows: then
the address is proved as by any code, and everything leaves (L-2). Docs: docs/decisions.
"""

import logging
import re
from datetime import timedelta
from uuid import UUID

from bot import phones
from bot.codes import find, twin
from bot.consent import TO_COLLEAGUES
from bot.joins import Joins
from bot.parts import Parts
from bot.refusals import CannotCorrect, NoSuchConversation
from bot.views import Me
from bot.writing import button, marked, say, write
from channels.channel import Address
from storage.tables import Case, ContactPoint, Conversation, Outgoing
from storage.transaction import Transaction

logger = logging.getLogger(__name__)
KNOCK = "knock"  # the kind of what an unproved address may read
KINDS = ("email", *phones.KINDS)  # channels whose addresses can be said over the phone, and that may write first
PATIENCE = timedelta(days=7)  # for the proof; then it is on the list of what failed
TO_ONE_ADDRESS = 3  # an hour: nobody is flooded by our mistakes
LOOKED_AT = 10  # first messages from there in which the code is looked for
_MAIL = re.compile(r"[^@\s<>(),;:\"]+@[^@\s<>(),;:\"]+\.[^@\s<>(),;:\".]+")
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")


class Corrections:
    """An agent's correction, and what follows from a proof."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def accounts(self) -> list[tuple[str, str]]:
        """Where a message can be sent anew, by name and kind."""
        return [(name, kind) for name, kind in self._parts.kinds.items() if kind in KINDS]

    async def resend_to(self, me: Me, outgoing_id: UUID, account: str, address: str) -> UUID:
        """Send a failed message to another address; returns the row that leaves now. Raises CannotCorrect."""
        to = self._read(account, address)
        async with self._parts.database.transaction() as tx:
            row, conversation = await self._failed(tx, outgoing_id)
            if (row.account, row.address) == (to.account, to.value):
                raise CannotCorrect("same")
            original = await self._original(tx, row)
            case = await tx.cases.get(original.case_id, lock=True) if original.case_id else None
            if case is None or original.kind in ("code", *TO_COLLEAGUES):
                raise CannotCorrect("no_case")
            contact = await tx.people.contact_in(to.account, phones.forms(to.value))
            proved = contact is not None and contact.person_id == case.person_id and contact.verified_at is not None
            leaves = [] if proved else await self._knock(tx, conversation, case, original, to, me)
            copies = await self._copy(tx, conversation, case, original, self._spelled(contact, to), me, proved=proved)
            original.fallback_at = row.fallback_at = self._parts.now()
            data = {"account": to.account, "proved": proved}
            await tx.cases.add_event(case, actor=f"agent:{me.id}", kind="readdressed", data=data)
            told = {"was": row.address, "now": to.value, "account": to.account}
            tx.agents.audit(f"agent:{me.id}", "correct address", str(original.id), **told)
            return (leaves or copies)[0].id

    def _read(self, account: str, address: str) -> Address:
        kind = self._parts.kinds.get(account)
        if kind not in KINDS or account not in self._parts.channels:
            raise CannotCorrect("account")
        value = address.strip().lower() if kind == "email" else re.sub(r"[\s().-]", "", address)
        if not (_MAIL if kind == "email" else _NUMBER).fullmatch(value) or len(value) > 254:
            raise CannotCorrect("email" if kind == "email" else "number")
        return Address(account, value)

    @staticmethod
    def _spelled(contact: ContactPoint | None, to: Address) -> Address:
        """As the number is known already, should it be known in another form."""
        return to if contact is None else Address(contact.account, contact.address)

    async def _failed(self, tx: Transaction, outgoing_id: UUID) -> tuple[Outgoing, Conversation]:
        found = await tx.outbox.get(outgoing_id)
        conversation = await tx.conversations.locked(found.conversation_id) if found else None
        row = await tx.outbox.get(outgoing_id, lock=True)
        if row is None or conversation is None:
            raise NoSuchConversation("there is no such message")
        if row.state not in ("failed", "uncertain") or row.fallback_at is not None:
            raise CannotCorrect("done")
        return row, conversation

    async def _original(self, tx: Transaction, row: Outgoing) -> Outgoing:
        """The message itself; what waits for a proof at an address that turned out wrong as well will not leave."""
        if row.kind != KNOCK or row.fallback_of is None:
            return row
        for one in await tx.outbox.awaiting(row.fallback_of):
            one.state, one.awaits_proof = "withdrawn", False
        original = await tx.outbox.get(row.fallback_of, lock=True)
        assert original is not None
        return original

    async def _knock(
        self, tx: Transaction, conversation: Conversation, case: Case, row: Outgoing, to: Address, me: Me
    ) -> list[Outgoing]:
        if not await tx.limits.use(f"code:{to.value}", at_most=TO_ONE_ADDRESS, within=timedelta(hours=1)):
            raise CannotCorrect("limit")
        person = await tx.people.get(case.person_id)
        language = self._parts.language(person.language)
        rows = await write(
            self._parts,
            tx,
            conversation,
            to,
            author=f"notice:{me.id}",
            kind=KNOCK,
            text=say(self._parts, KNOCK, language, treatment=person.treatment),
            lines=[KNOCK],
            language=language,
            fallback_of=row.id,
        )
        for one in rows:
            one.subject = None  # the thread's own is the customer's words
        return rows

    async def _copy(
        self, tx: Transaction, talk: Conversation, case: Case, row: Outgoing, to: Address, me: Me, *, proved: bool
    ) -> list[Outgoing]:
        buttons = [button(one["label"], one["payload"]) for one in row.buttons]
        numbered = len(row.buttons) > self._parts.features(row.account).buttons  # the choices stand in the text
        copies = await write(
            self._parts,
            tx,
            talk,
            to,
            author=f"agent:{me.id}" if row.author == "bot" else row.author,
            kind=row.kind,
            text=row.text,
            buttons=[] if numbered else marked(buttons, talk, case),
            lines=row.lines,
            case=case,
            language=row.language,
            fallback_of=row.id,
            awaits_proof=not proved,
        )
        for file in await tx.outbox.files([row.id]):
            tx.messages.attach(
                outgoing_id=copies[-1].id, name=file.name, sha256=file.sha256, type=file.type, size=file.size
            )
        return copies

    async def release(self) -> int:
        """Let go what was proved, and give up what nobody proved in time; returns how many messages leave."""
        async with self._parts.database.transaction() as tx:
            waiting = await tx.outbox.awaiting()
            old = self._parts.now() - PATIENCE
            ripe = [one.id for one in waiting if one.created_at < old or await self._proved(tx, one)]
        return sum([await self._let_go(row_id) for row_id in ripe])

    async def _proved(self, tx: Transaction, row: Outgoing) -> bool:
        """Whether somebody has named the case from there since. A sender that may be forged proves nothing."""
        case = await tx.cases.get(row.case_id) if row.case_id else None
        if case is None:
            return False
        texts = await tx.messages.said_from(row.account, phones.forms(row.address), row.created_at, LOOKED_AT)
        return any(case.code in (code, twin(code)) for text in texts for code in find(text))

    async def _let_go(self, row_id: UUID) -> bool:
        async with self._parts.database.transaction() as tx:
            found = await tx.outbox.get(row_id)
            conversation = await tx.conversations.locked(found.conversation_id) if found else None
            row = await tx.outbox.get(row_id, lock=True)
            if row is None or conversation is None or not row.awaits_proof or row.state != "queued":
                return False
            row.awaits_proof = False
            await tx.ring(f"conversation:{conversation.id}")
            await tx.ring("desk")
            if not await self._proved(tx, row):
                tx.outbox.learn(row, "failed", self._parts.now(), reason="nobody has proved the new address")
                return False
            case = await tx.cases.get(row.case_id) if row.case_id else None
            assert case is not None
            person = await tx.people.get(case.person_id)
            await Joins(self._parts, tx).prove(person, row.account, row.address, "code")
            row.not_before = self._parts.now()
            await tx.wake("send", conversation.id, lane=self._parts.lane(conversation.account))
            return True
