"""People and the addresses at which they can be reached."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col, select, update

from storage.direct import LOCKED, reading
from storage.folding import fold
from storage.scope import Scope
from storage.tables import Case, Consent, ContactPoint, Conversation, Person, Verification

_AT = "WHERE account = %s AND address = %s"
_ANY_AT = "WHERE account = %s AND address = ANY(%s) ORDER BY created_at"
_NEWS = ("everything", "case")  # who refuses these gets no news
# added to what stands there when it is written: whoever read it before knows nothing of what was said meanwhile
_WANTED = (
    "UPDATE contact_points SET consent = consent || %(said)s, opted_out_at = CASE"
    " WHEN NOT %(said)s ?| %(news)s THEN opted_out_at"
    " WHEN (consent || %(said)s) @@ '$.everything == false || $.case == false'"
    " THEN coalesce(opted_out_at, %(now)s) END WHERE id = %(id)s"
)
_ANYWHERE = (
    "WHERE account = ANY(%s) AND address = ANY(%s) AND (account = %s OR verified_at IS NOT NULL) ORDER BY created_at"
)
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))"


class People:
    """Find, make and join people."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self, person_id: UUID) -> Person:
        """The person; it must exist."""
        direct = self._scope.direct
        return direct.held(Person, person_id) or (await direct.find(Person, "WHERE id = %s", person_id))[0]

    async def contacts(self, person_id: UUID) -> list[ContactPoint]:
        """All addresses of a person, oldest first."""
        return await self._scope.direct.find(ContactPoint, "WHERE person_id = %s ORDER BY created_at", person_id)

    async def contact(self, account: str, address: str) -> ContactPoint | None:
        """The contact point with this address on this account."""
        return next(iter(await self._scope.direct.find(ContactPoint, _AT, account, address)), None)

    async def contact_in(self, account: str, addresses: Sequence[str]) -> ContactPoint | None:
        """The contact point with one of these addresses on this account: the first of them, else the oldest."""
        found = await self._scope.direct.find(ContactPoint, _ANY_AT, account, list(addresses))
        return min(found, key=lambda one: one.address != addresses[0], default=None)

    async def contact_by_id(self, contact_id: UUID) -> ContactPoint:
        """The contact point; it must exist."""
        direct = self._scope.direct
        return (
            direct.held(ContactPoint, contact_id) or (await direct.find(ContactPoint, "WHERE id = %s", contact_id))[0]
        )

    async def contact_alone(self, contact_id: UUID) -> ContactPoint | None:
        """The contact point, which nobody else may write until this transaction ends."""
        return next(iter(await self._scope.direct.find(ContactPoint, LOCKED, contact_id)), None)

    async def ensure(
        self,
        account: str,
        address: str,
        *,
        name: str | None,
        language: str | None,
        verified_by: str | None,
        same_as: Sequence[str] = (),
        beside: Sequence[str] = (),
    ) -> ContactPoint:
        """The contact point, made together with its person if nobody wrote from there before.

        Ten first messages in parallel make one person (P4): the address itself is locked while it is made. `same_as`
        are other ways to write it: whoever has one of them is the same person (P6), and each keeps its own address.
        `beside` are accounts on which it is the same person as well (a telephone, by SMS and on WhatsApp: P7): whoever
        proved it there is that person, and it is kept for all of them.
        """
        direct = self._scope.direct
        if found := await self.contact(account, address):
            return found
        name_of_lock = f"{min([account, *beside])}\n{min([address, *same_as])}"
        _, made_meanwhile = await direct.run((_LOCK, (name_of_lock,)), reading(ContactPoint, _AT, account, address))
        if made_meanwhile:
            return direct.load(ContactPoint, made_meanwhile)[0]
        now = self._scope.now()
        others: list[ContactPoint] = []
        if same_as or beside:
            where = [account, *beside], [address, *same_as], account
            others = await direct.find(ContactPoint, _ANYWHERE, *where)
        if others:
            person_id = others[0].person_id
        else:
            person_id = self._scope.ids()
            folded = fold(name or "")
            direct.new(Person, id=person_id, name=name, folded=folded, language=language, created_at=now)
        for other in beside if verified_by else ():
            if all(one.account != other for one in others):
                self._new_contact(person_id, other, address, verified_by, now)
        return self._new_contact(person_id, account, address, verified_by, now)

    async def add_contact(
        self, person_id: UUID, account: str, address: str, *, verified_by: str | None
    ) -> ContactPoint:
        """Give a known person another address; the one who has it already keeps it (see `join`)."""
        found = await self.contact(account, address)
        if found is None:
            found = self._new_contact(person_id, account, address, verified_by, self._scope.now())
        elif verified_by and found.person_id == person_id and found.verified_at is None:
            found.verified_at, found.verified_by = self._scope.now(), verified_by
        return found

    def consent(self, contact: ContactPoint, purposes: Sequence[str], given: bool, *, who: str, how: str) -> None:
        """Keep what a person wants at an address: case, survey, broadcast, marketing, or everything; with its history.

        `who`: person | provider | agent:<id>. `how`: the word, the code, the link.
        """
        now, said = self._scope.now(), dict.fromkeys(purposes, given)
        wanted = {**contact.consent, **said}
        set_committed_value(contact, "consent", wanted)  # the row itself learns only what is said now
        if any(one in _NEWS for one in purposes):
            refused = any(wanted.get(one) is False for one in _NEWS)
            set_committed_value(contact, "opted_out_at", (contact.opted_out_at or now) if refused else None)
        self._scope.direct.later((_WANTED, {"said": Jsonb(said), "news": list(_NEWS), "now": now, "id": contact.id}))
        for purpose in purposes:
            self._scope.direct.new(
                Consent,
                id=self._scope.ids(),
                contact_point_id=contact.id,
                purpose=purpose,
                given=given,
                at=now,
                who=who,
                how=how,
            )

    async def consents(self, contact_id: UUID) -> list[Consent]:
        """All that was said about an address, oldest first."""
        return await self._scope.direct.find(Consent, "WHERE contact_point_id = %s ORDER BY at, id", contact_id)

    def _new_contact(
        self, person_id: UUID, account: str, address: str, verified_by: str | None, now: datetime
    ) -> ContactPoint:
        return self._scope.direct.new(
            ContactPoint,
            id=self._scope.ids(),
            person_id=person_id,
            account=account,
            address=address,
            verified_at=now if verified_by else None,
            verified_by=verified_by,
            created_at=now,
        )

    async def join(self, keep: UUID, other: UUID) -> dict[str, list[str]]:
        """Make two people one, after proof. Returns what was moved, so that it can be undone exactly (P8)."""
        moved: dict[str, list[str]] = {"person": [str(other)]}
        for name, table in (
            ("contact_points", ContactPoint),
            ("conversations", Conversation),
            ("cases", Case),
            ("verifications", Verification),
        ):
            query = (
                update(table)
                .where(col(table.person_id) == other)
                .values(person_id=keep)
                .returning(col(table.id))
                .execution_options(synchronize_session="fetch")
            )
            moved[name] = [str(row[0]) for row in (await self._scope.session.exec(query)).all()]
        return moved

    async def part(self, keep: UUID, moved: Mapping[str, Sequence[str]], since: datetime) -> None:
        """Undo `join`: what was moved goes back, with what began since then at the addresses that go back."""
        other = UUID(moved["person"][0])
        theirs = [UUID(one) for one in moved["contact_points"]]
        at_theirs = col(Conversation.contact_point_id).in_(theirs)
        here = select(Conversation.case_id).where(at_theirs, col(Conversation.case_id).is_not(None))
        elsewhere = select(Conversation.case_id).where(~at_theirs, col(Conversation.case_id).is_not(None))
        new = (col(Case.opened_at) >= since) & col(Case.id).in_(here) & col(Case.id).not_in(elsewhere)
        old = col(Case.id).in_([UUID(one) for one in moved["cases"]])
        await self._give(Case, (col(Case.person_id) == keep) & (old | new), other)
        await self._give(ContactPoint, (col(ContactPoint.person_id) == keep) & col(ContactPoint.id).in_(theirs), other)
        await self._give(Conversation, (col(Conversation.person_id) == keep) & at_theirs, other)
        proofs = col(Verification.conversation_id).in_(select(Conversation.id).where(at_theirs))
        await self._give(Verification, (col(Verification.person_id) == keep) & proofs, other)
        # nobody goes on in a case that is the other's
        foreign = select(Case.id).where(Case.id == Conversation.case_id, Case.person_id != Conversation.person_id)
        strangers = update(Conversation).where(
            col(Conversation.person_id).in_((keep, other)), foreign.correlate(Conversation).exists()
        )
        strangers = strangers.values(case_id=None, state={}, speaker="bot")
        await self._scope.session.exec(strangers.execution_options(synchronize_session="fetch"))

    async def _give(self, table: type[Case | ContactPoint | Conversation | Verification], which: Any, to: UUID) -> None:
        query = update(table).where(which).values(person_id=to).execution_options(synchronize_session="fetch")
        await self._scope.session.exec(query)

    async def rename(self, person: Person, name: str) -> None:
        """Keep a person's name, and its folded form for the search."""
        person.name, person.folded = name, fold(name)
