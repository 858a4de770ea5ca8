"""The contract between Acuse and a channel: every channel can send; it either listens or is called.

What a channel can *show* is data (`Features`), so that nobody ever asks which channel it is.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

Cursor = Mapping[str, Any]
"""Where a listener stands (Telegram: `offset`; IMAP: mailbox, UIDVALIDITY, UID). JSON values only."""


class ChannelError(Exception):
    """Something between us and a provider; its subclasses are named by what must be done."""


class Forged(ChannelError):
    """The call was not signed by the provider. Answered with 403."""


class Malformed(ChannelError):
    """The provider could not have sent this. Answered with 400."""


class Unsupported(ChannelError):
    """The provider sent a kind of message that we do not read. Answered with 200."""


class Undeliverable(ChannelError):
    """This message will never arrive and is not retried.

    `means` says what else follows from it. "address": nothing more goes to this address (the person left or blocked us,
    the address is wrong); "opted_out": the person wants nothing more there; "message": only this message was refused
    (its content, a file, a template), the address is good; "account": so will others be, until the operator mends it.
    """

    def __init__(
        self, reason: str = "", means: Literal["address", "opted_out", "message", "account"] = "address"
    ) -> None:
        super().__init__(reason)
        self.means = means


class Unavailable(ChannelError):
    """The provider is down or busy. Retried after `retry_after` if it says so, else by back-off.

    `may_have_arrived`: the call broke off when the provider may have taken it; what must not come twice stays away.
    `account`: the operator must mend the account (its credentials, a limit, a sender that is suspended).
    """

    def __init__(
        self,
        reason: str,
        retry_after: timedelta | None = None,
        *,
        may_have_arrived: bool = False,
        account: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.may_have_arrived = may_have_arrived
        self.account = account


@dataclass(frozen=True)
class Address:
    """An address on one of our accounts: `account` is the name in config.yaml, `value` the provider's opaque id."""

    account: str
    value: str


@dataclass(frozen=True)
class Rate:
    """At most `messages` in any stretch of `within`, from one account in all or to each recipient of it.

    Where several recipients read in one place (`Places`), they are one.
    """

    messages: int
    within: timedelta
    per: Literal["account", "recipient"] = "account"


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a channel can show and promise."""

    buttons: int = 0  # how many can stand under a message; 0: choices are numbered in the text
    text_limit: int = 4096  # characters of one message
    files: bool = True  # can carry files from us
    file_limit: int | None = None  # bytes of a file from them that the provider hands out
    subject: bool = False  # has a subject line
    threads: bool = False  # one conversation per thread, not one per sender
    may_write_first: bool = True
    free_text_window: timedelta | None = None  # after their last message; None: no limit
    burst: timedelta = timedelta(seconds=3)  # silence to wait for before the Answer
    late_ack: timedelta | None = None  # the Ack leaves only if no Answer has left by then; None: at once
    receipts: bool = False  # the provider tells when a message was delivered
    repeat_uncertain: bool = True  # after a crash in mid-send: send receipts and answers again
    unread_after: timedelta | None = None  # what nobody has seen for so long takes another way; None: cannot be known
    verified: bool = True  # the provider vouches for the sender's address (an e-mail's From does not)
    pace: tuple[Rate, ...] = ()  # what the provider bears, counted over all workers
    proves_phone: bool = False  # a Button that asks for the phone brings a number that the provider vouches for


@dataclass(frozen=True, kw_only=True)
class Media:
    """A file that came with a message: its bytes if they came along, else a reference for `fetch`."""

    name: str | None = None
    declared_type: str | None = None  # what the sender says; never believed
    size: int | None = None
    content: bytes | None = None
    ref: str | None = None
    inline: bool = False


@dataclass(frozen=True, kw_only=True)
class Inbound:
    """A message from a person (or from a machine that writes like one)."""

    key: str  # the provider's id: unique in the account, decides what is a duplicate
    sender: Address
    text: str
    sent_at: datetime  # by the provider's clock, aware
    name: str | None = None
    media: tuple[Media, ...] = ()
    pressed: str | None = None  # payload of the button that was pressed
    start: str | None = None  # payload of a deep link ("/start …")
    thread: str | None = None  # only where Features.threads: the root of the thread
    replies_to: tuple[str, ...] = ()  # provider ids that it answers, nearest first
    tokens: tuple[str, ...] = ()  # case codes or reply tokens found in addresses or the subject
    signed: tuple[str, ...] = ()  # those of them that stand in a reply address that we signed
    subject: str | None = None
    subject_changed: bool = False  # an answer under another subject: perhaps a new matter, so ask
    language: str | None = None  # what the provider says of the person's language
    machine: str | None = None  # why this is machine mail; it is stored and never answered
    authentic: bool = True  # False: the sender's address is not proved
    raw: bytes | None = None  # the original, where keeping it matters (mail)
    provider_id: str | None = None  # the provider's id of this message, where it differs from `key`
    extra: Mapping[str, Any] = field(default_factory=dict)  # what `settle` needs later
    same_as: tuple[str, ...] = ()  # other ways to write the same address on this account: they are one person
    aside: bool = False  # in a shared place and not to us: it matters only where a talk with this person goes on
    voice: bool = False  # it was spoken: `media` holds the recording, `text` is empty
    phone: str | None = None  # +57…: a number that the provider vouches is the sender's own (not just typed or sent on)
    cursor: Cursor | None = None


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A person changed a message: a revision is kept beside the first version."""

    key: str  # of this edit
    original: str  # provider_id of the message
    sender: Address
    text: str
    sent_at: datetime
    media: tuple[Media, ...] | None = None  # all files that it has now; None: they are not spoken of
    cursor: Cursor | None = None


