"""The page's half of all stand-ins: the people's phones, and a diary of what happened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from textwrap import shorten
from typing import Any

from demo.provider import Picture, Provider


class State(StrEnum):
    """What the sender of a message is shown beside it."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


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
class Happening:
    """A line of the diary."""

    at: datetime
    channel: str
    what: str  # a name in page/words
    detail: str | Mapping[str, str] = ""  # or one for each language
    tone: str = ""  # "" | ok | bad

    def told(self, language: str) -> str:
        """The detail for a reader."""
        return self.detail if isinstance(self.detail, str) else self.detail.get(language, "")


class Diary:
    """What happened, newest last; whoever watches is told."""

    def __init__(self, now: Callable[[], datetime], *, keeps: int = 300) -> None:
        self._now = now
        self._keeps = keeps
        self.lines: list[Happening] = []
        self.watchers: list[Callable[[str], None]] = []

    def write(
        self,
        channel: str,
        what: str,
        detail: str | Mapping[str, str] = "",
        tone: str = "",
        at: datetime | None = None,
    ) -> None:
        """Add a line and tell the watchers which channel it concerns."""
        self.lines.append(Happening(at or self._now(), channel, what, detail, tone))
        del self.lines[: -self._keeps]
        self.changed(channel)

    def changed(self, channel: str) -> None:
        """Tell the watchers only."""
        for tell in self.watchers:
            tell(channel)


class StandIn(Provider):
    """A provider whose people have phones that can be looked at."""

    def __init__(self, *, now: Callable[[], datetime], diary: Diary | None = None) -> None:
        super().__init__(now=now)
        self.diary = diary or Diary(now)
        self.phones: dict[str, Phone] = {}

    def phone(self, address: str, name: str = "") -> Phone:
        """The phone at an address, bought now if there was none."""
        found = self.phones.setdefault(address, Phone(address, name or address))
        found.name = name or found.name
        return found

    def said(self) -> list[str]:
        """All that Acuse sent, phone by phone."""
        return [text for phone in self.phones.values() for text in phone.heard()]

    def show(self, phone: Phone, bubble: Bubble, *, tell: bool = True) -> Bubble:
        """Put a message on a phone."""
        phone.bubbles.append(bubble)
        if tell:
            words = brief(bubble.text) or ", ".join(one.name for one in bubble.files)
            self.diary.write(self.kind, "wrote" if bubble.mine else "arrived", f"{phone.name}: {words}")
        return bubble

    def tell(self, what: str, detail: str = "", tone: str = "") -> None:
        """Write it down."""
        self.diary.write(self.kind, what, detail, tone)


def brief(text: str, most: int = 90) -> str:
    """The beginning of a text on one line, up to a whole word."""
    return shorten(text, most, placeholder=" …") if " " in text.strip()[:most] else text.strip()[:most]
