"""What can happen in a conversation. The caller fills in everything that needs a clock, a model or the database."""

from dataclasses import dataclass

LIKELY = 0.5  # below it a doubtful type is a guess, on which nothing is built


@dataclass(frozen=True)
class Heard:
    """A fact of the text. Kinds and normal forms are those of the reader (order, date, amount, email, wish …)."""

    kind: str
    value: str
    text: str = ""  # as it was written


@dataclass(frozen=True, kw_only=True)
class Said:
    """The person wrote: one message, or a burst put together. Machine mail never gets here."""

    text: str = ""
    # what was understood of it
    language: str = "es"
    type: str = "otro"
    type_confidence: float = 0.0
    sure: bool = False
    second_type: str | None = None
    severity: str = "low"
    act: str = "report"
    human_now: bool = False
    facts: tuple[Heard, ...] = ()
    alarms: tuple[str, ...] = ()
    source: str = "rules"
    # what came with it
    pressed: str | None = None  # payload of a Choice
    files: int = 0
    voice: bool = False  # what came is a voice note, which nobody has turned into words
    other_subject: bool = False  # a mail that answers an older one, but under a subject of its own
    code: str | None = None  # a case code that the caller found; None: the dialogue looks for one itself
    # what is true now
    channel: str = "web"  # kind of channel of this conversation
    channels: tuple[str, ...] = ("web",)  # kinds that this installation offers
    acked: bool = True  # an Ack (with the AI notice) has left or will leave before this Answer
    reachable: bool = True  # something is known by which we can write when this window is closed
    proves_phone: bool = False  # a choice can ask for the number of the phone itself
    people_online: bool = True
    back_at: str | None = None  # when people are back, in words of the person's language; None: not known

    @property
    def likely(self) -> str:
        """The type, where it is more than a guess; else "otro"."""
        return self.type if self.sure or self.type_confidence >= LIKELY else "otro"


@dataclass(frozen=True)
class AgentTook:
    """A person took the conversation: from here on the bot is silent."""

    name: str


@dataclass(frozen=True)
class AgentSpoke:
    """A person wrote to the customer; a "yes" that follows answers them and not our closing question."""


@dataclass(frozen=True)
class AgentGaveBack:
    """The person gave the conversation back to the bot."""

    name: str


@dataclass(frozen=True)
class StateChanged:
    """An agent moved the case. `note` is a public sentence to go with it."""

    to: str
    by: str
    note: str | None = None


@dataclass(frozen=True)
class SolutionAnnounced:
    """An agent says that the case is solved: the customer is asked whether it is. `note` goes with the question."""

    by: str
    note: str | None = None


@dataclass(frozen=True)
class CasesMerged:
    """An agent took another case of the same person into this one. `other` is its code, which goes on working."""

    other: str
    by: str


@dataclass(frozen=True)
class CasesParted:
    """The agent undid it: the case with the code `other` is again one of its own."""

    other: str
    by: str


@dataclass(frozen=True)
class SurveyDue:
    """The customer is to be asked how the solution of a case was; `reminder`: once more, for the last time."""

    code: str
    reminder: bool = False


@dataclass(frozen=True)
class SilenceDay:
    """Nothing came for a day while the bot was waiting for an answer."""


@dataclass(frozen=True)
class CodeVerified:
    """The one-time code was right (answer to VerifyCode): the address is proved. kind: email | phone."""

    address: str
    kind: str = "email"


@dataclass(frozen=True)
class PhoneShared:
    """The number of their own telephone came, and the provider vouches for it. `kinds`: channels that reach it."""

    number: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeFailed:
    """The one-time code was wrong or too old. `tries_left` 0: this proof is over."""

    tries_left: int


@dataclass(frozen=True)
class ChannelLinked:
    """The person proved another channel (the Telegram link was opened)."""

    kind: str
    address: str = ""


@dataclass(frozen=True)
class LinkOpened:
    """Somebody opened a single-use link here. `proof` names it; `kind` is the channel where it was asked for."""

    proof: str
    kind: str


@dataclass(frozen=True)
class LinkOver:
    """The link that was to be followed has served in the meantime, or is too old."""


@dataclass(frozen=True)
class CaseFound:
    """Answer to AskStatus. `status` is an ISO state; `own`: the case is of a proved address of this person."""

    status: str
    own: bool


@dataclass(frozen=True)
class CaseNotFound:
    """Answer to AskStatus: no such code, or its check symbol is wrong."""


@dataclass(frozen=True)
class StatusLimited:
    """Answer to AskStatus: too many look-ups from this address in the last hour."""


Event = (
    Said
    | AgentTook
    | AgentSpoke
    | AgentGaveBack
    | StateChanged
    | SolutionAnnounced
    | CasesMerged
    | CasesParted
    | SurveyDue
    | SilenceDay
    | CodeVerified
    | CodeFailed
    | ChannelLinked
    | LinkOpened
    | LinkOver
    | PhoneShared
    | CaseFound
    | CaseNotFound
    | StatusLimited
)
