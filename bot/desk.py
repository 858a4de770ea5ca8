"""What an agent may do with a conversation and its case. The console has no other way in."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from uuid import NAMESPACE_OID, UUID, uuid5

from bot import states
from bot.casework import SEVERITIES, Casework
from bot.dialogue import events as ev
from bot.news import tell
from bot.parts import Parts
from bot.refusals import AlreadyTaken, Empty, NoSuchConversation, NotPossible, NotTaken, TooBig, TooLateToUndo
from bot.surveys import Surveys
from bot.talking import Talking
from bot.views import Me
from bot.writing import write
from channels.channel import Address
from storage.conversations import UNANSWERED
from storage.files import Refused, TooLarge, safe_name
from storage.tables import Case, Conversation, Outgoing
from storage.transaction import Transaction


@dataclass(frozen=True)
class Upload:
    """A file that an agent sends along."""

    name: str
    content: bytes


@dataclass(frozen=True)
class _Held:
    """A conversation with its case and all conversations of that case, everything locked."""

    tx: Transaction
    conversation: Conversation
    case: Case | None
    siblings: Sequence[Conversation]  # the conversation itself included

    @property
    def line(self) -> Conversation:
        """Where what is written stands: an address without threads has one line for all its cases."""
        at = self.conversation.contact_point_id
        found = (one for one in self.siblings if one.contact_point_id == at and one.thread_key == "")
        return next((one for one in found if one.closed_at is None), self.conversation)


class Desk:
    """One agent's hands."""

    def __init__(self, parts: Parts, me: Me) -> None:
        self._parts = parts
        self._me = me
        self._mark = f"agent:{me.id}"
        self._notice = f"notice:{me.id}"

    @asynccontextmanager
    async def _hold(self, conversation_id: UUID) -> AsyncIterator[_Held]:
        """Lock all conversations of the case in one order, so that two agents can never wait for each other."""
        async with self._parts.database.transaction() as tx:
            siblings = await tx.conversations.together(conversation_id)
            conversation = next((one for one in siblings if one.id == conversation_id), None)
            if conversation is None:
                raise NoSuchConversation("there is no such conversation")
            case = await tx.cases.get(conversation.case_id, lock=True) if conversation.case_id else None
            yield _Held(tx, conversation, case, siblings)
            for one in siblings:
                await tx.ring(f"conversation:{one.id}")
            await tx.ring("desk")

    async def take(self, conversation_id: UUID, *, over: bool = False) -> None:
        """From the commit of this on, the bot says nothing in any conversation of the case. One agent wins.

        `over`: a manager takes it from whoever has it, as a colleague who went home gives nothing back. Where the
        customer waits for that colleague too long (bot/absent.py), anybody may.
        """
        async with self._hold(conversation_id) as held:
            if held.conversation.speaker == self._mark:
                return
            before = held.conversation.speaker
            left = any(one.flag_reason == UNANSWERED for one in held.siblings)
            over = before != "bot" and (left or (over and self._me.may_manage))
            if not over:
                await self._refuse_if_taken(held)
            for one in held.siblings:
                one.speaker, one.taken_at = self._mark, self._parts.now()
                one.flagged_at = one.flag_reason = None
                one.urgent = False
            await held.tx.outbox.withdraw([one.id for one in held.siblings])
            if held.case is not None:
                held.case.assigned_to = self._me.id
                await held.tx.cases.add_event(held.case, actor=self._mark, kind="taken")
            if over:
                held.tx.agents.audit(self._mark, "take over", str(conversation_id), taken_from=before)
            else:
                held.tx.agents.audit(self._mark, "take", str(conversation_id))
            await self._tell(held, ev.AgentTook(self._me.name))

    async def _refuse_if_taken(self, held: _Held) -> None:
        speaker = held.conversation.speaker
        if speaker not in ("bot", self._mark):
            other = await held.tx.agents.get(UUID(speaker.removeprefix("agent:")))
            raise AlreadyTaken(other.name if other else "another agent")

    async def give_back(self, conversation_id: UUID) -> None:
        """The bot speaks again."""
        async with self._hold(conversation_id) as held:
            await self._refuse_if_taken(held)
            for one in held.siblings:
                one.speaker = "bot"
            _answered(held)
            if held.case is not None:
                await held.tx.cases.add_event(held.case, actor=self._mark, kind="given back")
            await self._tell(held, ev.AgentGaveBack(self._me.name))

    async def _tell(self, held: _Held, event: ev.Event) -> None:
        """What the dialogue says of an agent's act, in this conversation."""
        talking = await Talking.begin(
            self._parts, held.tx, held.line, about=held.case.id if held.case else None, actor=self._mark
        )
        await talking.feed(event)
        await talking.finish(author=self._notice, news=True)

    async def reply(self, conversation_id: UUID, text: str, *, key: str, files: Sequence[Upload] = ()) -> UUID:
        """Write to the customer. The same `key` twice is one message. Returns the id of the (first) outgoing row."""
        if not text.strip() and not files:
            raise Empty("write something, or attach a file")
        stored = []
        for upload in files:
            try:
                stored.append((safe_name(upload.name), await self._parts.files.put(upload.content)))
            except (TooLarge, Refused) as fault:
                raise TooBig(str(fault)) from fault
        row_id = reply_id(self._me, conversation_id, key)
        async with self._hold(conversation_id) as held:
            if await held.tx.outbox.get(row_id) is not None:
                return row_id
            await self._refuse_if_taken(held)
            if held.conversation.speaker != self._mark:
                raise NotTaken("take the conversation first")
            rows = await self._write(held, text, row_id)
            for name, file in stored:
                held.tx.messages.attach(
                    outgoing_id=rows[-1].id, name=name, sha256=file.sha256, type=file.type, size=file.size
                )
            await held.tx.desks.save_draft(self._me.id, conversation_id, "reply", "")
        return row_id

    async def _write(self, held: _Held, text: str, row_id: UUID) -> list[Outgoing]:
        now = self._parts.now()
        contact = await held.tx.people.contact_by_id(held.conversation.contact_point_id)
        person = await held.tx.people.get(held.conversation.person_id)
        talking = await Talking.begin(
            self._parts, held.tx, held.line, about=held.case.id if held.case else None, actor=self._mark
        )
        await talking.feed(ev.AgentSpoke())
        await talking.finish(author=self._notice)
        undo = timedelta(seconds=self._parts.policy.undo_seconds)
        rows = await write(
            self._parts,
            held.tx,
            held.line,
            Address(contact.account, contact.address),
            author=self._mark,
            kind="agent",
            text=text.strip(),
            case=held.case,
            language=self._parts.language(person.language),
            not_before=now + undo if undo else None,
            first_id=row_id,
        )
        _answered(held)
        held.conversation.first_human_at = held.conversation.first_human_at or now
        if held.case is not None:
            held.case.first_human_at = held.case.first_human_at or now
        return rows

    async def undo(self, outgoing_id: UUID) -> str:
        """Take back a message that has not left; returns its text, for the box."""
        async with self._parts.database.transaction() as tx:
            found = await tx.outbox.get(outgoing_id)
            if found is None or found.author != self._mark:
                raise NoSuchConversation("there is no such message")
            await tx.conversations.locked(found.conversation_id)
            row = await tx.outbox.get(outgoing_id, lock=True)
            if row is None or row.state != "queued" or row.attempts:
                raise TooLateToUndo("it has left already")
            parts = [row, *_further_parts(row, await tx.outbox.waiting(row.conversation_id))]
            for one in parts:
                one.state = "withdrawn"
            await tx.ring(f"conversation:{row.conversation_id}")
            await tx.ring("desk")
            return "\n".join(one.text for one in parts)

    async def resend(self, outgoing_id: UUID) -> None:
        """Try a failed message once more, to the same address; the attempt really leaves."""
        async with self._parts.database.transaction() as tx:
            found = await tx.outbox.get(outgoing_id)
            conversation = await tx.conversations.locked(found.conversation_id) if found else None
            row = await tx.outbox.get(outgoing_id, lock=True)
            if row is None or conversation is None:
                raise NoSuchConversation("there is no such message")
            if row.state not in ("failed", "uncertain"):
                raise NotPossible("only a message that failed can be sent again")
            contact = await tx.people.contact(row.account, row.address)
            if contact is not None:
                contact.blocked_at = None
            row.state, row.reason, row.not_before, row.attempts = "queued", None, self._parts.now(), 0
            row.provider_id = row.sending_at = (
                None  # a late word about the attempt that failed says nothing of this one
            )
            row.author = self._mark if row.author == "bot" else row.author  # the bot may be silent here by now
            await tx.wake("send", conversation.id, lane=self._parts.lane(conversation.account))
            await tx.ring(f"conversation:{conversation.id}")

    async def note(self, conversation_id: UUID, text: str, *, key: str | None = None) -> None:
        """A line for colleagues; no channel ever sees it. The same `key` twice is one note."""
        if not text.strip():
            raise Empty("write something")
        row_id = note_id(self._me, conversation_id, key) if key else None
        async with self._hold(conversation_id) as held:
            if row_id is not None and await held.tx.desks.has_note(row_id):
                return
            held.conversation.last_number += 1
            row = held.tx.desks.note(conversation_id, held.conversation.last_number, self._me.id, text.strip())
            row.id = row_id or row.id
            await held.tx.desks.save_draft(self._me.id, conversation_id, "note", "")

    async def assign(self, conversation_id: UUID, agent_id: UUID) -> None:
        """Give the case to a colleague; if I speak here, the colleague speaks from now on."""
        async with self._hold(conversation_id) as held:
            colleague = await held.tx.agents.get(agent_id)
            if colleague is None or not colleague.active:
                raise NotPossible("choose an agent who works here")
            await self._refuse_if_taken(held)
            if held.conversation.speaker == self._mark:
                for one in held.siblings:
                    one.speaker, one.taken_at = f"agent:{agent_id}", self._parts.now()
                _answered(held)
            if held.case is not None:
                held.case.assigned_to = agent_id
                data = {"to": colleague.name}
                await held.tx.cases.add_event(held.case, actor=self._mark, kind="assigned", data=data)
            held.tx.agents.audit(self._mark, "assign", str(conversation_id), to=str(agent_id))

    async def move(self, conversation_id: UUID, to: str, note: str | None = None) -> None:
        """Change the case's state; the customer is told on the preferred channel. `note` goes with the news."""
        async with self._hold(conversation_id) as held:
            await self._move(held, (to,), note)

    async def resolve(self, conversation_id: UUID, note: str | None = None) -> None:
        """The answer is given and carried out: by lawful steps, and the customer is asked once whether it is so."""
        async with self._hold(conversation_id) as held:
            await self._refuse_if_taken(held)
            for one in held.siblings:
                one.flagged_at, one.flag_reason, one.urgent = None, None, False
            await self._move(held, states.steps_to_fulfilled(self._case(held).status), note)

    async def _move(self, held: _Held, steps: Sequence[str], note: str | None) -> None:
        case, now = self._case(held), self._parts.now()
        began, to = case.status, steps[-1]
        for step in steps:
            try:
                states.check(case.status, step)
            except states.ForbiddenMove as fault:
                raise NotPossible(str(fault)) from fault
            was, case.status = case.status, step
            if states.reopens(was, step):
                case.solved_by = case.solved_at = None
            data = {"from": was, "to": str(step)} | ({"note": note} if note and step == to else {})
            await held.tx.cases.add_event(case, actor=self._mark, kind="moved", data=data)
        solved = to in ("cumplido", "cerrado")
        if solved:
            case.solved_by, case.solved_at = case.solved_by or "agent", case.solved_at or now
        case.closed_at = now if to in states.CLOSED else None
        surveys = Surveys(self._parts, held.tx, self._mark)
        await (surveys.solved(case, held.line) if solved else surveys.reopened(case))
        announced = ev.SolutionAnnounced(self._me.name, note or None)
        await self._news(held, announced if solved else ev.StateChanged(to, self._me.name, note or None), began)

    async def escalate(self, conversation_id: UUID, note: str | None = None) -> None:
        """Hand it on to whoever can do more: urgent, on everybody's list, and nobody has it until one takes it."""
        async with self._hold(conversation_id) as held:
            await self._refuse_if_taken(held)
            for one in held.siblings:
                one.speaker = "bot"
            at = held.conversation
            at.flagged_at, at.flag_reason, at.urgent, at.alerted_at = self._parts.now(), "escalated", True, None
            if held.case is not None:
                data = {"reason": "escalated"} | ({"note": note} if note else {})
                await held.tx.cases.add_event(held.case, actor=self._mark, kind="flagged", data=data)
            held.tx.agents.audit(self._mark, "escalate", str(conversation_id))

    async def _news(self, held: _Held, event: ev.Event, was: str) -> None:
        """What the dialogue says of the case, where the customer wants to read it. `was`: the state before."""
        case = self._case(held)
        await tell(self._parts, held.tx, case, held.line, event, self._me, was=was, here=held.conversation)

    async def approve_survey(self, conversation_id: UUID) -> None:
        """After harm nobody is asked how it was, until somebody who knows the case says that it may be done."""
        async with self._hold(conversation_id) as held:
            surveys = Surveys(self._parts, held.tx, self._mark)
            if not await surveys.approve(self._case(held), held.line):
                raise NotPossible("no survey of this case waits for an approval")

    async def classify(self, conversation_id: UUID, type: str) -> None:
        """Correct the type: the date follows, both values are kept, and the correction is an example to learn from."""
        async with self._hold(conversation_id) as held:
            case = self._case(held)
            if type == case.type and not case.doubt:
                return
            due = await Casework(self._parts, held.tx, self._mark).term(case, type)
            held.tx.cases.label(
                case_id=case.id,
                field="type",
                was=case.type,
                now=type,
                source=str(case.understanding.get("source", "")),
                agent_id=self._me.id,
            )
            data = {"type": [case.type, type]}
            await held.tx.cases.add_event(case, actor=self._mark, kind="classified", data=data)
            case.type, case.doubt = type, False
            case.due, case.due_kind, case.due_reason = due["due"], due["due_kind"], due["due_reason"]

    async def grade(self, conversation_id: UUID, severity: str) -> None:
        """Correct the severity; both values are kept."""
        if severity not in SEVERITIES:
            raise NotPossible("choose one of " + ", ".join(SEVERITIES))
        async with self._hold(conversation_id) as held:
            case = self._case(held)
            if severity == case.severity:
                return
            held.tx.cases.label(
                case_id=case.id,
                field="severity",
                was=case.severity,
                now=severity,
                source=str(case.understanding.get("source", "")),
                agent_id=self._me.id,
            )
            data = {"severity": [case.severity, severity]}
            await held.tx.cases.add_event(case, actor=self._mark, kind="graded", data=data)
            case.severity = severity

    def _case(self, held: _Held) -> Case:
        if held.case is None:
            raise NotPossible("there is no case here yet")
        return held.case

    async def save_draft(self, conversation_id: UUID, mode: str, text: str) -> None:
        """Keep what I have begun to write; mode is reply or note."""
        async with self._parts.database.transaction() as tx:
            if await tx.conversations.get(conversation_id) is None:
                raise NoSuchConversation("there is no such conversation")
            await tx.desks.save_draft(self._me.id, conversation_id, mode, text)


def _answered(held: _Held) -> None:
    """The customer waits no longer for the person who has it."""
    for one in held.siblings:
        if one.flag_reason == UNANSWERED:
            one.flagged_at = one.flag_reason = None
            one.urgent = False


def reply_id(me: Me, conversation_id: UUID, key: str) -> UUID:
    """Which outgoing row a reply with this key becomes: known before it is written."""
    return uuid5(NAMESPACE_OID, f"{me.id}:{conversation_id}:{key}")


def note_id(me: Me, conversation_id: UUID, key: str) -> UUID:
    """The same of a note."""
    return uuid5(NAMESPACE_OID, f"note:{me.id}:{conversation_id}:{key}")


def _further_parts(first: Outgoing, waiting: Sequence[Outgoing]) -> list[Outgoing]:
    """The rest of a long message: only the first row of a reply has an id made of its key (version 5).

    The first has not left, so none of these has.
    """
    own = [one for one in waiting if one.author == first.author and one.number > first.number]
    return list(takewhile(lambda one: one.id.version != first.id.version, own))