@dataclass(frozen=True, kw_only=True)
class DeliveryReport:
    """What became of a message of ours: delivered, read or failed."""

    account: str
    provider_id: str
    state: str  # sent | delivered | read | failed
    at: datetime
    reason: str | None = None
    permanent: bool = True
    recipient: str | None = None
    key: str | None = None  # ours, where the provider gives it back: the report may be faster than our own commit
    means: Literal["address", "opted_out", "message", "window", "later", "account"] | None = None
    """What follows from a failure. Beside what Undeliverable knows: "window": the same again as a template; "later":
    the same again after the next of `retries`, else another way now; "account": the operator must mend something."""
    retries: tuple[timedelta, ...] = ()  # pauses before each new attempt, when it means "later"
    alert: bool = False  # it will be so for others, too, until the operator does something about the account
    part: int | None = None  # of a message in several parts: which one. It has arrived when all of them have
    last_part: bool = False  # this one is the last: `part` is how many there are
    cursor: Cursor | None = None


@dataclass(frozen=True, kw_only=True)
class Blocked:
    """The person blocked us (or let us in again): the contact point can (or can again) be written to."""

    address: Address
    blocked: bool
    at: datetime
    opted_out: bool = False  # by a word that the provider acts on (STOP): nothing may go there, whatever it is about
    cursor: Cursor | None = None


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """Something that we do not read; it only moves the cursor on."""

    why: str
    cursor: Cursor | None = None


@dataclass(frozen=True, kw_only=True)
class DeskAct:
    """A colleague did something where agents work outside the console: below a card that we put there."""

    key: str  # the provider's id: what it delivers twice is done once
    account: str
    who: str  # the provider's id of the colleague
    thread: str  # of the card, as `DeskPlace.put` named it (desk_place.py)
    verb: str  # that of the card's button or of the form; "say": written below the card
    text: str = ""
    media: tuple[Media, ...] = ()
    handle: str | None = None  # what `DeskPlace.ask` needs to open a form; good for seconds
    at: datetime
    cursor: Cursor | None = None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A person opened a place to write to us and has said nothing yet: nothing of it is kept."""

    sender: Address
    extra: Mapping[str, Any] = field(default_factory=dict)  # what `welcome` needs
    cursor: Cursor | None = None


Arrival = Inbound | Edited | DeliveryReport | Blocked | DeskAct | Opened | Ignored


@dataclass(frozen=True)
class Button:
    """A choice under a message; `payload` is opaque and at most 64 bytes.

    One that `asks` for the phone has no payload to bring back: what comes is an Inbound with `phone`. Only where
    Features.proves_phone; elsewhere it is left out.
    """

    label: str
    payload: str
    asks: Literal["phone"] | None = None


@dataclass(frozen=True)
class File:
    """A file that we send."""

    name: str
    type: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Outbound:
    """One message to one person, already fitted to the channel's features."""

    key: str  # ours, the same on every attempt
    to: Address
    text: str
    buttons: tuple[Button, ...] = ()
    files: tuple[File, ...] = ()
    subject: str | None = None
    replies_to: tuple[str, ...] = ()  # provider ids of the thread, oldest first
    automatic: str | None = "auto-generated"  # mail: Auto-Submitted; None when a person wrote it
    code: str | None = None  # the case, for subject token and reply address
    language: str = "es"
    kind: str = "answer"  # of the outgoing row: ack | answer | receipt | update | closing | survey | agent | …
    window_open: bool = True  # False: Features.free_text_window is over, so only a template may go
    unsubscribe: str | None = None  # https://… that ends this kind of message by one POST (RFC 8058)
    blanks: Mapping[str, str] = field(default_factory=dict)
    """What a template may state: name, code, date, status, next, answer, …; `note`: words that only `text` carries."""


@dataclass(frozen=True)
class Health:
    """What a live check of a channel found, with the remedy when something is wrong."""

    ok: bool
    detail: str
    remedy: str | None = None


@dataclass(frozen=True)
class House:
    """What a channel may know of the installation that it belongs to."""

    secret: bytes = field(repr=False)  # for what it signs
    public_url: str | None = None  # where providers reach us, without a slash at the end
    company: str = ""


@dataclass(frozen=True)
class Reply:
    """What is answered to a web call."""

    status: int = 204
    type: str = "text/plain; charset=utf-8"
    body: bytes = b""


