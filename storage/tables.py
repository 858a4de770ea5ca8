"""The tables. Their names are the contract; order is never by id; times are aware and UTC inside."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Computed, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlmodel import Field, SQLModel

from storage.columns import Json, json_list, json_object, maybe_moment, maybe_text, moment
from storage.columns import text as text_column


def _searchable(*columns: str) -> Any:
    words = " || ' ' || ".join(f"coalesce({column}, '')" for column in columns)
    return Field(
        default=None,
        exclude=True,
        sa_column=Column(
            "search", TSVECTOR, Computed(f"to_tsvector('simple'::regconfig, {words})", persisted=True), nullable=True
        ),
    )


class Person(SQLModel, table=True):
    """Somebody who writes to us."""

    __tablename__ = "people"
    __table_args__ = (Index("people_search", "search", postgresql_using="gin"),)

    id: UUID = Field(primary_key=True)
    name: str | None = maybe_text()
    folded: str = text_column()  # the name, lower case without accents: what a search looks at
    language: str | None = maybe_text()
    treatment: str | None = maybe_text()  # tu | usted, as they address us; null: the company's own
    language_votes: int = 0  # how firm it is: 2 they wrote in it, 1 the last sure message was not, 0 nothing told yet
    preferred_contact_id: UUID | None = None
    created_at: datetime = moment()
    search: Any = _searchable("folded")


class ContactPoint(SQLModel, table=True):
    """An address on one of our accounts, and whether it is proved and may be written to."""

    __tablename__ = "contact_points"
    __table_args__ = (UniqueConstraint("account", "address", name="contact_points_address"),)

    id: UUID = Field(primary_key=True)
    person_id: UUID = Field(foreign_key="people.id", index=True)
    account: str
    address: str
    verified_at: datetime | None = maybe_moment()
    verified_by: str | None = maybe_text()  # provider | code | link | dmarc
    blocked_at: datetime | None = maybe_moment()  # they blocked us, or the address is dead
    opted_out_at: datetime | None = maybe_moment()
    consent: Json = json_object()
    created_at: datetime = moment()


class Conversation(SQLModel, table=True):
    """One thread with one person on one account; its row is the lock of all that happens in it."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index(
            "conversations_open",
            "contact_point_id",
            "thread_key",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("conversations_due", "answer_after", postgresql_where=text("answer_after IS NOT NULL")),
        Index("conversations_flagged", "flagged_at", "id", postgresql_where=text("flagged_at IS NOT NULL")),
        Index("conversations_recent", "last_at", "id"),
        Index("conversations_account", "account", "last_in_at"),
        Index("conversations_taken", "speaker", postgresql_where=text("speaker <> 'bot'")),
        Index("conversations_first_human", "first_human_at", postgresql_where=text("first_human_at IS NOT NULL")),
    )

    id: UUID = Field(primary_key=True)
    person_id: UUID = Field(foreign_key="people.id", index=True)
    contact_point_id: UUID = Field(foreign_key="contact_points.id")
    account: str
    thread_key: str = text_column()
    speaker: str = Field(default="bot")  # bot | agent:<id>
    taken_at: datetime | None = maybe_moment()  # when the person who speaks here took it
    state: Json = json_object()  # the pending question, nothing else
    case_id: UUID | None = Field(default=None, foreign_key="cases.id", index=True)
    answer_after: datetime | None = maybe_moment()  # the burst window ends; null: nothing to answer
    last_number: int = 0  # of messages, outgoing rows and notes: the order of the conversation
    last_at: datetime = moment()
    last_in_at: datetime | None = maybe_moment()  # by the provider's clock: free-text windows count from here
    acked_at: datetime | None = maybe_moment()
    answers: int = 0  # of the bot since `answers_since`: two machines must not talk for ever
    answers_since: datetime | None = maybe_moment()
    subject: str | None = maybe_text()
    flagged_at: datetime | None = maybe_moment()
    flag_reason: str | None = maybe_text()
    urgent: bool = False
    alerted_at: datetime | None = maybe_moment()
    human_asked_at: datetime | None = maybe_moment()
    first_human_at: datetime | None = maybe_moment()  # an agent's first words
    created_at: datetime = moment()
    closed_at: datetime | None = maybe_moment()


