"""What the dialogue wants done. The caller executes effects in order, in the transaction of the turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Facts = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Word:
    """A blank that is itself a line of the catalogue (the name of a type, of a state)."""

    line: str


@dataclass(frozen=True)
class Bullets:
    """A blank that is a list: (line of the label, what was said)."""

    items: tuple[tuple[str, str], ...]


Blank = str | Word | Bullets
SHARE_PHONE = "phone:share"
"""The payload of a choice that asks for the phone's own number; what comes back is no press but PhoneShared."""


@dataclass(frozen=True)
class Choice:
    """A button: the line of its label and the payload that comes back in `Said.pressed`."""

    line: str
    payload: str


@dataclass(frozen=True, kw_only=True)
class Say:
    """A paragraph. All of one turn, joined by blank lines, are one Answer; their buttons stand under it.

    Blanks that only the database or the config knows ({code}, {opened_at}, {due_date}, {since}, {company},
    {bot_name}, {hours}, {emergency_number}, {privacy_url}, {link}) are not in `blanks`: the renderer adds them.
    `dated`: the line stands in the catalogue as `<line>.due` (a legal date), `<line>.target` (an internal target) and
    `<line>.undated`; the renderer takes the one that fits the case (`due_kind` legal, internal, none).
    `notice`: caused by an agent's act; written even while a person speaks (author `notice:<agent>`).
    """

    line: str
    blanks: Mapping[str, Blank] = field(default_factory=dict)
    buttons: tuple[Choice, ...] = ()
    dated: bool = False
    notice: bool = False


@dataclass(frozen=True, kw_only=True)
class OpenCase:
    """Open a case. A Say of the line "receipt" always follows in the same turn."""

    type: str
    severity: str
    facts: Facts
    type_confidence: float
    doubt: bool
    second_type: str | None = None
    alarms: tuple[str, ...] = ()
    source: str = "rules"


@dataclass(frozen=True, kw_only=True)
class UpdateCase:
    """Write to the open case; None leaves a field as it is. `facts` are all facts, old ones included."""

    type: str | None = None
    doubt: bool | None = None
    severity: str | None = None  # only ever raised
    facts: Facts | None = None
    asked: tuple[str, ...] | None = None
    stage: str | None = None  # gathering | confirming | filed
    share_words: bool | None = None
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class CallPerson:
    """Flag for the agents and alert them. reason: asked | harm | urgent | anger | bot_failed."""

    reason: str
    urgent: bool = False


@dataclass(frozen=True)
class Flag:
    """Put on the agents' list without an alert. reason: silent | not_solved | legal | press | file | …"""

    reason: str


@dataclass(frozen=True)
class SetPreferred:
    """Write to this person by this kind of channel from now on; it is proved. None: the proved one of that kind."""

    kind: str
    address: str | None = None


@dataclass(frozen=True)
class AddContact:
    """The person told an address that is not proved. kind: email | phone."""

    kind: str
    address: str


@dataclass(frozen=True)
class SendCode:
    """Send a one-time code of six digits to this address. kind: email | phone (by SMS)."""

    address: str
    kind: str = "email"


@dataclass(frozen=True)
class VerifyCode:
    """Check a typed code now and feed CodeVerified or CodeFailed into the same turn."""

    code: str


@dataclass(frozen=True)
class MakeLink:
    """Make a single-use link into our chat on this kind of channel; the blank {link} of this turn is its address."""

    kind: str


@dataclass(frozen=True)
class FollowLink:
    """This chat belongs to whoever asked for that link; ChannelLinked or LinkOver follows in the same turn."""

    proof: str


@dataclass(frozen=True)
class AskStatus:
    """Look the case up now and feed CaseFound, CaseNotFound or StatusLimited into the same turn.

    None: the person's own case of this conversation. The found case fills {code}, {since}, {due_date} of the turn.
    """

    code: str | None


@dataclass(frozen=True)
class Reopen:
    """The customer says that it is not solved."""


@dataclass(frozen=True)
class ConfirmSolved:
    """The customer says that it is solved. Only this closes a case."""


@dataclass(frozen=True)
class RecordSurvey:
    """What the customer says of the solution of the case with this code. `low`: a person is to look at it.

    csat: 1 to 5. nps: 0 to 10. None leaves a field as it is; a comment is added to what was said before.
    declined: they would rather not say.
    """

    code: str
    csat: int | None = None
    nps: int | None = None
    comment: str | None = None
    low: bool = False
    declined: bool = False


@dataclass(frozen=True)
class LeaveCase:
    """The case stays as it is; this conversation turns to a new one."""


@dataclass(frozen=True)
class OptOut:
    """Nothing unasked is sent to this address any more."""


@dataclass(frozen=True)
class SetLanguage:
    """The person's language from now on, this Answer included: es | en | pt."""

    language: str


@dataclass(frozen=True)
class SetTreatment:
    """How the person is addressed in Spanish: tu | usted."""

    treatment: str


@dataclass(frozen=True)
class SetName:
    """The person told their name."""

    name: str


@dataclass(frozen=True)
class StartTimer:
    """Start again the timer of this kind for this conversation. silence: SilenceDay after 24 h without a message."""

    kind: str


@dataclass(frozen=True)
class StopTimer:
    """Forget the timer of this kind."""

    kind: str


Effect = (
    Say
    | OpenCase
    | UpdateCase
    | CallPerson
    | Flag
    | SetPreferred
    | AddContact
    | SendCode
    | VerifyCode
    | MakeLink
    | FollowLink
    | AskStatus
    | Reopen
    | ConfirmSolved
    | RecordSurvey
    | LeaveCase
    | OptOut
    | SetLanguage
    | SetTreatment
    | SetName
    | StartTimer
    | StopTimer
)
