"""What the dialogue remembers: of the talk, of the case, of the person. Three parts, kept in three places."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

Facts = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Talk:
    """Of this conversation only: who speaks and what was asked last."""

    speaker: str = "bot"  # bot | waiting (a person was called) | person
    pending: tuple[str, ...] = ()  # the questions that wait for an answer
    noticed: bool = False  # the person knows that this is an AI assistant
    greeted: bool = False
    contact_asked: bool = False  # asked once how to reach them outside this window
    anger: int = 0  # bare insults so far
    reassured: bool = False  # said once, while waiting, that a person comes
    held: str | None = None  # a report that waits: for the answer to "same case?", for a type, for a free speaker
    held_type: str | None = None
    held_facts: Facts = field(default_factory=dict)
    proving: str | None = None  # the e-mail address or telephone number that waits for its code
    typed: str | None = None  # six digits that may be that code or an order number
    linking: str | None = None  # the link that was opened here and waits for "yes, that was me"
    wanted: str | None = None  # kind of channel that the person wants and that is not proved yet
    reminded: bool = False  # said once that the case stays open
    held_severity: str = "low"
    idle: int = 0  # messages in a row that brought nothing
    added: bool = False  # the last Answer said that the message was added
    apologised: bool = False
    thanked: bool = False  # thanked once for telling us
    safety: bool = False  # the safety line was said: nothing but a person speaks after it
    sought: bool = False  # the last look-up of a status was by code, not of the own case
    spam: bool = False  # answered one advert; the next ones get nothing
    survey: str | None = None  # code of the case that our questions about the solution are of
    # as of the last message
    channel: str = "web"
    channels: tuple[str, ...] = ("web",)
    reachable: bool = True
    proves_phone: bool = False  # this channel can bring the number of the phone that it runs on


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """The case that is being talked of. It may have begun on another channel."""

    code: str | None = None  # None within the turn that opens it
    type: str = "otro"
    doubt: bool = False  # the person has not said yet which type it is
    severity: str = "low"
    facts: Facts = field(default_factory=dict)  # slot or kind of fact → what was said, newest last
    asked: tuple[str, ...] = ()  # slots that were asked, in order; a question that is repeated counts again
    stage: str = "gathering"  # gathering | confirming | filed
    status: str = "recibido"
    solved_by: str | None = None  # agent | customer


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is known of the person on all channels."""

    language: str | None = None
    name: str | None = None
    preferred: str | None = None  # kind of channel
    contacts: Mapping[str, bool] = field(default_factory=dict)  # kind of address → proved
    treatment: str = "tu"  # tu | usted
    opted_out: bool = False


@dataclass(frozen=True, kw_only=True)
class State:
    """All that `step` needs to know."""

    talk: Talk = field(default_factory=Talk)
    case: CaseFacts | None = None
    profile: Profile = field(default_factory=Profile)


Part = TypeVar("Part", Talk, CaseFacts, Profile)


def dump(part: Talk | CaseFacts | Profile) -> dict[str, Any]:
    """As JSON-able data; mappings and tuples become dicts and lists."""
    return {name: _plain(value) for name, value in asdict(part).items()}


def load(kind: type[Part], data: Mapping[str, Any] | None) -> Part:
    """Back from stored data. Unknown keys are dropped and missing ones take their default: an old row still loads."""
    data = data or {}
    return kind(**{f.name: _typed(f.name, data[f.name]) for f in fields(kind) if data.get(f.name) is not None})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _typed(name: str, value: Any) -> Any:
    if name in ("facts", "held_facts"):
        return {slot: (said,) if isinstance(said, str) else tuple(said) for slot, said in value.items()}
    return tuple(value) if isinstance(value, list) else value