class Message(SQLModel, table=True):
    """What arrived: from a person, or from ourselves (a timer, a code, a state) as an internal row."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("account", "provider_key", name="messages_once"),
        Index("messages_order", "conversation_id", "number", unique=True),
        Index("messages_waiting", "conversation_id", "number", postgresql_where=text("handled_at IS NULL")),
        Index("messages_provider_id", "account", "provider_id", postgresql_where=text("provider_id IS NOT NULL")),
        Index("messages_received", "received_at", "account", postgresql_where=text("kind = 'person'")),
        Index("messages_search", "search", postgresql_using="gin"),
        Index("messages_raw", "raw_sha256", postgresql_where=text("raw_sha256 IS NOT NULL")),
    )

    id: UUID = Field(primary_key=True)
    conversation_id: UUID = Field(foreign_key="conversations.id")
    number: int
    account: str
    provider_key: str
    provider_id: str | None = maybe_text()
    kind: str = Field(default="person")  # person | machine | internal
    text: str = text_column()
    folded: str = text_column()
    subject: str | None = maybe_text()
    pressed: str | None = maybe_text()
    event: Json = json_object()  # internal rows: what happened
    extra: Json = json_object()  # what the channel wants back, or the cleaned HTML of a mail
    machine: str | None = maybe_text()
    authentic: bool = True
    raw_sha256: str | None = maybe_text()
    understanding: Json = json_object()
    revisions: list[Any] = json_list()
    sent_at: datetime = moment()
    received_at: datetime = moment()
    handled_at: datetime | None = maybe_moment()
    search: Any = _searchable("folded")


class Attachment(SQLModel, table=True):
    """A file that came with a message or leaves with one."""

    __tablename__ = "attachments"
    __table_args__ = (
        Index("attachments_waiting", "created_at", postgresql_where=text("state = 'waiting'")),
        Index("attachments_files", "sha256", postgresql_where=text("sha256 IS NOT NULL")),
    )

    id: UUID = Field(primary_key=True)
    message_id: UUID | None = Field(default=None, foreign_key="messages.id", index=True)
    outgoing_id: UUID | None = Field(default=None, foreign_key="outgoing.id", index=True)
    name: str
    sha256: str | None = maybe_text()
    type: str | None = maybe_text()
    size: int | None = None
    inline: bool = False
    ref: str | None = maybe_text()
    state: str = Field(default="stored")  # waiting | stored | refused | failed
    reason: str | None = maybe_text()
    attempts: int = 0
    created_at: datetime = moment()


class Case(SQLModel, table=True):
    """What a person reported, until they say that it is solved."""

    __tablename__ = "cases"
    __table_args__ = (
        Index("cases_open", "due", "id", postgresql_where=text("closed_at IS NULL")),
        Index("cases_opened", "opened_at", "id"),
        Index("cases_solved", "solved_at", postgresql_where=text("solved_at IS NOT NULL")),
        Index("cases_merged", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
    )

    id: UUID = Field(primary_key=True)
    code: str = Field(unique=True)
    person_id: UUID = Field(foreign_key="people.id", index=True)
    account: str  # where it was opened
    type: str
    second_type: str | None = maybe_text()
    type_confidence: float = 0.0
    doubt: bool = False
    severity: str = "low"
    status: str = "recibido"
    stage: str = "gathering"  # gathering | confirming | filed
    facts: Json = json_object()
    understanding: Json = json_object()  # source, triggers: what was understood and why
    due: date | None = None
    due_kind: str = "none"  # legal | internal | none
    due_reason: Json = json_object()
    assigned_to: UUID | None = Field(default=None, foreign_key="agents.id", index=True)
    solved_by: str | None = maybe_text()  # agent | customer
    solved_at: datetime | None = maybe_moment()
    share_words: bool | None = None
    last_event: int = 0
    last_hash: str = "0" * 64
    opened_at: datetime = moment()
    updated_at: datetime = moment()
    acked_at: datetime | None = maybe_moment()
    receipt_at: datetime | None = maybe_moment()
    first_human_at: datetime | None = maybe_moment()
    closed_at: datetime | None = maybe_moment()
    # the case that goes on for both; this one is closed then, and its state is the one that it was left in
    merged_into: UUID | None = Field(default=None, foreign_key="cases.id")


class Merge(SQLModel, table=True):
    """A case that an agent merged into another one of the same person, and what is needed to undo it."""

    __tablename__ = "merges"
    __table_args__ = (Index("merges_standing", "case_id", unique=True, postgresql_where=text("undone_at IS NULL")),)

    id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="cases.id")
    into_id: UUID = Field(foreign_key="cases.id", index=True)
    agent_id: UUID = Field(foreign_key="agents.id")
    reason: str = text_column()
    kept: Json = json_object()  # what was changed, as it was before and after
    notice_id: UUID | None = None  # the message that told the customer
    at: datetime = moment()
    undone_at: datetime | None = maybe_moment()
    undone_by: UUID | None = Field(default=None, foreign_key="agents.id")


class Survey(SQLModel, table=True):
    """What the customer says of a solved case, or why they were not asked. One for a case, whatever becomes of it."""

    __tablename__ = "surveys"
    __table_args__ = (Index("surveys_planned", "planned_at"),)

    case_id: UUID = Field(foreign_key="cases.id", primary_key=True)
    state: str = text_column()  # waiting | asked | answered | unanswered | not_sent
    reason: str | None = maybe_text()  # not_sent: off type harm consent unreachable undelivered busy reopened before
    approved_by: str | None = maybe_text()  # agent:<id> who says that it may be sent after harm
    csat: int | None = None  # the solution, 1 to 5
    nps: int | None = None  # whether they would recommend us, 0 to 10
    comment: str | None = maybe_text()
    planned_at: datetime = moment()  # when the case was called solved
    asked_at: datetime | None = maybe_moment()
    reminded_at: datetime | None = maybe_moment()
    answered_at: datetime | None = maybe_moment()


class CaseMessage(SQLModel, table=True):
    """A message or an outgoing row that belongs to a case."""

    __tablename__ = "case_messages"

    case_id: UUID = Field(foreign_key="cases.id", primary_key=True)
    entry_id: UUID = Field(primary_key=True)  # of messages or outgoing


class CaseEvent(SQLModel, table=True):
    """What was done with a case; append-only, each row holds the hash of the one before."""

    __tablename__ = "case_events"
    __table_args__ = (Index("case_events_order", "case_id", "number", unique=True),)

    id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="cases.id")
    number: int
    at: datetime = moment()
    actor: str
    kind: str
    data: Json = json_object()
    previous: str
    hash: str


class Outgoing(SQLModel, table=True):
    """One message that leaves, or did, or was withdrawn. Whoever speaks writes here and nowhere else."""

    __tablename__ = "outgoing"
    __table_args__ = (
        Index("outgoing_order", "conversation_id", "number", unique=True),
        Index(
            "outgoing_waiting",
            "conversation_id",
            "number",
            postgresql_where=text("state IN ('queued', 'sending')"),
        ),
        Index("outgoing_provider_id", "account", "provider_id", postgresql_where=text("provider_id IS NOT NULL")),
        Index("outgoing_measured", "created_at", postgresql_where=text("kind IN ('ack', 'answer', 'receipt')")),
        Index("outgoing_failed", "created_at", "id", postgresql_where=text("state IN ('failed', 'uncertain')")),
        Index("outgoing_unread", "account", "sent_at", postgresql_where=text("state = 'sent' AND fallback_at IS NULL")),
        Index("outgoing_awaiting", "created_at", postgresql_where=text("awaits_proof")),
        Index("outgoing_account", "account", "sent_at", postgresql_where=text("sent_at IS NOT NULL")),
    )

    id: UUID = Field(primary_key=True)
    conversation_id: UUID = Field(foreign_key="conversations.id")
    number: int
    case_id: UUID | None = Field(default=None, foreign_key="cases.id", index=True)
    account: str
    address: str
    author: str  # bot | agent:<id> | notice:<agent>
    kind: str  # ack | answer | receipt | update | closing | agent | code
    lines: list[Any] = json_list()  # names of the catalogue's lines
    text: str = text_column()
    buttons: list[Any] = json_list()
    subject: str | None = maybe_text()
    code: str | None = maybe_text()
    language: str = "es"
    state: str = Field(default="queued")  # queued sending sent delivered read | failed uncertain withdrawn
    reason: str | None = maybe_text()
    attempts: int = 0
    not_before: datetime = moment()
    provider_id: str | None = maybe_text()
    fallback_of: UUID | None = None
    fallback_at: datetime | None = maybe_moment()  # when another channel took over
    awaits_proof: bool = False  # nobody has proved yet whose address it is, and its words are personal
    as_template: bool = False  # the provider says that free text may not go there now
    slot_at: datetime | None = maybe_moment()  # its turn at the pace that the provider bears
    created_at: datetime = moment()
    sending_at: datetime | None = maybe_moment()
    sent_at: datetime | None = maybe_moment()
    delivered_at: datetime | None = maybe_moment()
    read_at: datetime | None = maybe_moment()


class Delivery(SQLModel, table=True):
    """Each thing that became known of an outgoing row, in the order in which we learned it."""

    __tablename__ = "deliveries"

    id: UUID = Field(primary_key=True)
    outgoing_id: UUID = Field(foreign_key="outgoing.id", index=True)
    state: str
    at: datetime = moment()
    learned_at: datetime = moment()
    provider_id: str | None = maybe_text()
    reason: str | None = maybe_text()


class EarlyReport(SQLModel, table=True):
    """What a provider said of a message whose id we had not written down yet."""

    __tablename__ = "early_reports"
    __table_args__ = (Index("early_reports_learned_at", "learned_at"),)

    account: str = Field(sa_type=Text, primary_key=True)
    provider_id: str = Field(sa_type=Text, primary_key=True)
    state: str = Field(sa_type=Text, primary_key=True)
    at: datetime = moment()
    learned_at: datetime = moment()
    report: Json = json_object()


class Pace(SQLModel, table=True):
    """When the next message may leave, for an account or one of its recipients."""

    __tablename__ = "paces"

    key: str = Field(sa_type=Text, primary_key=True)
    free_at: datetime = moment()


class Pause(SQLModel, table=True):
    """An account on which nothing leaves for now."""

    __tablename__ = "pauses"

    account: str = Field(sa_type=Text, primary_key=True)
    since: datetime = moment()
    by: str = text_column()  # agent:<id>
    why: str = text_column()


class AccountFault(SQLModel, table=True):
    """A provider refuses what an account sends, whoever it is for, until the operator mends something."""

    __tablename__ = "account_faults"

    account: str = Field(sa_type=Text, primary_key=True)
    since: datetime = moment()
    last_at: datetime = moment()
    times: int = 1
    reason: str = text_column()
    conversation_id: UUID = Field(foreign_key="conversations.id")  # of the message that showed it last
    told_at: datetime | None = maybe_moment()
    mended_at: datetime | None = maybe_moment()


class Consent(SQLModel, table=True):
    """A word about what may be sent to an address; append-only."""

    __tablename__ = "consents"

    id: UUID = Field(primary_key=True)
    contact_point_id: UUID = Field(foreign_key="contact_points.id", index=True)
    purpose: str = text_column()  # case | survey | broadcast | marketing | everything
    given: bool = True
    at: datetime = moment()
    who: str = text_column()  # person | provider | agent:<id>
    how: str = text_column()  # the word, the code, the link


class Note(SQLModel, table=True):
    """What an agent wrote for colleagues; no channel ever reads this table."""

    __tablename__ = "notes"
    __table_args__ = (Index("notes_order", "conversation_id", "number", unique=True),)

    id: UUID = Field(primary_key=True)
    conversation_id: UUID = Field(foreign_key="conversations.id")
    number: int
    agent_id: UUID = Field(foreign_key="agents.id")
    text: str = text_column()
    created_at: datetime = moment()


class DeskThread(SQLModel, table=True):
    """A conversation as a card with a thread, where agents work outside the console."""

    __tablename__ = "desk_threads"
    __table_args__ = (
        UniqueConstraint("conversation_id", "account", name="desk_threads_once"),
        Index("desk_threads_name", "account", "thread", postgresql_where=text("thread IS NOT NULL")),
        Index("desk_threads_active", "account", postgresql_where=text("active")),
    )

    id: UUID = Field(primary_key=True)
    conversation_id: UUID = Field(foreign_key="conversations.id")
    account: str = text_column()
    thread: str | None = maybe_text()  # the provider's name of it; null: the card is not there yet
    active: bool = True  # a person is needed, or speaks
    shown: str | None = maybe_text()  # the card as it stands there, in short
    seen: str | None = maybe_text()  # the state of things when we last looked
    through: int = 0  # what was said up to this number stands there
    told: list[Any] = json_list()  # rows that need no word any more
    acts: list[Any] = json_list()  # keys of what was done there: a repetition does nothing
    claimed_until: datetime | None = maybe_moment()
    created_at: datetime = moment()


class Timer(SQLModel, table=True):
    """Something that becomes due; `key` makes it unique in its business."""

    __tablename__ = "timers"
    __table_args__ = (Index("timers_due", "due_at", postgresql_where=text("done_at IS NULL")),)

    id: UUID = Field(primary_key=True)
    key: str = Field(unique=True)
    conversation_id: UUID = Field(foreign_key="conversations.id", index=True)
    kind: str
    due_at: datetime = moment()
    data: Json = json_object()
    done_at: datetime | None = maybe_moment()


class SavedCursor(SQLModel, table=True):
    """Where a listener stands; saved in the transaction that keeps what it brought."""

    __tablename__ = "cursors"

    account: str = Field(primary_key=True)
    cursor: Json = json_object()
    updated_at: datetime = moment()


class LeaseHolder(SQLModel, table=True):
    """Who holds a listener's advisory lock, for people to read; the lock itself decides."""

    __tablename__ = "leases"

    name: str = Field(primary_key=True)
    holder: str
    since: datetime = moment()


