"""What an agent sees: lists of conversations, and a conversation with everything around it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bot import states
from bot.absorbing import FROM
from bot.accounts import standing
from bot.beside import joins_of, may_take, merged_into
from bot.bursts import TRANSCRIPT
from bot.codes import readings
from bot.consent import TO_COLLEAGUES
from bot.corrections import KNOCK
from bot.deadlines import Deadline, explain
from bot.dialogue.forms import missing
from bot.evidence import Evidence, Proof
from bot.outbound import address
from bot.parts import Parts
from bot.provider_order import Mark, counts, in_provider_order
from bot.refusals import NoSuchConversation
from bot.satisfaction import seen
from bot.similar import similar_to
from bot.talking import case_facts
from bot.views import AccountNotice, CaseView, ContactView, Entry, FileView, Line, Me, Page, Room, Undelivered
from channels.channel import Outbound, Paid
from storage.inbox import Filter, Place, QueueRow
from storage.tables import Attachment, Case, CaseEvent, ContactPoint, Message, Note, Outgoing
from storage.transaction import Transaction

PAGE = 50


class Rooms:
    """One agent's eyes."""

    def __init__(self, parts: Parts, me: Me) -> None:
        self._parts = parts
        self._me = me
        self._colleagues: Mapping[UUID, str] | None = None  # read once: an instance lives for one request

    async def queue(self, view: str, *, before: str | None = None, only: Filter | None = None) -> Page:
        """A page of a view: flagged | mine | open | overdue | all. `before` comes from the page above."""
        async with self._parts.database.transaction() as tx:
            rows = await tx.inbox.queue(
                view,
                self._me.id,
                today=self._parts.today(),
                after=_place(before),
                only=only,
                limit=PAGE + 1,
            )
            counts = await tx.inbox.counts(self._me.id, self._parts.today())
            names = await self._names(tx)
        shown = rows[:PAGE]
        last = _link(shown[-1].place(view)) if len(rows) > PAGE else None
        return Page([self._line(row, names) for row in shown], last, counts)

    async def counts(self) -> Mapping[str, int]:
        """How many each view holds; `failed` are messages that did not arrive."""
        async with self._parts.database.transaction() as tx:
            return await tx.inbox.counts(self._me.id, self._parts.today())

    async def notices(self) -> Sequence[AccountNotice]:
        """Accounts on which nothing leaves now."""
        async with self._parts.database.transaction() as tx:
            return await standing(self._parts, tx)

    async def search(self, words: str) -> Sequence[Line]:
        """By code in any spelling, else by name, address or any word that was written."""
        async with self._parts.database.transaction() as tx:
            rows = await tx.inbox.search(words, readings(words))
            names = await self._names(tx)
        return [self._line(row, names) for row in rows]

    async def room(self, conversation_id: UUID) -> Room:
        """A conversation with its timeline, case, person and drafts. At most twelve queries, whatever its length."""
        async with self._parts.database.transaction() as tx:
            row = await tx.inbox.row(conversation_id, self._me.id)
            if row is None:
                raise NoSuchConversation("there is no such conversation")
            names = await self._names(tx)
            cases = await tx.cases.of_person(row.person_id)
            case = next((one for one in cases if one.id == row.case_id), None)
            if case is None and row.case_id:  # an old one, or somebody else's
                case = await tx.cases.get(row.case_id)
            events = await tx.inbox.case_events(case.id) if case else []
            entries, elsewhere = await self._entries(tx, conversation_id, row, names, events)
            contacts = await tx.people.contacts(row.person_id)
            similar = await similar_to(tx, case.id) if case else []
            survey = await tx.surveys.get(case.id) if case else None
        known = {one.id: self._contact(one, row) for one in contacts}
        return Room(
            line=self._line(row, names),
            entries=entries,
            case=self._case(case, names) if case else None,
            contacts=list(known.values()),
            other_cases=[
                (one.code, one.type, one.status) for one in cases if one.id != row.case_id and not one.merged_into
            ],
            drafts=row.drafts,
            colleagues=sorted(((id, name) for id, name in names.items()), key=lambda one: one[1].casefold()),
            language=self._parts.language(row.language),
            subject=row.subject,
            similar=similar,
            merged=merged_into(row, names),
            may_take=[(one.code, one.type, one.due) for one in may_take(case, cases)] if case else [],
            files=elsewhere,
            joins=joins_of(row, known, cases, names),
            survey=seen(survey),
        )

    async def undelivered(self) -> Sequence[Undelivered]:
        """What did not arrive and nothing has replaced, newest first."""
        async with self._parts.database.transaction() as tx:
            rows = await tx.outbox.failed()
        return [
            Undelivered(
                id=row.id,
                conversation_id=row.conversation_id,
                account=row.account,
                channel=self._parts.kinds.get(row.account, row.account),
                address=row.address,
                text="••••••" if row.kind == "code" else row.text,
                state=row.state,
                reason=row.reason,
                at=row.sending_at or row.created_at,
                code=row.code,
                may_correct=row.kind == KNOCK or (row.case_id is not None and row.kind not in ("code", *TO_COLLEAGUES)),
            )
            for row in rows
        ]

    async def proof(self, outgoing_id: UUID) -> Proof | None:
        """What is kept of one message of ours, to be shown to whoever doubts it."""
        return await Evidence(self._parts).of(outgoing_id)

    async def file(self, attachment_id: UUID) -> tuple[FileView, str] | None:
        """A stored file's view and the path of its bytes."""
        async with self._parts.database.transaction() as tx:
            row = await tx.messages.attachment(attachment_id)
        if row is None or row.sha256 is None:
            return None
        return _file(row), str(self._parts.files.path(row.sha256))

    async def original(self, message_id: UUID) -> str | None:
        """The path of a mail's original bytes."""
        async with self._parts.database.transaction() as tx:
            message = await tx.messages.get(message_id)
        if message is None or message.raw_sha256 is None:
            return None
        return str(self._parts.files.path(message.raw_sha256))

    async def _names(self, tx: Transaction) -> Mapping[UUID, str]:
        if self._colleagues is None:
            self._colleagues = {agent.id: agent.name for agent in await tx.agents.all()}
        return self._colleagues

    def _line(self, row: QueueRow, names: Mapping[UUID, str]) -> Line:
        speaker_id = UUID(row.speaker.removeprefix("agent:")) if row.speaker != "bot" else None
        speaker = "bot" if speaker_id is None else "me" if speaker_id == self._me.id else "other"
        author = row.last_author or "person"
        return Line(
            id=row.id,
            kind=self._parts.kinds.get(row.account, row.account),
            account=row.account,
            name=row.name,
            address=row.address,
            speaker=speaker,
            speaker_name=names.get(speaker_id) if speaker_id else None,
            flagged_at=row.flagged_at,
            flag_reason=row.flag_reason,
            urgent=row.urgent,
            last_at=row.last_at,
            last_text=row.last_text or "",
            last_author=author.split(":")[0],
            code=row.code,
            type=row.type,
            second_type=row.second_type,
            doubt=bool(row.doubt),
            severity=row.severity,
            status=row.status,
            due=row.due,
            due_kind=row.due_kind,
            solved_by=row.solved_by,
            closed=row.case_closed_at is not None,
            assigned_name=names.get(row.assigned_to) if row.assigned_to else None,
            opened_at=row.opened_at,
            resting=row.resting,
            taken_at=row.taken_at,
        )

    async def _entries(
        self,
        tx: Transaction,
        conversation_id: UUID,
        row: QueueRow,
        names: Mapping[UUID, str],
        events: Sequence[CaseEvent],
    ) -> tuple[list[Entry], Sequence[FileView]]:
        """What was said and done here; and, once another case was merged into this one, its files from elsewhere."""
        kept = row.thread_key.startswith("case:")  # the place of a case that is, or was, talked of elsewhere
        messages, outgoing, notes = await tx.inbox.said(conversation_id, case_id=row.case_id if kept else None)
        here = [one.id for one in messages] + [one.id for one in outgoing]
        files = _by_owner(await tx.inbox.files(here, of_case=row.case_id if row.merges else None))
        entries = [self._in(one, files.get(one.id, ())) for one in messages]
        entries += [self._out(one, files.get(one.id, ()), row, names) for one in outgoing]
        entries += [_note(one, names) for one in notes]
        if kept:
            entries.sort(key=lambda one: one.at)  # each conversation counts for itself
        else:
            entries = in_provider_order(sorted(entries, key=lambda one: one.number), _mark)
        elsewhere = [file for owner, its in files.items() if owner not in here for file in its]
        return _with_events(entries, [_event(one, names) for one in events]), elsewhere

    def _in(self, message: Message, files: Sequence[FileView]) -> Entry:
        was = [[one for one in files if str(one.id) in old.get("files", ())] for old in message.revisions]
        files = [one for one in files if all(one not in gone for gone in was)]
        return Entry(
            id=message.id,
            number=message.number,
            kind="in",
            at=message.sent_at,
            author="machine" if message.machine else "person",
            who=None,
            text=message.text,
            transcript=None if message.text else message.extra.get(TRANSCRIPT),
            files=files,
            account=message.account,
            channel=self._parts.kinds.get(message.account, message.account),
            understanding=message.understanding or None,
            revisions=[{**old, "files": gone} for old, gone in zip(message.revisions, was, strict=True)],
            subject=message.subject,
            html=message.extra.get("html"),
            has_original=message.raw_sha256 is not None,
        )

    def _out(self, sent: Outgoing, files: Sequence[FileView], row: QueueRow, names: Mapping[UUID, str]) -> Entry:
        author, _, agent = sent.author.partition(":")
        elsewhere = (sent.account, sent.address) != (row.account, row.address)
        mine = sent.author == f"agent:{self._me.id}"
        return Entry(
            id=sent.id,
            number=sent.number,
            kind="out",
            at=sent.sent_at or sent.created_at,
            author=author,
            who=names.get(UUID(agent)) if agent else None,
            # a one-time code is the customer's secret, also from us
            text="••••••" if sent.kind == "code" else sent.text,
            files=files,
            state="withheld" if sent.awaits_proof and sent.state == "queued" else sent.state,
            state_at=sent.read_at or sent.delivered_at or sent.sent_at,
            reason=sent.reason,
            account=sent.account,
            channel=self._parts.kinds.get(sent.account, sent.account),
            address=sent.address if elsewhere else None,
            buttons=[one["label"] for one in sent.buttons],
            segments=self._segments(sent),
            outgoing_kind=sent.kind,
            subject=sent.subject,
            may_undo=mine and sent.state == "queued" and sent.attempts == 0,
        )

    def _segments(self, sent: Outgoing) -> int | None:
        channel = self._parts.channels.get(sent.account)
        if not isinstance(channel, Paid) or sent.state == "withdrawn":
            return None
        to, code, language = address(sent), sent.code, sent.language
        return channel.segments(Outbound(key=str(sent.id), to=to, text=sent.text, code=code, language=language))

    def _contact(self, one: ContactPoint, row: QueueRow) -> ContactView:
        return ContactView(
            kind=self._parts.kinds.get(one.account, one.account),
            account=one.account,
            address=one.address,
            verified=one.verified_at is not None,
            verified_by=one.verified_by,
            verified_at=one.verified_at,
            preferred=one.id == row.preferred_contact_id,
            blocked=one.blocked_at is not None,
            opted_out=one.opted_out_at is not None,
        )

    def _case(self, case: Case, names: Mapping[UUID, str]) -> CaseView:
        return CaseView(
            id=case.id,
            code=case.code,
            type=case.type,
            second_type=case.second_type,
            doubt=case.doubt,
            type_confidence=case.type_confidence,
            source=str(case.understanding.get("source", "")),
            alarms=case.understanding.get("alarms", []),
            severity=case.severity,
            status=case.status,
            bar=list(zip(states.CELLS, states.bar(case.status), strict=True)),
            moves=[str(one) for one in states.moves(case.status)],
            stage=case.stage,
            facts=case.facts,
            missing=missing(case_facts(case)),
            due=case.due,
            due_kind=case.due_kind,
            due_reason=explain(Deadline.stored(case.due_kind, case.due, case.due_reason), self._me.language),
            due_from=case.due_reason.get(FROM),
            opened_at=case.opened_at,
            solved_by=case.solved_by,
            solved_at=case.solved_at,
            closed_at=case.closed_at,
            assigned_to=case.assigned_to,
            assigned_name=names.get(case.assigned_to) if case.assigned_to else None,
        )


