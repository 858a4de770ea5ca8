"""Ten beginnings of an answer that an agent puts into the box and goes on with. They never send anything themselves."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.shipped import shipped

_FOLDER = Path(__file__).parent / "macros"
_LANGUAGES = ("es", "en", "pt")
_BLANK = re.compile(r"\{(\w+)\}")
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)


@dataclass(frozen=True)
class Macro:
    """A beginning: its name in the agent's language, its text in the customer's."""

    name: str
    title: str
    text: str


class Macros:
    """The macros by language. `[[…]]` is left out when a blank inside it is not known."""

    def __init__(self, texts: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        self._texts = texts

    @classmethod
    def load(cls, folder: Path = _FOLDER) -> "Macros":
        """Read the files. Called once, at the start."""
        return cls({language: shipped(folder / f"{language}.yaml") for language in _LANGUAGES})

    def names(self, language: str) -> Sequence[str]:
        """In the order of a conversation."""
        return list(self._texts[language])

    def all(
        self, *, agent_language: str, language: str, treatment: str = "tu", blanks: Mapping[str, str | None]
    ) -> list[Macro]:
        """All of them, filled. Blanks: name, code, company, agent."""
        titles, texts = self._texts[agent_language], self._texts[language]
        return [
            Macro(name, titles[name]["title"], _filled(text.get(treatment) or text["tu"], blanks))
            for name, text in texts.items()
        ]


def _filled(text: str, blanks: Mapping[str, str | None]) -> str:
    def optional(found: re.Match[str]) -> str:
        inner = found.group(1)
        return inner if all(blanks.get(name) for name in _BLANK.findall(inner)) else ""

    return _BLANK.sub(lambda found: blanks.get(found.group(1)) or "", _OPTIONAL.sub(optional, text)).strip()