class Verification(SQLModel, table=True):
    """A proof that is under way: a code by e-mail or a single-use link."""

    __tablename__ = "verifications"

    id: UUID = Field(primary_key=True)
    person_id: UUID = Field(foreign_key="people.id", index=True)
    conversation_id: UUID = Field(foreign_key="conversations.id", index=True)
    kind: str  # email | telegram
    account: str
    address: str | None = maybe_text()
    secret_hash: str = Field(index=True)
    tries: int = 0
    created_at: datetime = moment()
    expires_at: datetime = moment()
    used_at: datetime | None = maybe_moment()


class Attempt(SQLModel, table=True):
    """One use of something that is limited (a status look-up, a login, a code)."""

    __tablename__ = "attempts"
    __table_args__ = (Index("attempts_key", "key", "at"),)

    id: UUID = Field(primary_key=True)
    key: str
    at: datetime = moment()


class Agent(SQLModel, table=True):
    """Somebody who works in the console."""

    __tablename__ = "agents"

    id: UUID = Field(primary_key=True)
    login: str = Field(unique=True)
    name: str
    role: str  # agent | manager | admin
    password_hash: str
    active: bool = True
    language: str = "es"
    created_at: datetime = moment()


class Session(SQLModel, table=True):
    """A browser that we know: an agent's, or a customer's in the web chat. The token itself is never stored."""

    __tablename__ = "sessions"

    token_hash: str = Field(primary_key=True)
    agent_id: UUID | None = Field(default=None, foreign_key="agents.id", index=True)
    address: str | None = maybe_text()  # web chat: the address of its contact point
    csrf: str
    created_at: datetime = moment()
    seen_at: datetime = moment()
    expires_at: datetime = moment()


