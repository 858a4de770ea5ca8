"""Prove who somebody is: status by code, one-time codes by mail or SMS, single-use links (R012, L-2, P7)."""

import asyncio
import hashlib
import hmac
from datetime import timedelta
from typing import Protocol, runtime_checkable
from uuid import UUID

from bot.codes import readings
from bot.dialogue import events as ev
from bot.joins import Joins
from bot.parts import Parts
from bot.writing import say, write
from channels.channel import Address, Unavailable
from storage.tables import Case, ContactPoint, Conversation, Person, Verification
from storage.transaction import Transaction

CODE_LASTS = timedelta(minutes=30)
LINK_LASTS = timedelta(hours=24)
CODES_TO_ONE_ADDRESS, CODES_OF_ONE_TALK = 3, 5  # an hour
MESSAGES_WITH_CODES = 200  # an hour, from all talks: each SMS is paid, and swindlers live on numbers that earn
LINK_LENGTH = 32  # symbols of a link's payload
LINKED = ("telegram", "whatsapp")
CARRIERS = {"email": ("email", "code_mail"), "phone": ("sms", "code_sms")}  # kind of address: channel, words
SYMBOLS = "ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz23456789"


@runtime_checkable
class Linkable(Protocol):
    """A channel that a link can lead to."""

    async def deep_link(self, payload: str) -> str:
        """The address that opens our chat there with this payload. Raises Unavailable while its name is not known."""


class Proofs:
    """What proves an address, and what may be told to whom."""

    def __init__(self, parts: Parts, tx: Transaction) -> None:
        self._parts = parts
        self._tx = tx

    async def look_up(
        self, conversation: Conversation, contact: ContactPoint, typed: str | None
    ) -> tuple[Case | None, ev.CaseFound | ev.CaseNotFound | ev.StatusLimited]:
        """The case that somebody asks after. On a foreign address the state and nothing else is told."""
        if typed is None:
            case = await self._tx.cases.get(conversation.case_id) if conversation.case_id else None
            return (case, ev.CaseFound(case.status, own=True)) if case else (None, ev.CaseNotFound())
        codes = readings(typed)
        case = await self._tx.cases.by_code(*codes) if codes else None
        own = case is not None and case.person_id == contact.person_id and contact.verified_at is not None
        if not own:
            allowed = await self._tx.limits.use(
                f"status:{contact.account}:{contact.address}",
                at_most=self._parts.policy.status_lookups_per_hour,
                within=timedelta(hours=1),
            )
            if not allowed:
                return None, ev.StatusLimited()
        return (case, ev.CaseFound(case.status, own=own)) if case else (None, ev.CaseNotFound())

    async def send_code(self, conversation: Conversation, person: Person, address: str, kind: str = "email") -> bool:
        """Send six digits to an address that somebody claims. False: none was sent, as no more may leave in this hour.

        Three for one address, so that nobody is flooded; five from one conversation, so that it floods no others.
        `kind`: email | phone.
        """
        channel, line = CARRIERS[kind]
        account = self._parts.account_of_kind(channel)
        address = address.strip().lower()
        if account is None or not await self._may_send(conversation, address, kind):
            return False
        digits = "".join(str(self._parts.choose(10)) for _ in range(6))
        proof = self._tx.verifications.start(
            lasts=CODE_LASTS,
            person_id=person.id,
            conversation_id=conversation.id,
            kind=kind,
            account=account,
            address=address,
            secret_hash="",
        )
        proof.secret_hash = self._hash(f"{proof.id}:{digits}")
        language = self._parts.language(person.language)
        await write(
            self._parts,
            self._tx,
            conversation,
            Address(account, address),
            author="bot",
            kind="code",
            text=say(self._parts, line, language, {"verification_code": digits}, person.treatment),
            lines=[line],
            language=language,
        )
        return True

    async def _may_send(self, conversation: Conversation, address: str, kind: str) -> bool:
        limits, hour = self._tx.limits, timedelta(hours=1)
        return (
            await limits.use(f"codes:{conversation.id}", at_most=CODES_OF_ONE_TALK, within=hour)
            and await limits.use(f"code:{address}", at_most=CODES_TO_ONE_ADDRESS, within=hour)
            and (kind != "phone" or await limits.use("codes by sms", at_most=MESSAGES_WITH_CODES, within=hour))
        )

    async def check_code(
        self, conversation: Conversation, person: Person, typed: str
    ) -> ev.CodeVerified | ev.CodeFailed:
        """Check a typed code; a right one proves the address and joins what belongs to the same person."""
        proof = await self._tx.verifications.pending(conversation.id, tuple(CARRIERS))
        if proof is None or proof.address is None:
            return ev.CodeFailed(0)
        proof.tries += 1
        digits = "".join(one for one in typed if one.isdecimal())
        left = max(self._parts.policy.code_tries - proof.tries, 0)
        if not hmac.compare_digest(proof.secret_hash, self._hash(f"{proof.id}:{digits}")):
            if left == 0:
                self._tx.verifications.use(proof)
            return ev.CodeFailed(left)
        await self._prove(proof, person, "code")
        return ev.CodeVerified(proof.address, proof.kind)

    async def make_link(self, conversation: Conversation, person: Person, kind: str) -> str | None:
        """A single-use link into our chat on this kind of channel; None when no link leads there."""
        account = self._parts.account_of_kind(kind)
        channel = self._parts.channels.get(account) if account else None
        if account is None or not isinstance(channel, Linkable):
            return None
        payload = "".join(SYMBOLS[self._parts.choose(len(SYMBOLS))] for _ in range(LINK_LENGTH))
        try:
            async with asyncio.timeout(5):  # the name is known after the first time: no network then
                link = await channel.deep_link(payload)
        except (Unavailable, TimeoutError):
            return None
        if link:
            self._tx.verifications.start(
                lasts=LINK_LASTS,
                person_id=person.id,
                conversation_id=conversation.id,
                kind=kind,
                account=account,
                address=None,
                secret_hash=self._hash(payload),
            )
        return link

    async def open_link(self, contact: ContactPoint, payload: str) -> Verification | None:
        """The link that was opened here, if it is ours and unused. It proves nothing yet: a link can be passed on."""
        proof = await self._tx.verifications.by_secret(self._hash(payload))
        return proof if proof is not None and self._leads_here(proof, contact) else None

    async def follow_link(self, contact: ContactPoint, proof_id: UUID) -> Verification | None:
        """Whoever opened the link says that they had asked for it: their chat belongs to the person who did."""
        proof = await self._tx.verifications.unused(proof_id)
        if proof is None or not self._leads_here(proof, contact):
            return None
        proof.address = contact.address
        person = await self._tx.people.get(proof.person_id)
        await self._prove(proof, person, "link")
        return proof

    @staticmethod
    def _leads_here(proof: Verification, contact: ContactPoint) -> bool:
        return proof.kind in LINKED and proof.account == contact.account

    async def _prove(self, proof: Verification, person: Person, by: str) -> None:
        assert proof.address is not None
        self._tx.verifications.use(proof)
        await Joins(self._parts, self._tx).prove(person, proof.account, proof.address, by)

    def _hash(self, secret: str) -> str:
        return hmac.new(self._parts.secret, secret.encode(), hashlib.sha256).hexdigest()
