"""Everything the bot says: named lines in three languages, rendered with facts and never without them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.dialogue.effects import Blank, Bullets, Choice, Say, Word
from bot.shipped import shipped

LANGUAGES = ("es", "en", "pt")
_FOLDER = Path(__file__).parent / "utterances"
_BLANK = re.compile(r"\{(\w+)\}")
_FILLED = re.compile(_BLANK.pattern + r"(\.?)")  # *vuelven a las 8 a. m.*: one full stop ends both
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_WORD_TO_WRITE = re.compile(
    r"\*([^*\n]+)\*"
)  # the files mark words with asterisks, which few channels show as anything else
_QUOTES = {"es": r"«\1»", "en": r"“\1”", "pt": r"«\1»"}
_DATED = {"legal": "due", "internal": "target"}


class MissingLine(KeyError):
    """No such line in this language."""


class MissingBlank(KeyError):
    """A line has a blank that nothing fills: saying it would state something that is not known."""


@dataclass(frozen=True)
class Rendered:
    """One Answer in words: its text, its buttons as (label, payload), and the names of its lines."""

    text: str
    buttons: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]


class Catalogue:
    """The lines by language. A line is a text, or in Spanish a pair of texts for `tú` and `usted`."""

    def __init__(self, lines: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        self._lines = lines

    @classmethod
    def load(cls, folder: Path = _FOLDER) -> "Catalogue":
        """Read the files. Called once, at the start."""
        return cls({language: _read(folder / f"{language}.yaml", _QUOTES[language]) for language in LANGUAGES})

    def names(self, language: str = "es") -> frozenset[str]:
        """The names of all lines."""
        return frozenset(self._lines[language])

    def line(self, name: str, language: str, treatment: str = "tu") -> str:
        """The text of a line with its blanks still open. Raises MissingLine."""
        try:
            variants = self._lines[language][name]
        except KeyError:
            raise MissingLine(f"{language}: {name}") from None
        return variants.get(treatment) or variants["tu"]

    def render(
        self, name: str, language: str, treatment: str = "tu", blanks: Mapping[str, Blank | None] | None = None
    ) -> str:
        """The line with its blanks filled; `[[…]]` goes when a blank in it is empty. Raises MissingBlank."""
        words = {
            blank: self._words(value, language, treatment)
            for blank, value in (blanks or {}).items()
            if value is not None
        }
        text = _OPTIONAL.sub(
            lambda part: part[1] if all(words.get(blank) for blank in _BLANK.findall(part[1])) else "",
            self.line(name, language, treatment),
        )
        missing = [blank for blank in _BLANK.findall(text) if blank not in words]
        if missing:
            raise MissingBlank(f"{language}: {name}: {', '.join(missing)}")
        # one pass: what a person wrote may hold braces, and is never filled itself
        return _FILLED.sub(lambda blank: words[blank[1]].removesuffix(blank[2]) + blank[2], text)

    def answer(
        self,
        says: Sequence[Say],
        language: str,
        treatment: str = "tu",
        facts: Mapping[str, Blank | None] | None = None,
        due_kind: str = "none",
    ) -> Rendered:
        """All that one turn says as one Answer: paragraphs, and the buttons of all of them, none twice.

        `facts`: the blanks that only the database and the config know. `due_kind`: legal | internal | none.
        """
        names = tuple(self.name_of(say, due_kind) for say in says)
        paragraphs = [
            self.render(name, language, treatment, {**(facts or {}), **say.blanks})
            for name, say in zip(names, says, strict=True)
        ]
        return Rendered("\n\n".join(paragraphs), self.buttons(says, language, treatment), names)

    def buttons(self, says: Sequence[Say], language: str, treatment: str = "tu") -> tuple[tuple[str, str], ...]:
        """The choices of these paragraphs as (label, payload)."""
        choices: dict[str, Choice] = {choice.payload: choice for say in says for choice in say.buttons}
        return tuple((self.line(one.line, language, treatment), one.payload) for one in choices.values())

    def name_of(self, say: Say, due_kind: str) -> str:
        """The variant of a dated line that fits the case."""
        return f"{say.line}.{_DATED.get(due_kind, 'undated')}" if say.dated else say.line

    def _words(self, value: Blank, language: str, treatment: str) -> str:
        match value:
            case Word():
                return self.line(value.line, language, treatment)
            case Bullets():
                return "\n".join(f"• {self.line(label, language, treatment)}: {said}" for label, said in value.items)
            case str():
                return value


def blanks_of(text: str) -> frozenset[str]:
    """The names of the blanks of a text."""
    return frozenset(_BLANK.findall(text))


def _read(path: Path, quotes: str) -> dict[str, dict[str, str]]:
    loaded = shipped(path)
    lines = {name: {"tu": text} if isinstance(text, str) else text for name, text in loaded.items()}
    return {
        name: {treatment: _WORD_TO_WRITE.sub(quotes, text) for treatment, text in variants.items()}
        for name, variants in lines.items()
    }