class Draft(SQLModel, table=True):
    """What an agent has begun to write."""

    __tablename__ = "drafts"

    agent_id: UUID = Field(foreign_key="agents.id", primary_key=True)
    conversation_id: UUID = Field(foreign_key="conversations.id", primary_key=True)
    mode: str = Field(default="reply", primary_key=True)
    text: str = text_column()
    updated_at: datetime = moment()


class Label(SQLModel, table=True):
    """An agent's correction of what was understood: an example to learn from."""

    __tablename__ = "labels"

    id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="cases.id", index=True)
    message_id: UUID | None = None
    field: str
    was: str
    now: str
    source: str
    agent_id: UUID = Field(foreign_key="agents.id")
    at: datetime = moment()


class Audit(SQLModel, table=True):
    """Who did what in the console."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_at", "at", "id"),
        Index("audit_joins", "object", postgresql_where=text("action = 'people joined'")),
    )

    id: UUID = Field(primary_key=True)
    at: datetime = moment()
    actor: str
    action: str
    object: str
    detail: Json = json_object()


class WebhookLine(SQLModel, table=True):
    """The events of one case for one webhook: the next waits for the one before."""

    __tablename__ = "webhook_lines"
    __table_args__ = (
        Index("webhook_lines_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("webhook_lines_delivered", "webhook", "delivered_at"),
        Index("webhook_lines_failing", "webhook", "failed_at", postgresql_where=text("failed_at IS NOT NULL")),
    )

    id: UUID = Field(primary_key=True)
    webhook: str = text_column()  # its name in config.yaml
    case_id: UUID = Field(foreign_key="cases.id", index=True, ondelete="CASCADE")
    last_number: int = 0
    failures: int = 0  # in a row
    due_at: datetime | None = maybe_moment()  # of the next attempt; null: nothing waits
    delivered_at: datetime | None = maybe_moment()
    failed_at: datetime | None = maybe_moment()  # null: the last attempt did well
    last_error: str | None = maybe_text()


class WebhookEvent(SQLModel, table=True):
    """Something that another program is told, written in the transaction in which it happened."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        UniqueConstraint("line_id", "key", name="webhook_events_once"),
        Index("webhook_events_waiting", "line_id", "number", postgresql_where=text("state = 'waiting'")),
        Index("webhook_events_given_up", "line_id", postgresql_where=text("state = 'given up'")),
        Index("webhook_events_settled", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
    )

    id: UUID = Field(primary_key=True)
    line_id: UUID = Field(foreign_key="webhook_lines.id", ondelete="CASCADE")
    number: int
    kind: str = text_column()  # case.opened | case.changed | case.message | case.solved | case.flagged
    key: str = text_column()  # of the happening
    data: Json = json_object()
    at: datetime = moment()
    state: str = Field(default="waiting", sa_type=Text)  # waiting | delivered | given up
    attempts: int = 0
    settled_at: datetime | None = maybe_moment()
