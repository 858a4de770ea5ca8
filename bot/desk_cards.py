"""Show what needs people where agents work outside the console: a card for each conversation, and its thread."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from bot import dates, pacing
from bot.accounts import standing
from bot.bell import Bell, resting
from bot.consent import TO_COLLEAGUES
from bot.desk_line import desk_words
from bot.parts import Parts
from bot.views import AccountNotice
from channels.channel import Button, ChannelError, Unavailable
from channels.desk_place import Card, DeskPlace
from storage.conversations import UNANSWERED
from storage.desk_threads import TOLD, Claimed, remember
from storage.tables import Case, Conversation, DeskThread, Message, Note, Outgoing
from storage.transaction import Transaction

logger = logging.getLogger(__name__)
APART = 1.0  # seconds between two looks at the least
NET = 5.0  # and at the most
CLAIM = timedelta(seconds=60)  # a worker that died gives its threads up after this
AGAIN = timedelta(seconds=30)  # a provider that is away
LOOK = timedelta(seconds=5)  # what is not shown by then is looked at anew: something more urgent may have come
AT_ONCE = 20  # lines that one look tells in one thread
WHOLE = 3500  # characters of a message below a card; the console has all of it
QUOTE = 600  # characters of a message on a card


@dataclass(frozen=True)
class _Line:
    """Something to be written below a card. `marks` are remembered once it stands there."""

    text: str
    number: int = 0
    marks: tuple[str, ...] = ()
    loud: bool = False


@dataclass
class _Work:
    """What is to be shown in one thread; filled in as far as it was done."""

    thread_id: UUID
    name: str | None
    card: Card
    digest: str
    shown: str | None
    through: int
    lines: Sequence[_Line]
    looks: str
    active: bool
    complete: bool  # nothing is held back for a later look
    told: list[str] = field(default_factory=list)
    done: bool = False
    cut_off: bool = False  # by the pace; what is left is shown at the next look


class DeskCards:
    """Runs in every worker. A card that was shown and not recorded is shown twice: better than never."""

    def __init__(
        self, parts: Parts, bell: Bell | None = None, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._parts = parts
        self._sleep = sleep
        self._words = desk_words()
        self._bell = bell
        self._language = parts.company.languages[0]
        self._places = {
            account: channel
            for account, channel in parts.channels.items()
            if isinstance(channel, DeskPlace) and channel.desk
        }

    async def run(self) -> None:
        """Show until cancelled, whenever something changed for the desk."""
        if not self._places:
            await asyncio.Event().wait()
        async with resting(self._bell, "desk", apart=APART) as rest:
            while True:
                if not await self.show():
                    await rest(NET)

    async def show(self) -> int:
        """One look; returns how many threads were brought up to date, or are to be gone on with at once."""
        forward = 0
        for account, place in self._places.items():
            async with self._parts.database.transaction() as tx:
                if any(pause.account == account for pause in await tx.pacing.pauses()):
                    continue  # nothing leaves there; what is missed is shown when it goes on
                claimed = await tx.desk_threads.claim(account, CLAIM)
                works = [work for one in claimed if (work := await self._work(tx, one)) is not None]
            until = self._parts.now() + LOOK
            for work in works:
                await self._carry_out(account, place, work, until)
            forward += sum((work.done and work.complete) or work.cut_off for work in works)
        return forward

    # ---- what is to be shown

    async def _work(self, tx: Transaction, claimed: Claimed) -> _Work | None:
        thread = claimed.thread
        conversation = await tx.conversations.get(thread.conversation_id)
        if conversation is None:
            return None
        case = await tx.cases.get(conversation.case_id) if conversation.case_id else None
        card = await self._card(tx, thread, conversation, case)
        fresh = thread.thread is None
        said = [] if fresh else await tx.desk_threads.said_since(conversation, thread.through, AT_ONCE)
        names = {agent.id: agent.name for agent in await tx.agents.all()}
        person = (await tx.people.get(conversation.person_id)).name or self._text("customer")
        lines, complete = await self._lines(tx, thread, said, names, person)
        lines += self._calls(thread, conversation, case, names)
        lines += self._failures(thread, await tx.desk_threads.undelivered(conversation.id, thread.created_at))
        needed = conversation.flagged_at is not None or conversation.speaker != "bot"
        return _Work(
            thread_id=thread.id,
            name=thread.thread,
            card=card,
            digest=hashlib.sha256(repr(card).encode()).hexdigest()[:24],
            shown=thread.shown,
            through=conversation.last_number if fresh else thread.through,
            lines=lines,
            looks=claimed.looks,
            active=conversation.closed_at is None and needed,
            complete=complete,
        )

    async def _card(self, tx: Transaction, thread: DeskThread, conversation: Conversation, case: Case | None) -> Card:
        speaker = conversation.speaker.removeprefix("agent:")
        agent = await tx.agents.get(UUID(speaker)) if speaker != "bot" else None
        person = await tx.people.get(conversation.person_id)
        quoted = await tx.desk_threads.quoted(conversation.id, thread.created_at)
        title = self._text("no_case")
        if case is not None:
            kind = self._text(f"type_{case.type}") if self._has(f"type_{case.type}") else case.type
            title = self._text("card", code=case.code, type=kind)
        if conversation.urgent:
            title = f"🔴 {title}"
        resting = [one for one in await standing(self._parts, tx) if one.name == conversation.account]
        if agent is not None:
            status = self._text("has_it", name=agent.name)
        else:
            status = self._text("waiting" if conversation.flagged_at else "bot_has_it")
        return Card(
            title=title,
            facts=(*self._facts(conversation, case, person.name), *map(self._resting, resting)),
            said=tuple(one.text[:QUOTE] for one in quoted if one.text),
            status=status,
            buttons=tuple(self._buttons(agent is not None, case)),
        )

    def _facts(self, conversation: Conversation, case: Case | None, name: str | None) -> Iterator[tuple[str, str]]:
        kind = self._parts.kinds.get(conversation.account, conversation.account)
        channel = self._text(f"channel_{kind}") if self._has(f"channel_{kind}") else conversation.account
        yield self._text("fact_channel"), " · ".join(filter(None, (channel, name)))
        if conversation.flag_reason:
            line = f"reason_{conversation.flag_reason}"
            known = line in self._parts.catalogue.names(self._language)
            reason = self._parts.catalogue.line(line, self._language) if known else conversation.flag_reason
            yield self._text("fact_reason"), reason
        if case is None:
            return
        if self._has(f"severity_{case.severity}"):
            yield self._text("fact_severity"), self._text(f"severity_{case.severity}")
        yield self._text("fact_status"), self._parts.catalogue.line(f"status_{case.status}", self._language)
        if case.due is not None:
            yield self._text("fact_due"), dates.day(case.due, self._language, self._parts.today())

    def _resting(self, notice: AccountNotice) -> tuple[str, str]:
        """Why what they write does not leave now: whoever answers must know that the customer has not read it."""
        return self._text(f"fact_{notice.what}"), self._text(notice.what, why=notice.why)

    def _buttons(self, taken: bool, case: Case | None) -> Iterator[Button]:
        verbs = ["give_back" if taken else "take", "compose_reply", "compose_note", "escalate"]
        for verb in verbs + (["resolve"] if case is not None and case.closed_at is None else []):
            yield Button(self._text(verb), verb)

    async def _lines(
        self,
        tx: Transaction,
        thread: DeskThread,
        said: Sequence[Message | Outgoing | Note],
        names: Mapping[UUID, str],
        person: str,
    ) -> tuple[list[_Line], bool]:
        """What was said since; what an agent may still take back holds back what comes after it."""
        files: dict[UUID, list[str]] = {}
        for file in await tx.messages.attachments([one.id for one in said if isinstance(one, Message)]):
            if file.message_id is not None:
                files.setdefault(file.message_id, []).append(file.name)
        lines: list[_Line] = []
        own = False  # the rest of a long reply that was written here
        for one in said:
            rest = own and isinstance(one, Outgoing) and one.id.version != 5
            own = rest or str(one.id) in thread.told
            if not own and isinstance(one, Outgoing) and _may_be_taken_back(one, self._parts.now()):
                return lines, False
            lines.append(_Line("" if own else self._said(one, names, person, files.get(one.id, ())), one.number))
        return lines, len(said) < AT_ONCE

    def _said(
        self, one: Message | Outgoing | Note, names: Mapping[UUID, str], person: str, files: Sequence[str]
    ) -> str:
        """In words; empty when it is not for this place."""
        match one:
            case Message():
                shown = [self._text("said", name=person, text=one.text[:WHOLE])] if one.text else []
                shown += [self._text("files", names=", ".join(files))] if files else []
                return "\n".join(shown)
            case Note():
                return self._text("note_from_console", name=names.get(one.agent_id, "–"), text=one.text[:WHOLE])
        if one.state == "withdrawn" or one.kind in ("code", *TO_COLLEAGUES):
            return ""
        author, _, agent = one.author.partition(":")
        if author == "agent":
            return self._text("from_console", name=names.get(UUID(agent), "–"), text=one.text[:WHOLE])
        return self._text("by_bot", name=self._parts.company.bot_name, text=one.text[:WHOLE])

    def _calls(
        self, thread: DeskThread, conversation: Conversation, case: Case | None, names: Mapping[UUID, str]
    ) -> list[_Line]:
        """Somebody asked for help, or went away with it: said once, and to everybody."""
        reason, has = conversation.flag_reason, conversation.speaker.removeprefix("agent:")
        if reason not in ("escalated", UNANSWERED) or conversation.flagged_at is None:
            return []
        mark = f"{reason}:{conversation.flagged_at.isoformat()}"
        blanks = {"code": case.code if case else self._text("no_case")}
        if reason == UNANSWERED:
            blanks["name"] = names.get(UUID(has), "–") if has != "bot" else "–"
        return [] if mark in thread.told else [_Line(self._text(reason, **blanks), marks=(mark,), loud=True)]

    def _failures(self, thread: DeskThread, rows: Sequence[Outgoing]) -> list[_Line]:
        lines = []
        for row in rows:
            mark = f"{row.state}:{row.id}:{row.attempts}"
            if mark not in thread.told:
                text = row.text if len(row.text) <= 80 else f"{row.text[:79]}…"
                lines.append(_Line(self._text("undelivered", text=text, reason=row.reason or ""), marks=(mark,)))
        return lines

    # ---- showing it

    async def _carry_out(self, account: str, place: DeskPlace, work: _Work, until: datetime) -> None:
        wait: timedelta | None = None
        try:
            work.done = await self._show(account, place, work, until)
            work.cut_off = not work.done
        except Unavailable as fault:
            wait = fault.retry_after or AGAIN
            logger.info("desk: shown later: %s", fault)
        except ChannelError as fault:
            wait = AGAIN * 10
            logger.error("desk: a conversation cannot be shown to agents: %s", fault)
        await self._record(work, wait)

    async def _show(self, account: str, place: DeskPlace, work: _Work, until: datetime) -> bool:
        """False: the pace of the place leaves no time for all of it before `until`."""
        if work.shown != work.digest or work.name is None:
            if not await self._our_turn(account, place, until):
                return False
            if work.name is None:
                work.name = await place.put(work.card)
            else:
                await place.change(work.name, work.card)
            work.shown = work.digest
        for line in work.lines:
            if line.text:
                if not await self._our_turn(account, place, until):
                    return False
                await place.tell(work.name, line.text, loud=line.loud)
            work.through = max(work.through, line.number)
            work.told += line.marks
        return True

    async def _our_turn(self, account: str, place: DeskPlace, until: datetime) -> bool:
        """Wait for it, as all workers do who show something there. False: no time is left to ask for one.

        A turn that was taken is waited for, also beyond `until`: many workers who give theirs up would show nothing.
        """
        if self._parts.now() >= until:
            return False
        async with self._parts.database.transaction() as tx:
            due = await pacing.turn_at(self._parts, tx, account, place.desk or "")
        if due > until + CLAIM / 2:  # by then the thread is somebody else's
            return False
        if (wait := (due - self._parts.now()).total_seconds()) > 0:
            await self._sleep(wait)
        return True

    async def _record(self, work: _Work, wait: timedelta | None) -> None:
        async with self._parts.database.transaction() as tx:
            thread = await tx.desk_threads.get(work.thread_id)
            if thread is None:
                return
            thread.thread, thread.shown, thread.through = work.name, work.shown, work.through
            thread.told = remember(thread.told, *work.told, at_most=TOLD)
            thread.claimed_until = self._parts.now() + wait if wait else None
            if work.done and work.complete:
                thread.seen, thread.active = work.looks, work.active

    def _has(self, line: str) -> bool:
        return line in self._words.names(self._language)

    def _text(self, line: str, **blanks: str) -> str:
        return self._words.render(line, self._language, "tu", blanks)


def _may_be_taken_back(row: Outgoing, now: datetime) -> bool:
    return row.author.startswith("agent:") and row.state == "queued" and row.attempts == 0 and row.not_before > now
