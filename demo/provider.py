"""What the protocol halves of all stand-ins share: failures on demand, the calls that came, and who judges them."""

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


@dataclass(frozen=True)
class Picture:
    """A file in a message."""

    name: str
    type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Call:
    """A call of Acuse."""

    method: str
    parameters: Mapping[str, Any]
    files: tuple[str, ...] = ()


class Provider:
    """A provider that keeps state and misbehaves when it is told to. Subclasses speak its protocol."""

    kind = ""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self.now = now
        self.calls: list[Call] = []
        self.judge: Judge | None = None
        self.faults: list[str] = []  # what Acuse did wrong
        self.slowness = timedelta(seconds=4)
        self.busy_for = timedelta(seconds=3)  # what it says in Retry-After
        self._failing = Failing.NOT
        self._times: int | None = None

    @property
    def failing(self) -> Failing:
        """How it misbehaves now."""
        return self._failing

    def fail(self, how: Failing, times: int | None = None) -> None:
        """Misbehave for so many calls that send, or until told otherwise."""
        self._failing, self._times = how, times

    def fault(self) -> Failing:
        """How this call that sends goes wrong; uses up one of `times`."""
        how = self._failing
        if how is not Failing.NOT and self._times is not None:
            self._times -= 1
            if self._times <= 0:
                self._failing, self._times = Failing.NOT, None
        if how in (Failing.DOWN, Failing.BUSY, Failing.REFUSES):
            self.tell(f"answered_{how}", tone="bad")
        return how

    def note(self, method: str, parameters: Mapping[str, Any], files: Iterable[str] = ()) -> None:
        """Keep a call, and let the judge say what is wrong with it."""
        names = tuple(files)
        self.calls.append(Call(method, dict(parameters), names))
        del self.calls[:-1000]
        if self.judge is not None:
            self.faults += self.judge(method, dict(parameters), set(names))

    def asked(self, method: str) -> list[dict[str, Any]]:
        """The parameters of each call of a method, oldest first."""
        return [dict(one.parameters) for one in self.calls if one.method == method]

    def tell(self, what: str, detail: str = "", tone: str = "") -> None:
        """Something happened. Nobody watches the protocol alone; the page's half writes it into its diary."""
