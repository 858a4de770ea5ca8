"""Phrases written as people say them, compiled to regular expressions over folded text.

devuelv* mi dinero        `*` any ending
nadie ... contesta        up to five words between
(una |un )?persona        the rest is a regular expression; a blank is any gap within one sentence
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from nlu.fold import Folded, Folder
from nlu.understanding import LANGUAGES

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where there is one: eight times faster
WORDS = Path(__file__).parent / "words"
_GAP = r"(?:[^\w.!?\n]{1,8}+)"  # bounded and possessive: a page of blanks must cost no seconds
_SOME = rf"{_GAP}(?:\w+{_GAP}){{0,5}}?"
_OPENING = re.compile(r"\((?!\?)")


def compiled(phrases: Sequence[str]) -> re.Pattern[str]:
    """One expression that finds any of the phrases at word borders."""
    for phrase in phrases:
        if not isinstance(phrase, str):
            raise TypeError(f"{phrase!r} must be quoted: YAML read it as {type(phrase).__name__}")
    return re.compile(rf"(?<!\w)(?:{'|'.join(_expression(p) for p in phrases)})(?!\w)" if phrases else r"(?!)")


def _expression(phrase: str) -> str:
    phrase = _OPENING.sub("(?:", phrase)
    phrase = re.sub(r"(?<=[a-z])(?<!\\w)\*", r"\\w*", phrase)
    return "(?:" + phrase.replace(" ... ", _SOME).replace(" ", _GAP) + ")"


def whole(phrases: Sequence[str]) -> re.Pattern[str]:
    """Matches a text that is nothing but these phrases, one or several, and punctuation."""
    one = "|".join(_expression(p) for p in phrases)
    return re.compile(rf"[\W_]*+(?:(?:{one})(?!\w)[\W_]*+){{1,5}}")


@dataclass(frozen=True)
class Group:
    """The phrases of one kind, in each language."""

    patterns: tuple[tuple[str, re.Pattern[str]], ...]

    def find(self, folded: Folded) -> Iterator[tuple[str, re.Match[str]]]:
        """Each hit with its language."""
        for language, pattern in self.patterns:
            for match in pattern.finditer(folded.text):
                yield language, match

    def any(self, folded: Folded) -> bool:
        """Whether any phrase of any language is in the text."""
        return any(pattern.search(folded.text) for _, pattern in self.patterns)

    def most(self, folded: Folded, limit: int = 2) -> int:
        """How many hits the language with the most hits has, counted up to `limit`."""
        return max((self._count(pattern, folded, limit) for _, pattern in self.patterns), default=0)

    @staticmethod
    def _count(pattern: re.Pattern[str], folded: Folded, limit: int) -> int:
        count = 0
        for _ in pattern.finditer(folded.text):
            count += 1
            if count >= limit:
                break
        return count

    def fills(self, folded: Folded) -> bool:
        """Whether the whole text is made of these phrases (compiled with `whole`)."""
        return any(pattern.fullmatch(folded.text) for _, pattern in self.patterns)


@cache
def words(name: str) -> Mapping[str, Any]:
    """A file of words, read once."""
    loaded: Mapping[str, Any] = yaml.load((WORDS / f"{name}.yaml").read_text(encoding="utf-8"), LOADER)  # noqa: S506  a safe one
    return loaded


@cache
def group(*path: str, entire: bool = False, prefix: str = "") -> Group:
    """The phrases under a key of every language's file, for example group("acts", "human")."""
    build = whole if entire else compiled
    return Group(tuple((language, build(_phrases(prefix + language, path))) for language in LANGUAGES))


def _phrases(name: str, path: tuple[str, ...]) -> list[str]:
    found: Any = words(name)
    for key in path:
        found = found[key]
    return list(found)


@cache
def folder() -> Folder:
    """The folder that knows the abbreviations and key words of all languages."""
    short: dict[str, str] = {}
    keys: set[str] = set()
    for language in LANGUAGES:
        short |= {str(k): str(v) for k, v in words(language)["short"].items() if str(k) not in _AMBIGUOUS}
        keys |= set(words(language)["keys"].split())
    return Folder(short, keys)


# Abbreviations that are words of another language.
_AMBIGUOUS = frozenset({"c", "n", "u", "r", "k", "ps", "td", "mt", "pf"})
