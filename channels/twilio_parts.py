"""One message as the calls that carry it, and which of them have been made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any


@dataclass(frozen=True)
class Part:
    """What one call carries. `mark`: what it is, the same on every attempt (the links in it are not)."""

    fields: Mapping[str, Any]
    mark: str


@dataclass(frozen=True)
class Gone:
    """A part that Twilio has taken."""

    mark: str
    sid: str


def still_good(gone: Sequence[Gone], parts: Sequence[Part]) -> tuple[Gone, ...]:
    """Of what an earlier attempt sent, that with which this one begins: the rest may have another shape by now."""
    pairs = takewhile(lambda pair: pair[0].mark == pair[1].mark, zip(gone, parts, strict=False))
    return tuple(one for one, _ in pairs)


def of_text(pieces: Sequence[Mapping[str, Any]]) -> list[Part]:
    """The calls that carry a text."""
    return [Part(fields, f"text {number} of {len(pieces)}") for number, fields in enumerate(pieces, start=1)]