@dataclass(frozen=True)
class TemplateState:
    """How a template of ours stands at the provider, in one language."""

    name: str
    language: str
    state: str  # missing | unsubmitted | pending | approved | rejected | paused | disabled
    remedy: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A web call without any framework: the body is raw, the names of headers are lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@runtime_checkable
class Channel(Protocol):
    """Every channel can send."""

    name: str
    features: Features

    async def send(self, message: Outbound) -> str:
        """Hand the message to the provider and return the provider's id for it.

        Raises Undeliverable or Unavailable.
        """

    async def check(self) -> Health:
        """Ask the provider whether we are welcome. Never raises."""

    async def close(self) -> None:
        """Give connections back."""


@runtime_checkable
class Listener(Channel, Protocol):
    """IMAP, Telegram polling, Slack socket mode."""

    def listen(self, since: Cursor | None) -> AsyncIterator[Arrival]:
        """Yield what arrives. Asking for the next item means that the last one is committed: confirm it then.

        Raises Unavailable when the connection is lost; the caller starts again with the saved cursor.
        """


@runtime_checkable
class Webhook(Channel, Protocol):
    """Channels that are called by their provider."""

    def read(self, request: Request) -> list[Arrival]:
        """Check the call and translate it. Pure: no network, no database.

        Raises Forged, Malformed or Unsupported.
        """


@runtime_checkable
class Fetches(Protocol):
    """A channel whose media are fetched after the message is stored."""

    def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """Stream the file. Raises Undeliverable when it is gone or too large, Unavailable when it may work later."""


@runtime_checkable
class Discards(Protocol):
    """A channel whose provider keeps what people sent until it is told not to."""

    async def discard(self, media: Media) -> None:
        """The file is safe with us, so it need not lie at the provider any longer. Failure is harmless."""


@runtime_checkable
class Settles(Protocol):
    """A channel where a pressed button wants an answer after the commit."""

    async def settle(self, inbound: Inbound) -> None:
        """Take the waiting sign from the button and the buttons from the message. Failure is harmless."""


@runtime_checkable
class Introduces(Protocol):
    """A channel whose messages come without the sender's name, which can be asked for."""

    async def introduce(self, inbound: Inbound) -> Inbound:
        """The same message with name and language if they can be had within a second. Never raises."""


Known = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Of these provider ids, those that are kept."""


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What a provider holds of what it took in for us, against what we kept of it."""

    held: int  # messages at the provider in the time asked for
    missing: tuple[str, ...] = ()  # what we cannot find among ours, for `recover`
    waiting: int = 0  # not read yet
    waiting_since: datetime | None = None
    problems: tuple[Health, ...] = ()  # what could not be looked into, with the remedy


@runtime_checkable
class Places(Protocol):
    """A channel on which several people may be written to in one place, each in a thread of it."""

    def place_of(self, thread: str) -> str | None:
        """The place of `Inbound.thread`, if others read there as well. Pure."""


@runtime_checkable
class Paid(Protocol):
    """A channel on which a message costs by its length."""

    def segments(self, message: Outbound) -> int:
        """How many pieces the provider charges for. Pure."""


@runtime_checkable
class Reconciles(Protocol):
    """A channel whose provider can be asked what it holds, so that what was missed does not stay missed."""

    async def take_stock(self, cursor: Cursor | None, since: datetime, known: Known) -> Stock:
        """Compare. `cursor`: where the listener stands; beyond it nothing is missing, only waiting.

        Raises Unavailable.
        """

    def recover(self, missing: Sequence[str]) -> AsyncIterator[Arrival]:
        """Fetch what is missing; without a cursor. What we have after all is known by its key. Raises Unavailable."""


@runtime_checkable
class Replies(Protocol):
    """A webhook whose provider wants to hear something in particular (Slack's challenge)."""

    def reply(self, request: Request) -> Reply | None:
        """The answer to a call that `read` has let pass and whose arrivals are committed; None: just 2xx. Pure."""


@runtime_checkable
class Notices(Protocol):
    """A channel that can show the person that we are at it."""

    async def notice(self, inbound: Inbound) -> None:
        """After the commit: show "typing", mark as read. Failure is harmless."""


@dataclass(frozen=True)
class Welcome:
    """What somebody finds who has said nothing yet."""

    title: str
    suggestions: tuple[tuple[str, str], ...]  # what stands there, and what they say by pressing it


@runtime_checkable
class Welcomes(Protocol):
    """A channel with a place that can hold a welcome (`Opened`)."""

    async def welcome(self, opened: Opened, words: Mapping[str, Welcome]) -> None:
        """Show it in the person's language, else in the first of these. Failure is harmless."""


@runtime_checkable
class Templated(Protocol):
    """A channel whose provider must approve what we say first."""

    async def templates(self, *, push: bool = False) -> list[TemplateState]:
        """How each template stands. `push`: create and submit what is missing; doing it again changes nothing.

        Raises Unavailable.
        """