def _link(place: Place) -> str:
    """A place in a list as a link carries it."""
    return f"{place.at.isoformat()}|{place.id}" + ("|urgent" if place.urgent else "")


def _place(link: str | None) -> Place | None:
    """The place in a list that a link carries; a broken one begins at the top."""
    at, _, rest = (link or "").partition("|")
    row_id, _, urgent = rest.partition("|")
    try:
        return Place(datetime.fromisoformat(at), UUID(row_id), bool(urgent))
    except ValueError:
        return None


def _file(row: Attachment) -> FileView:
    return FileView(row.id, row.name, row.type, row.size, row.state, row.reason)


def _by_owner(rows: Sequence[Attachment]) -> dict[UUID, list[FileView]]:
    found: dict[UUID, list[FileView]] = {}
    for row in rows:
        owner = row.message_id or row.outgoing_id
        if owner is not None:
            found.setdefault(owner, []).append(_file(row))
    return found


def _mark(entry: Entry) -> Mark:
    return Mark(entry.at, entry.kind == "in", counts(entry.channel))


def _note(note: Note, names: Mapping[UUID, str]) -> Entry:
    return Entry(
        id=note.id,
        number=note.number,
        kind="note",
        at=note.created_at,
        author="agent",
        who=names.get(note.agent_id),
        text=note.text,
    )


def _event(event: CaseEvent, names: Mapping[UUID, str]) -> Entry:
    actor, _, agent = event.actor.partition(":")
    return Entry(
        id=event.id,
        number=0,
        kind="event",
        at=event.at,
        author="system" if actor == "bot" else actor,
        who=names.get(UUID(agent)) if agent else None,
        text="",
        event=event.kind,
        data=event.data,
    )


def _with_events(entries: list[Entry], events: list[Entry]) -> list[Entry]:
    """Events stand where they happened; what was said keeps its own order."""
    merged: list[Entry] = []
    waiting = list(events)
    for entry in entries:
        while waiting and waiting[0].at <= entry.at:
            merged.append(waiting.pop(0))
        merged.append(entry)
    return merged + waiting
