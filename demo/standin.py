"""What all stand-ins share: the people's phones, the failures on demand, and a diary of what happened."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

Judge = Callable[[str, dict[str, Any], set[str]], list[str]]
"""Method, parameters and names of files of a call in; what is wrong with it by the provider's description out."""


class Failing(StrEnum):
    """How a provider misbehaves."""

    NOT = "not"
    DOWN = "down"
    BUSY = "busy"
    REFUSES = "refuses"
    SLOW = "slow"


class State(StrEnum):
    """What the sender of a message is shown beside it."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


@dataclass(frozen=True)
class Picture:
    """A file in a message."""

    name: str
    type: str
    content: bytes = field(repr=False)


@dataclass(kw_only=True)
class Bubble:
    """One message on a person's phone. `mine`: the person wrote it, else Acuse did."""

    id: str
    mine: bool
    text: str
    at: datetime
    buttons: list[tuple[str, str]] = field(default_factory=list)  # label, payload
    files: list[Picture] = field(default_factory=list)
    state: State = State.SENT
    why: str | None = None  # it failed
    subject: str | None = None
    heading: str | None = None  # what stands above the text: a card's title, who wrote it
    raw: bytes | None = None  # a mail as it came
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Phone:
    """What one person sees."""

    address: str
    name: str
    bubbles: list[Bubble] = field(default_factory=list)

    def bubble(self, id: str) -> Bubble | None:
        """The message with this id."""
        return next((one for one in reversed(self.bubbles) if one.id == id), None)

    def heard(self) -> list[str]:
        """What Acuse said, in order."""
        return [one.text for one in self.bubbles if not one.mine and "carrier" not in one.extra]


@dataclass(frozen=True)
class Call:
    """A call of Acuse."""

    method: str
    parameters: Mapping[str, Any]
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Happening:
    """A line of the diary."""

    at: datetime
    channel: str
    what: str  # a name in page/words
    detail: str = ""
    tone: str = ""  # "" | ok | bad


class Diary:
    """What happened, newest last; whoever watches is told."""

    def __init__(self, now: Callable[[], datetime], *, keeps: int = 300) -> None:
        self._now = now
        self._keeps = keeps
        self.lines: list[Happening] = []
        self.watchers: list[Callable[[str], None]] = []

    def write(self, channel: str, what: str, detail: str = "", tone: str = "", at: datetime | None = None) -> None:
        """Add a line and tell the watchers which channel it concerns."""
        self.lines.append(Happening(at or self._now(), channel, what, detail, tone))
        del self.lines[: -self._keeps]
        self.changed(channel)

    def changed(self, channel: str) -> None:
        """Tell the watchers only."""
        for tell in self.watchers:
            tell(channel)


class StandIn:
    """A provider that keeps its people's phones. Subclasses speak its protocol."""

    kind = ""

    def __init__(self, *, now: Callable[[], datetime], diary: Diary | None = None) -> None:
        self.now = now
        self.diary = diary or Diary(now)
        self.phones: dict[str, Phone] = {}
        self.calls: list[Call] = []
        self.judge: Judge | None = None
        self.faults: list[str] = []
        self.slowness = timedelta(seconds=4)
        self._failing = Failing.NOT
        self._times: int | None = None

    @property
    def failing(self) -> Failing:
        """How it misbehaves now."""
        return self._failing

    def fail(self, how: Failing, times: int | None = None) -> None:
        """Misbehave for so many calls that send, or until told otherwise."""
        self._failing, self._times = how, times

    def phone(self, address: str, name: str = "") -> Phone:
        """The phone at an address, bought now if there was none."""
        found = self.phones.setdefault(address, Phone(address, name or address))
        found.name = name or found.name
        return found

    def said(self) -> list[str]:
        """All that Acuse sent, phone by phone."""
        return [text for phone in self.phones.values() for text in phone.heard()]

    def fault(self) -> Failing:
        """How this call that sends goes wrong; uses up one of `times`."""
        how = self._failing
        if how is not Failing.NOT and self._times is not None:
            self._times -= 1
            if self._times <= 0:
                self._failing, self._times = Failing.NOT, None
        if how in (Failing.DOWN, Failing.BUSY, Failing.REFUSES):
            self.diary.write(self.kind, f"answered_{how}", tone="bad")
        return how

    def note(self, method: str, parameters: Mapping[str, Any], files: Iterable[str] = ()) -> None:
        """Keep a call, and let the judge say what is wrong with it."""
        names = tuple(files)
        self.calls.append(Call(method, dict(parameters), names))
        del self.calls[:-1000]
        if self.judge is not None:
            self.faults += self.judge(method, dict(parameters), set(names))

    def show(self, phone: Phone, bubble: Bubble, *, tell: bool = True) -> Bubble:
        """Put a message on a phone."""
        phone.bubbles.append(bubble)
        if tell:
            words = " ".join(bubble.text.split())
            self.diary.write(self.kind, "wrote" if bubble.mine else "arrived", f"{phone.name}: {words[:90]}")
        return bubble
