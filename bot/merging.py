"""Two cases of one person become one, by an agent's hand, and apart again as long as nothing was decided (P9)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bot import states
from bot.absorbing import absorb, release
from bot.casework import Casework
from bot.codes import readings
from bot.dialogue import events as ev
from bot.news import tell
from bot.parts import Parts
from bot.refusals import AlreadyTaken, CannotMerge, Empty, NoSuchConversation, NotPossible
from bot.views import Me
from storage.tables import Case, Conversation, Merge
from storage.transaction import Transaction

KEPT = "case:"  # how the thread begins that keeps a case which is talked of nowhere else


@dataclass(frozen=True)
class _Both:
    """Two cases and all their conversations, everything locked."""

    tx: Transaction
    case: Case  # that goes on as part of the other
    into: Case
    talks: Sequence[Conversation]

    def of(self, case: Case) -> list[Conversation]:
        """Where one of them is talked of."""
        return [talk for talk in self.talks if talk.case_id == case.id]

    def line(self, case: Case) -> Conversation:
        """Where what is told of a case stands; an address without threads has one line for all its cases."""
        talk = max(self.of(case) or self.talks, key=lambda one: (one.closed_at is None, one.last_at))
        at = talk.contact_point_id
        lines = (one for one in self.talks if one.contact_point_id == at and one.thread_key == "")
        return next((one for one in lines if one.closed_at is None), talk)


class Merging:
    """One agent's hands, for two cases at once."""

    def __init__(self, parts: Parts, me: Me) -> None:
        self._parts = parts
        self._me = me
        self._mark = f"agent:{me.id}"

    async def merge(self, code: str, into: str, reason: str, *, here: UUID | None = None) -> UUID:
        """The case with this code goes on as part of the other, and the customer is told once.

        Both codes go on working; the term that ends first counts; facts and files of both are seen in the other one.
        Returns the conversation in which it goes on: `here`, where it was asked for, as long as that is open.

        Raises CannotMerge, AlreadyTaken, Empty (without a reason) and NotPossible (with ForbiddenMove as its cause).
        """
        if not reason.strip():
            raise Empty("say why they are one matter")
        async with self._both(code, into) as both:
            await self._refuse(both)
            merge = await self._join(both, reason.strip())
            await both.tx.flush()
            event = ev.CasesMerged(both.case.code, self._me.name)
            line = both.line(both.into)
            rows = await tell(self._parts, both.tx, both.into, line, event, self._me, was=both.into.status)
            merge.notice_id = rows[0].id if rows else None
            talks = zip(merge.kept["talks"], both.talks, strict=True)
            merge.kept = merge.kept | {"talks": [was | {"after": _talk(talk)} for was, talk in talks]}
            both.tx.agents.audit(self._mark, "merge", str(both.into.id), case=str(both.case.id), reason=reason.strip())
            stays = any(talk.id == here and talk.closed_at is None for talk in both.of(both.into))
            return here if here is not None and stays else line.id

    async def undo(self, merge_id: UUID) -> None:
        """The two are cases of their own again, exactly as they were, with what was said since. Raises CannotMerge."""
        async with self._parts.database.transaction() as tx:
            known = await tx.merges.get(merge_id)
            cases = [await tx.cases.get(one) for one in (known.case_id, known.into_id)] if known else []
            if not all(cases):
                raise NoSuchConversation("there is no such merge")
        case, into = (one for one in cases if one is not None)
        async with self._both(case.code, into.code) as both:
            merge = await both.tx.merges.get(merge_id, lock=True)
            assert merge is not None
            await self._refuse_undo(both, merge)
            await self._part(both, merge)
            both.tx.agents.audit(self._mark, "unmerge", str(both.into.id), case=str(both.case.id), merge=str(merge.id))
            await both.tx.flush()
            await self._tell_parted(both, merge)

    @asynccontextmanager
    async def _both(self, code: str, into: str) -> AsyncIterator[_Both]:
        """Lock the conversations of both in everybody's order, then the cases: no two agents wait for each other."""
        async with self._parts.database.transaction() as tx:
            found = [await self._find(tx, one) for one in (code, into)]
            talks = await tx.conversations.together_about(*(one.id for one in found))
            for one in sorted(found, key=lambda case: case.id):
                await tx.cases.get(one.id, lock=True)
            yield _Both(tx, found[0], found[1], talks)
            for talk in talks:
                await tx.ring(f"conversation:{talk.id}")
            await tx.ring("desk")

    @staticmethod
    async def _find(tx: Transaction, typed: str) -> Case:
        for code in readings(typed):
            if (case := await tx.merges.case(code)) is not None:
                return case
        raise NotPossible("choose one of this person's open cases")

    async def _refuse(self, both: _Both) -> None:
        case, into = both.case, both.into
        if case.id == into.id:
            raise CannotMerge("same", "choose another case than this one")
        for one in (case, into):
            if one.merged_into is not None:
                await self._refuse_gone(both.tx, one)
        if not both.talks:
            raise NotPossible("nobody talks of these cases any more")
        if case.person_id != into.person_id:
            raise CannotMerge(
                "persons",
                "they are of different people: let the customer prove in the chat that both addresses are theirs",
            )
        try:
            states.check_merge(case.status, into.status)
        except states.ForbiddenMove as fault:
            raise NotPossible(str(fault)) from fault
        await self._refuse_if_taken(both)

    @staticmethod
    async def _refuse_gone(tx: Transaction, case: Case) -> None:
        merge = await tx.merges.last_of(case.id)
        assert merge is not None
        agent, into = await tx.agents.get(merge.agent_id), await tx.cases.get(merge.into_id)
        by, code = agent.name if agent else "", into.code if into else ""
        raise CannotMerge("gone", f"{by} merged {case.code} into {code}", by=by, code=case.code, into=code)

    async def _refuse_if_taken(self, both: _Both) -> None:
        for talk in both.talks:
            if talk.speaker not in ("bot", self._mark):
                other = await both.tx.agents.get(UUID(talk.speaker.removeprefix("agent:")))
                raise AlreadyTaken(other.name if other else "another agent")

    async def _join(self, both: _Both, reason: str) -> Merge:
        tx, case, into, now = both.tx, both.case, both.into, self._parts.now()
        moved, mine = both.of(case), any(talk.speaker == self._mark for talk in both.talks)
        before = [_talk(talk) for talk in both.talks]
        kept = absorb(into, case) | {"events": into.last_event, "timers": await tx.merges.end_timers(_ids(moved), now)}
        await tx.outbox.withdraw_about(case.id)
        for talk in moved:
            talk.case_id = into.id
            talk.state = talk.state | {"pending": []} if talk.state.get("pending") else talk.state
        lines = {talk.contact_point_id for talk in both.of(into) if talk.closed_at is None and not _only_kept(talk)}
        for talk in both.of(into):
            if _only_kept(talk) and talk.contact_point_id in lines:
                talk.closed_at = talk.closed_at or now  # it is talked of in the one line of that address
        if mine:
            for talk in both.talks:  # they are of one case now, and one case has one speaker
                talk.speaker = self._mark
            await tx.outbox.withdraw(_ids(both.talks))
        case.closed_at = now
        kept |= {"entries": await tx.merges.share(case.id, into.id), "talks": before}
        merge = tx.merges.keep(case, into, at=now, agent_id=self._me.id, reason=reason, kept=kept)
        told = {"code": case.code, "reason": reason} | ({"due": True} if kept["before"]["due"] != _day(into) else {})
        await tx.cases.add_event(into, actor=self._mark, kind="merged", data=told)
        await tx.cases.add_event(case, actor=self._mark, kind="merged into", data={"code": into.code, "reason": reason})
        return merge

    async def _refuse_undo(self, both: _Both, merge: Merge) -> None:
        if merge.undone_at is not None:
            raise CannotMerge("parted", "it was undone already")
        if both.into.merged_into is not None:
            later = await both.tx.cases.get(both.into.merged_into)
            raise CannotMerge("later", "undo the later merge first", code=later.code if later else "")
        last, case = (await both.tx.merges.standing(both.into.id))[-1]
        if last.id != merge.id:
            raise CannotMerge("later", "undo the later merge first", code=case.code)
        for event in await both.tx.cases.events(both.into.id):
            since = event.number > merge.kept["events"]
            if since and (event.kind == "solved" or (event.kind == "moved" and states.decides(event.data["to"]))):
                raise CannotMerge("decided", "it was decided since: what the customer was told stands for both")
        await self._refuse_if_taken(both)

    async def _part(self, both: _Both, merge: Merge) -> None:
        tx, case, into, kept = both.tx, both.case, both.into, merge.kept
        merge.undone_at, merge.undone_by = self._parts.now(), self._me.id
        case.merged_into = case.closed_at = None
        others = [one for _, one in await tx.merges.standing(into.id)]  # what was merged before it
        casework = Casework(self._parts, tx, self._mark)
        release(into, case, kept, casework.deadline(into.type, casework.received(into)), others)
        known = {str(talk.id): talk for talk in both.talks}
        back = [known[one["id"]] for one in kept["talks"] if one["id"] in known and one["case"] == str(case.id)]
        back = [talk for talk in back if talk.case_id == into.id]
        for was in kept["talks"]:
            if was["id"] in known:
                await self._restore(tx, known[was["id"]], was, back=case if known[was["id"]] in back else None)
        tx.merges.unshare(into.id, kept["entries"])
        tx.merges.give_since(into.id, case.id, _ids(back), merge.at)
        tx.merges.restart_timers(kept["timers"], merge.at)
        await self._keep_talks(both)
        await tx.cases.add_event(into, actor=self._mark, kind="parted", data={"code": case.code})
        await tx.cases.add_event(case, actor=self._mark, kind="parted", data={"code": into.code})

    @staticmethod
    async def _restore(tx: Transaction, talk: Conversation, was: dict[str, Any], *, back: Case | None) -> None:
        """What nobody changed since is as it was before."""
        now, after = _talk(talk), was["after"]
        if back is not None:
            talk.case_id = back.id
        if now["state"] == after["state"]:
            talk.state = was["state"]
        if now["speaker"] == after["speaker"]:
            talk.speaker = was["speaker"]
        if now["closed"] == after["closed"] != was["closed"] and not await tx.conversations.is_open(talk):
            talk.closed_at = datetime.fromisoformat(was["closed"]) if was["closed"] else None

    @staticmethod
    async def _keep_talks(both: _Both) -> None:
        """Each of them stands in an open conversation, so that the people at the desk find it."""
        await both.tx.flush()
        for case in (both.case, both.into):
            if not any(talk.closed_at is None for talk in both.of(case)):
                last = max(both.talks, key=lambda one: one.last_at)
                contact = await both.tx.people.contact_by_id(last.contact_point_id)
                await both.tx.conversations.keep_case(last, contact, case.id, case.code)

    async def _tell_parted(self, both: _Both, merge: Merge) -> None:
        """Whoever was told of the merge hears that it is over; a notice that has not left says nothing to anybody."""
        if merge.notice_id is None:
            return
        found = await both.tx.outbox.get(merge.notice_id)
        if found is not None:
            await both.tx.conversations.locked(found.conversation_id)
            row = await both.tx.outbox.get(merge.notice_id, lock=True)
            if row is not None and row.state == "queued" and not row.attempts:
                row.state = "withdrawn"
                return
        event = ev.CasesParted(both.case.code, self._me.name)
        line = both.line(both.into)
        await tell(self._parts, both.tx, both.into, line, event, self._me, was=both.into.status)


def _ids(talks: Sequence[Conversation]) -> list[UUID]:
    return [talk.id for talk in talks]


def _only_kept(talk: Conversation) -> bool:
    return talk.thread_key.startswith(KEPT)


def _day(case: Case) -> str | None:
    return case.due.isoformat() if case.due else None


def _talk(talk: Conversation) -> dict[str, Any]:
    return {
        "id": str(talk.id),
        "case": str(talk.case_id) if talk.case_id else None,
        "state": talk.state,
        "speaker": talk.speaker,
        "closed": talk.closed_at.isoformat() if talk.closed_at else None,
    }
