"""What the console is given to show: plain values, no rows of the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Me:
    """The agent who looks."""

    id: UUID
    login: str
    name: str
    role: str  # agent | manager | admin
    language: str

    @property
    def may_manage(self) -> bool:
        """Whether managers' pages are open."""
        return self.role in ("manager", "admin")


@dataclass(frozen=True)
class Line:
    """One line of a list: a conversation and its case."""

    id: UUID
    kind: str  # of channel: webchat | telegram | email …
    account: str
    name: str | None
    address: str
    speaker: str  # bot | me | other
    speaker_name: str | None
    flagged_at: datetime | None
    flag_reason: str | None
    urgent: bool
    last_at: datetime
    last_text: str
    last_author: str  # person | bot | agent | notice
    code: str | None
    type: str | None
    second_type: str | None
    doubt: bool
    severity: str | None
    status: str | None
    due: date | None
    due_kind: str | None
    solved_by: str | None
    closed: bool
    assigned_name: str | None
    opened_at: datetime | None = None
    resting: bool = False  # its account is paused: nothing that is written there leaves
    taken_at: datetime | None = None  # by the one who speaks here

    @property
    def left(self) -> bool:
        """Whether a person has it, the customer wrote, and that person has not answered: anybody may take it."""
        return self.flag_reason == "unanswered" and self.flagged_at is not None and self.speaker != "bot"

    @property
    def waits(self) -> bool:
        """Whether it is on the list of what waits for a person."""
        return self.flagged_at is not None and (self.speaker == "bot" or self.left)


@dataclass(frozen=True)
class AccountNotice:
    """Something about an account that everybody at the desk should know."""

    what: str  # paused: by somebody, nothing leaves | refused: the provider takes nothing
    name: str
    kind: str
    since: datetime
    why: str
    who: str | None


@dataclass(frozen=True)
class Page:
    """One page of a list; `next` is what to pass as `before` for the page below."""

    lines: Sequence[Line]
    next: str | None
    counts: Mapping[str, int]


@dataclass(frozen=True)
class FileView:
    """A file of a message. Only a `stored` one can be downloaded."""

    id: UUID
    name: str
    type: str | None
    size: int | None
    state: str  # waiting | stored | refused | failed
    reason: str | None


@dataclass(frozen=True)
class Entry:
    """One thing in the timeline, in the order of the conversation."""

    id: UUID
    number: int
    kind: str  # in | out | note | event
    at: datetime
    author: str  # person | machine | bot | agent | notice | system
    who: str | None  # name of the agent
    text: str
    files: Sequence[FileView] = ()
    state: str | None = None  # delivery of what we sent
    state_at: datetime | None = None
    reason: str | None = None
    account: str | None = None
    channel: str | None = None
    address: str | None = None  # where it went, when not to the conversation's own address
    buttons: Sequence[str] = ()
    segments: int | None = None  # that are paid for what we sent, where it costs by its length
    outgoing_kind: str | None = None  # ack | answer | receipt | update | closing | agent | code | alert
    understanding: Mapping[str, Any] | None = None
    revisions: Sequence[Mapping[str, Any]] = ()
    subject: str | None = None
    html: str | None = None  # a mail's cleaned HTML, to be shown in a sandbox only
    has_original: bool = False
    event: str | None = None
    data: Mapping[str, Any] | None = None
    may_undo: bool = False
    transcript: str | None = None  # of a voice note: what a machine heard


@dataclass(frozen=True)
class CaseView:
    """A case as its panel shows it."""

    id: UUID
    code: str
    type: str
    second_type: str | None
    doubt: bool
    type_confidence: float
    source: str
    alarms: Sequence[str]
    severity: str
    status: str
    bar: Sequence[tuple[str, str]]  # the seven cells: (name, done | now | next)
    moves: Sequence[str]  # states that it may be moved to
    stage: str
    facts: Mapping[str, Sequence[str]]
    missing: Sequence[str]  # slots that the form wants and nobody has told
    due: date | None
    due_kind: str
    due_reason: str
    due_from: str | None  # code of the merged case whose date it is
    opened_at: datetime
    solved_by: str | None
    solved_at: datetime | None
    closed_at: datetime | None
    assigned_to: UUID | None
    assigned_name: str | None


@dataclass(frozen=True)
class ContactView:
    """An address of the person."""

    kind: str
    account: str
    address: str
    verified: bool
    verified_by: str | None  # how: provider | code | link | dmarc
    verified_at: datetime | None
    preferred: bool
    blocked: bool
    opted_out: bool


@dataclass(frozen=True)
class Undelivered:
    """A message of ours that did not arrive."""

    id: UUID
    conversation_id: UUID
    account: str
    channel: str
    address: str
    text: str
    state: str  # failed | uncertain
    reason: str | None
    at: datetime
    code: str | None
    may_correct: bool = False  # another address can be tried


@dataclass(frozen=True)
class SimilarView:
    """A case of somebody else that reads like this one."""

    code: str
    type: str
    status: str
    how: str  # very | much | some
    ended: str | None  # customer | agent: who called it solved; closed: neither did; null: it is open
    ended_at: datetime | None
    gist: str  # what was reported


@dataclass(frozen=True)
class MergedView:
    """A case that another one goes on for."""

    id: UUID  # of the merge
    code: str
    type: str
    status: str  # where it stood
    opened_at: datetime
    at: datetime
    by: str | None
    reason: str
    may_undo: bool  # false: another one was merged later, which is undone first


@dataclass(frozen=True)
class JoinView:
    """Somebody who turned out to be this person, and what came with them."""

    id: UUID
    at: datetime
    proof: str  # code | link | provider
    contacts: Sequence[ContactView]
    cases: Sequence[str]  # codes
    undone_at: datetime | None
    undone_by: str | None


@dataclass(frozen=True)
class SurveyView:
    """What the customer says of the solution, or why they were not asked."""

    state: str  # waiting | asked | answered | unanswered | not_sent
    reason: str | None
    csat: int | None  # 1 to 5
    nps: int | None  # 0 to 10
    comment: str | None
    asked_at: datetime | None
    reminded_at: datetime | None


@dataclass(frozen=True)
class Room:
    """A conversation with everything around it."""

    line: Line
    entries: Sequence[Entry]
    case: CaseView | None
    contacts: Sequence[ContactView]
    other_cases: Sequence[tuple[str, str, str]]  # code, type, status
    drafts: Mapping[str, str]  # mode -> text
    colleagues: Sequence[tuple[UUID, str]]
    language: str
    subject: str | None
    similar: Sequence[SimilarView] = ()
    merged: Sequence[MergedView] = ()  # what the case goes on for, oldest first
    may_take: Sequence[tuple[str, str, date | None]] = ()  # code, type, due: it can go on as part of these
    files: Sequence[FileView] = ()  # that came elsewhere, once something was merged into the case
    joins: Sequence[JoinView] = ()
    survey: SurveyView | None = None
