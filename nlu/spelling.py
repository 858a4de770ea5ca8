"""Mend typos and lost accents before the encoder reads: its tokens are pieces of words, and a slip makes others.

Only towards words that the model has learned from (`words.npz` beside it, made by `python -m nlu.spelling_fit`), and
never away from a word that any of its languages knows: "acoso" must not become "acaso". Rules, facts and people read
what was written. What it brings stands in docs/model.md.
"""

import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from nlu.fold import plain

FILE = "words.npz"
SHORTEST = 3  # letters of a word that may be mended
MOST = 60  # words that are mended in one text: more is no typing but another language
_WORD = re.compile(r"[^\W\d_]+")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Spelling:
    """Words that a model learned from, as they are best written, and (as numbers) all that its languages know."""

    def __init__(self, learned: Mapping[str, int], known: np.ndarray) -> None:
        self._often: dict[str, int] = {}
        self._best: dict[str, tuple[int, str]] = {}
        for word, times in learned.items():
            key = plain(word)
            self._often[key] = self._often.get(key, 0) + times
            self._best[key] = max(self._best.get(key, (0, "")), (times, word))
        self._known = known

    def __call__(self, text: str) -> str:
        """The text with each word as the model knows it, where that is one slip away."""
        left = MOST

        def mended(found: re.Match[str]) -> str:
            nonlocal left
            word = found[0]
            better = self._better(word) if left else word
            left -= better != word
            return better

        return _WORD.sub(mended, text)

    def _better(self, word: str) -> str:
        low, key = word.lower(), plain(word)
        if key in self._best:
            best = self._best[key][1] if low == key else low
        elif len(word) < SHORTEST or self._is_known(key):
            return word
        else:
            near = max(_one_slip(key), key=lambda one: (self._often.get(one, 0), one))
            if near not in self._best:
                return word
            best = self._best[near][1]
        if best == low:
            return word
        if len(word) > 1 and word.isupper():
            return best.upper()
        return best.capitalize() if word[0].isupper() else best

    def _is_known(self, key: str) -> bool:
        number = number_of(key)
        place = int(np.searchsorted(self._known, number))
        return place < len(self._known) and int(self._known[place]) == number


def number_of(key: str) -> int:
    """A folded word as 32 bits. Of ten thousand misspelt words one has another's number, and stays as it is."""
    return zlib.crc32(key.encode())


def _one_slip(word: str) -> Iterable[str]:
    """All that one letter missing, too many, wrong or exchanged with its neighbour makes of a word."""
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        if tail:
            yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in _LETTERS:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]


def load(directory: Path) -> Spelling | None:
    """What stands beside a model; None: nothing, and texts are read as they are."""
    if not (directory / FILE).is_file():
        return None
    with np.load(directory / FILE) as arrays:
        words = bytes(arrays["words"]).decode().split("\n")
        return Spelling(dict(zip(words, map(int, arrays["times"]), strict=True)), arrays["known"])


def save(directory: Path, learned: Mapping[str, int], known: Iterable[str]) -> None:
    """Keep it beside a model: how often each written form was seen, and the words that are none to be mended."""
    words = sorted(learned)
    numbers = {number_of(plain(word)) for word in known} | {number_of(plain(word)) for word in words}
    np.savez_compressed(
        directory / FILE,
        words=np.frombuffer("\n".join(words).encode(), np.uint8),
        times=np.array([min(learned[word], 65535) for word in words], np.uint16),
        known=np.array(sorted(numbers), np.uint32),
    )
