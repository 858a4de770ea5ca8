"""The words of the public pages, by language; sentences that the bot says live in bot/utterances."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.shipped import shipped

LANGUAGES = ("es", "en", "pt")
_FOLDER = Path(__file__).parent / "words"
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})[A-Za-z0-9-]*\s*(?:;\s*q=([0-9.]{1,5}))?\s*")

Texts = Mapping[str, Mapping[str, str]]


class Words:
    """Texts by section and name: `words.of("es", "tu")["chat"]["send"]`."""

    def __init__(self, languages: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        self._languages = languages

    @classmethod
    def load(cls, folder: Path = _FOLDER) -> "Words":
        """Read the files; the folder may hold the words of other pages."""
        return cls({one: shipped(folder / f"{one}.yaml") for one in LANGUAGES})

    def of(self, language: str, treatment: str = "tu") -> Texts:
        """All texts of a language; a pair of texts for `tú` and `usted` is settled by the treatment."""
        return {
            section: {
                name: text if isinstance(text, str) else text.get(treatment, text["tu"]) for name, text in texts.items()
            }
            for section, texts in self._languages[language].items()
        }


def choose(spoken: Sequence[str], asked: str | None, accepted: str | None) -> str:
    """The language of a page: what was asked for, else what the browser prefers, else the company's first.

    spoken: the company's languages, the usual one first. accepted: the Accept-Language header.
    """
    if asked is not None and asked in spoken:
        return asked
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate((accepted or "")[:400].split(",")):
        if found := _RANGE.fullmatch(part):
            ranked.append((-_quality(found[2]), place, found[1].lower()))
    return next((one for quality, _, one in sorted(ranked) if one in spoken and quality < 0), spoken[0])


def _quality(text: str | None) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
