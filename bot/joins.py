"""Whose an address is, once it is proved; two people who turn out to be one, and part again exactly (P7, P8)."""

from datetime import datetime
from uuid import UUID

from bot import phones
from bot.parts import Parts
from bot.refusals import CannotMerge, NotPossible
from bot.views import Me
from storage.tables import ContactPoint, Person
from storage.transaction import Transaction

JOINED = "people joined"


class Joins:
    """Gives addresses to people. Never by name: by proof and by nothing else."""

    def __init__(self, parts: Parts, tx: Transaction) -> None:
        self._parts = parts
        self._tx = tx

    async def prove(self, person: Person, account: str, address: str, by: str) -> None:
        """This address is proved to be this person's; whoever had it is the same person. `by`: code | link."""
        await self._claim(person, account, address, by, heard=True)
        for other in phones.beside(self._parts, account, address):
            await self._claim(person, other, address, by, heard=False)

    async def prove_phone(self, person: Person, number: str, by: str) -> None:
        """The same of a telephone number that was proved elsewhere: it is theirs on each account for numbers."""
        for account in phones.accounts(self._parts):
            await self._claim(person, account, number, by, heard=False)

    async def _claim(self, person: Person, account: str, address: str, by: str, *, heard: bool) -> None:
        """`heard`: the proof came from this very address, so it can be written to again."""
        known = await self._tx.people.contact_in(account, phones.forms(address))
        if known is None:
            await self._tx.people.add_contact(person.id, account, address, verified_by=by)
            return
        before = {
            "contact": str(known.id),
            "verified_at": known.verified_at.isoformat() if known.verified_at else None,
            "verified_by": known.verified_by,
            "preferred": str(person.preferred_contact_id) if person.preferred_contact_id else None,
        }
        known.verified_at, known.verified_by = known.verified_at or self._parts.now(), known.verified_by or by
        if heard:
            known.blocked_at = None
        if known.person_id != person.id:
            await self._join(person.id, known.person_id, by, before)

    async def _join(self, keep: UUID, other: UUID, by: str, before: dict[str, str | None]) -> None:
        """Two people turn out to be one; what moved is written down, so that it can be undone exactly."""
        await self._tx.flush()
        moved = await self._tx.people.join(keep, other)
        self._tx.agents.audit("bot", JOINED, str(keep), by=by, moved=moved, before=before)

    async def undo(self, audit_id: UUID, me: Me) -> None:
        """Part again two people who were joined wrongly (P8). For managers and administrators; raises NotPossible.

        What began since at the addresses that go back goes with them; nobody keeps the other's case open.
        """
        entry = await self._tx.agents.audited(audit_id)
        if not me.may_manage:
            raise NotPossible("only a manager or an administrator can undo this")
        if entry is None or entry.action != JOINED or entry.detail.get("undone"):
            raise NotPossible("there is nothing to undo")
        keep, before = await self._tx.people.get(UUID(entry.object)), entry.detail["before"]
        moved = dict(entry.detail["moved"])
        since = await self._numbers_since(keep.id, moved["contact_points"], entry.at)
        await self._tx.people.part(keep.id, moved | {"contact_points": [*moved["contact_points"], *since]}, entry.at)
        if await self._tx.merges.between(keep.id, UUID(moved["person"][0])):
            raise CannotMerge("joined", "a case of one was merged into a case of the other: undo that first")
        contact = await self._tx.people.contact_by_id(UUID(before["contact"]))
        verified_at = before["verified_at"]
        contact.verified_at = datetime.fromisoformat(verified_at) if verified_at else None
        contact.verified_by = before["verified_by"]
        if str(keep.preferred_contact_id) in (*moved["contact_points"], *since):
            keep.preferred_contact_id = UUID(before["preferred"]) if before["preferred"] else None
        entry.detail = entry.detail | {"undone": self._parts.now().isoformat(), "undone_by": str(me.id)}
        self._tx.agents.audit(f"agent:{me.id}", "people parted", str(keep.id), entry=str(audit_id))

    async def _numbers_since(self, keep: UUID, moved: list[str], at: datetime) -> list[str]:
        """A number that goes back does so on every account: also where it was kept with the join or later."""
        contacts = await self._tx.people.contacts(keep)
        back = [one for one in contacts if str(one.id) in moved]
        return [
            str(one.id)
            for one in contacts
            if str(one.id) not in moved and one.created_at >= at and any(self._same(one, other) for other in back)
        ]

    def _same(self, one: ContactPoint, other: ContactPoint) -> bool:
        beside = phones.beside(self._parts, other.account, other.address)
        return one.account in beside and one.address in phones.forms(other.address)


async def part(parts: Parts, me: Me, audit_id: UUID) -> None:
    """The same in a transaction of its own, for the console; open pages are told."""
    async with parts.database.transaction() as tx:
        await Joins(parts, tx).undo(audit_id, me)
        await tx.ring("desk")
