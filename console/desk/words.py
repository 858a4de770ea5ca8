"""Every visible word of the console, by language. Lines stand in words/{es,en,pt}.yaml."""

import html
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from bot.shipped import shipped

LANGUAGES = ("es", "en", "pt")
_FOLDER = Path(__file__).parent / "words"


class Words:
    """The words of one language: `w("key", name="Ana")`, `w.many("day", 3)`."""

    def __init__(self, language: str, lines: Mapping[str, str]) -> None:
        self.language = language
        self._lines = lines

    def __call__(self, key: str, /, **blanks: object) -> str:
        """The line with its blanks filled. Raises KeyError for a line that does not exist: a page must not hide it."""
        return self._lines[key].format(**blanks) if blanks else self._lines[key]

    def has(self, key: str) -> bool:
        """Whether there is such a line: values of the database may be newer than the words."""
        return key in self._lines

    def of(self, family: str, value: str | None) -> str:
        """The word of a value, as in `type_reclamo`; a value without a word is shown as it is."""
        return self._lines.get(f"{family}_{value}", value or "")

    def many(self, key: str, count: int, /, **blanks: object) -> str:
        """`key_one` or `key_other`, with {n}."""
        return self._lines[f"{key}_{'one' if count == 1 else 'other'}"].format(n=count, **blanks)

    def bold(self, key: str, /, **blanks: object) -> Markup:
        """The line with `*…*` in bold; the blanks are escaped."""
        safe = {name: html.escape(str(value)) for name, value in blanks.items()}
        parts = html.escape(self._lines[key], quote=False).format(**safe).split("*")
        return Markup("".join(f"<b>{part}</b>" if n % 2 else part for n, part in enumerate(parts)))  # noqa: S704  escaped above


class Dictionary:
    """All languages, read once."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._all = {language: Words(language, shipped(folder / f"{language}.yaml")) for language in LANGUAGES}

    def __getitem__(self, language: str) -> Words:
        return self._all.get(language) or self._all[LANGUAGES[0]]
