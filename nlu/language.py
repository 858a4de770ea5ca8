"""Which language a message is in, by the vote of its commonest words."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from nlu.fold import plain
from nlu.phrases import words
from nlu.understanding import LANGUAGES

_ADDRESS = re.compile(r"\S{0,64}@\S{1,250}|\bhttps?://\S+|\bwww\.\S+", re.IGNORECASE)  # is in no language
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_NUMBERED = re.compile(r"\S*\d\S*")  # "PQR-7K3M9QX", "a las3", "A-11": no words
_NAME = re.compile(  # "João da Silva", "Ana do Nascimento": a name is in no language, nor is what joins its parts
    r"\b([A-ZÀ-Þ][a-zß-ÿ]+)(?:(?:\s+(?:d[aeo]s?|del|de\s+la|y|e))?\s+[A-ZÀ-Þ][a-zß-ÿ]+)*"
)
_ENGLISH = frozenset({"US", "GB", "CA", "AU", "NZ", "IE"})
_PORTUGUESE = frozenset({"BR", "PT", "AO", "MZ"})
_NO_VOTE = frozenset({"ok", "okay", "si", "no", "chat", "email", "bot", "stop"})  # said in all three languages
_LETTERS_ONLY_PT = re.compile(r"[ãõ]|ções?\b|nh[ao]\b", re.IGNORECASE)
_LETTERS_ONLY_ES = re.compile(r"[ñ¿¡]|ción\b", re.IGNORECASE)
ENOUGH = 4_000  # characters: what comes after them is in the same language
FEW = 4  # under this many words a known person's language is not changed


@dataclass(frozen=True)
class Reading:
    """A language and how sure it is, 0..1."""

    language: str
    confidence: float


def default_language(country: str) -> str:
    """What a company of this country most likely speaks."""
    return "en" if country in _ENGLISH else "pt" if country in _PORTUGUESE else "es"


def detect(text: str, sticky: str | None = None, default: str = "es") -> Reading:
    """The language of the text; the person's own (`sticky`), else the default, where the text says too little."""
    if sticky not in LANGUAGES:
        sticky = None
    start = sticky or default
    if _foreign_script(text):
        return Reading(start, 0.0)
    text = _NAME.sub(_unless_spoken, _NUMBERED.sub(" ", _ADDRESS.sub(" ", text[:ENOUGH])))
    tokens = [w for w in _WORD.findall(plain(text)) if w not in _NO_VOTE]
    votes = _votes(tokens, text)
    (winner, most), (_, second) = votes.most_common(2)
    if most == 0 or (len(tokens) < FEW and sticky is not None):
        return Reading(start, 0.5 if sticky else 0.0)
    share = most / (most + second)
    if most - second < 1e-9 or (winner != start and sticky and most - second < 1):
        return Reading(start, 0.5)
    return Reading(winner, round(share * min(1.0, 0.5 + most / 6), 2))


def _votes(tokens: list[str], text: str) -> Counter[str]:
    votes: Counter[str] = Counter(dict.fromkeys(LANGUAGES, 0))
    for token in tokens:
        speakers = _speakers().get(token, ())
        for language in speakers:
            votes[language] += 2 if len(speakers) == 1 else 1 if len(speakers) == 2 else 0
    if _LETTERS_ONLY_PT.search(text):
        votes["pt"] += 2
    if _LETTERS_ONLY_ES.search(text):
        votes["es"] += 2
    return votes


@cache
def _speakers() -> dict[str, tuple[str, ...]]:
    """Each common word with the languages that use it."""
    lists = {language: set(words(language)["stop"].split()) for language in LANGUAGES}
    return {w: tuple(n for n, known in lists.items() if w in known) for w in set().union(*lists.values())}


def _unless_spoken(name: re.Match[str]) -> str:
    """A capital also begins a text or a sentence: a common word is none, nor the one word that a text begins with."""
    begins = name.start() == 0 and name[0] == name[1]
    return name[0] if begins or plain(name[1]) in _speakers() else " "


def _foreign_script(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return bool(letters) and sum(c < "\u0250" for c in letters) * 2 < len(letters)
