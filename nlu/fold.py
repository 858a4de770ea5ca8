"""Read a text as it was meant (lower case, no accents, slips undone), and yet know where each part stood."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_STRETCHED = re.compile(r"([a-z])\1{2,}")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "‐": "-", "–": "-", "—": "-"})
_MIN_KEY = 6  # shorter words are one slip away from too many others


@dataclass(frozen=True)
class Folded:
    """A folded text; `span` leads back to the text as it was written."""

    text: str
    _from: tuple[int, ...]  # where pieces begin in `text`
    _pieces: tuple[tuple[int, int, bool], ...]  # begin and end in the original; True when letters match one to one

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where text[start:end] stood in the original."""
        first, last = bisect_right(self._from, start) - 1, bisect_right(self._from, max(start, end - 1)) - 1
        begin, _, exact = self._pieces[first]
        left = begin + (start - self._from[first]) if exact else begin
        begin, stop, exact = self._pieces[last]
        right = begin + (end - self._from[last]) if exact else stop
        return left, min(right, stop)

    def without(self, spans: Iterable[tuple[int, int]]) -> "Folded":
        """The same text with these stretches made unreadable, so that no phrase matches across them."""
        letters = list(self.text)
        for start, end in spans:
            letters[start:end] = "\x1f" * (end - start)
        return Folded("".join(letters), self._from, self._pieces)


def plain(text: str) -> str:
    """Lower case without accents; exactly one character for each character of the text."""
    return "".join(_plain(c) for c in text.translate(_QUOTES))


def _plain(character: str) -> str:
    if character.isascii():
        return character.lower()
    base = unicodedata.normalize("NFKD", character)[:1].lower()
    return base if len(base) == 1 else character


class Folder:
    """Folds texts with the abbreviations and key words of some languages."""

    def __init__(self, short: Mapping[str, str], keys: Iterable[str]) -> None:
        self._short = dict(short)
        self._keys = frozenset(keys)
        self._near = _slips(self._keys)

    def fold(self, text: str) -> Folded:
        """The folded text."""
        out: list[str] = []
        starts: list[int] = []
        pieces: list[tuple[int, int, bool]] = []
        length = 0
        for piece, begin, end, exact in self._read(text):
            out.append(piece)
            starts.append(length)
            pieces.append((begin, end, exact))
            length += len(piece)
        return Folded("".join(out), tuple(starts) or (0,), tuple(pieces) or ((0, 0, True),))

    def _read(self, text: str) -> Iterator[tuple[str, int, int, bool]]:
        low, at = plain(text), 0
        for found in _WORD.finditer(low):
            if found.start() > at:
                yield low[at : found.start()], at, found.start(), True
            word, at = found.group(), found.end()
            read = self._word(word)
            yield read, found.start(), at, read == word
        if at < len(low):
            yield low[at:], at, len(low), True

    def _word(self, word: str) -> str:
        if word in self._keys:
            return word
        if len(word) > 2 and _STRETCHED.search(word):
            word = _STRETCHED.sub(r"\1", word)
        word = self._short.get(word, word)
        if len(word) < _MIN_KEY or word in self._keys or not word.isalpha():
            return word
        near = {key for slip in _deletes(word) | {word} for key in self._near.get(slip, ()) if one_slip(word, key)}
        return min(near) if near else word


def _deletes(word: str) -> set[str]:
    return {word[:i] + word[i + 1 :] for i in range(1, len(word))}


def _slips(keys: Iterable[str]) -> dict[str, set[str]]:
    near: dict[str, set[str]] = {}
    for key in keys:
        if len(key) >= _MIN_KEY:
            for slip in _deletes(key) | {key}:
                near.setdefault(slip, set()).add(key)
    return near


def one_slip(word: str, key: str) -> bool:
    """One letter wrong, missing, too many, or two exchanged; the ending of a longer form of the key is no slip."""
    if word[0] != key[0] or abs(len(word) - len(key)) > 1:
        return False
    same = 0
    while same < min(len(word), len(key)) and word[same] == key[same]:
        same += 1
    if same >= min(len(word), len(key)) - 1:  # differs in its last letter only: another form, not a slip
        return False
    rest, wanted = word[same:], key[same:]
    swapped = len(rest) > 1 and len(wanted) > 1 and rest[1] + rest[0] + rest[2:] == wanted
    return swapped or rest[1:] == wanted or rest == wanted[1:] or _same_but_first(rest, wanted)


def _same_but_first(rest: str, wanted: str) -> bool:
    """A wrong letter: a consonant for a consonant, or a vowel for a vowel."""
    return rest[1:] == wanted[1:] and (rest[0] in "aeiou") == (wanted[0] in "aeiou")
