"""The templates that Meta approves: kept as files, chosen by what is to be said and by what is known."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).parent / "templates"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where there is one: eight times faster
TEXT_LIMIT = 1024
_VALUE_LIMIT = 700  # characters of one variable; the rest is read once the person answers
_FEWEST_WORDS = 60  # characters of them that must have room beside links to files
_GAP = " · "  # where a line ended
_NOBODY = {"es": "de nuevo", "en": "again", "pt": "novamente"}  # "Hola de nuevo, …": whose name we do not know
_BLANK = re.compile(r"\{\{(\w+)\}\}")


class _File(BaseModel):
    """A template as it stands in its file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: str
    kinds: list[str]
    blanks: dict[str, str | dict[str, str]]
    body: dict[str, str]
    buttons: dict[str, list[str]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """One template in one language."""

    name: str
    language: str
    category: str
    kinds: tuple[str, ...]
    blanks: tuple[str, ...]
    samples: tuple[str, ...]
    body: str
    buttons: tuple[str, ...]

    @property
    def friendly_name(self) -> str:
        """Its name at Twilio; other words make another name, so that an approved text never changes under us."""
        content = json.dumps([self.body, self.blanks, self.buttons], ensure_ascii=False)
        return f"acuse_{self.name}_{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def types(self) -> dict[str, Any]:
        """The content for Twilio, with numbered variables; a button brings back what it is given when it is sent."""
        numbers = {blank: number for number, blank in enumerate(self.blanks, start=1)}
        body = _BLANK.sub(lambda found: f"{{{{{numbers[found[1]]}}}}}", self.body)
        if not self.buttons:
            return {"twilio/text": {"body": body}}
        first = len(self.blanks) + 1
        actions = [
            {"type": "QUICK_REPLY", "title": title, "id": f"{{{{{number}}}}}"}
            for number, title in enumerate(self.buttons, start=first)
        ]
        return {"twilio/quick-reply": {"body": body, "actions": actions}}

    def sample_variables(self) -> dict[str, str]:
        """What Meta's people see in the blanks."""
        values = [*self.samples, *(f"choice-{n}" for n in range(1, len(self.buttons) + 1))]
        return {str(number): value for number, value in enumerate(values, start=1)}

    def variables(self, blanks: Mapping[str, str], payloads: Sequence[str]) -> dict[str, str]:
        """The values for one message; Meta takes no line breaks and no long gaps in them."""
        known = {"name": _NOBODY.get(self.language, _NOBODY["en"]), **{k: v for k, v in blanks.items() if v.strip()}}
        values = [_one_line(known[blank]) for blank in self.blanks] + list(payloads)
        return {str(number): value for number, value in enumerate(values, start=1)}


def with_links(text: str, links: Sequence[str]) -> str | None:
    """What goes into the blank for words: those are cut where they must be, links never.

    None: so many links leave no room for any words.
    """
    if not links:
        return text
    behind = _GAP.join(links)
    room = _VALUE_LIMIT - len(behind) - len(_GAP)
    if room < _FEWEST_WORDS:
        return None
    return _GAP.join(filter(None, (_one_line(text, room), behind)))


def _one_line(text: str, limit: int = _VALUE_LIMIT) -> str:
    lines = [line.strip() for line in text.split("\n")]
    flat = re.sub(r"\s+", " ", _GAP.join(filter(None, lines))).strip()
    if len(flat) <= limit:
        return flat
    return flat[: flat.rfind(" ", 0, limit - 1) if " " in flat[: limit - 1] else limit - 1] + "…"


@cache
def load(folder: Path = FOLDER) -> tuple[Template, ...]:
    """All templates in all their languages. Raises ValueError for a file that Meta would refuse."""
    return tuple(template for path in sorted(folder.glob("*.yaml")) for template in _read(path))


def _read(path: Path) -> Iterator[Template]:
    told = yaml.load(path.read_text(encoding="utf-8"), _LOADER)  # noqa: S506  both are safe ones
    file = _File.model_validate(told)
    for language, body in file.body.items():
        samples = [one if isinstance(one, str) else one[language] for one in file.blanks.values()]
        template = Template(
            path.stem,
            language,
            file.category,
            tuple(file.kinds),
            tuple(file.blanks),
            tuple(samples),
            body,
            tuple(file.buttons.get(language, ())),
        )
        if faults := "; ".join(faults_of(template)):
            raise ValueError(f"{path.name} ({language}): {faults}")
        yield template


def faults_of(template: Template) -> Iterator[str]:
    """What Meta would refuse."""
    found = _BLANK.findall(template.body)
    if sorted(found) != sorted(template.blanks):
        yield "the blanks of the body are not those that are listed, each once"
    if found != list(template.blanks):
        yield "the blanks stand in another order than they are listed"
    if template.body.startswith("{{") or template.body.endswith("}}"):
        yield "a blank stands at the beginning or the end"
    if re.search(r"\}\}\s*\{\{", template.body):
        yield "two blanks stand side by side"
    if len(template.body) > TEXT_LIMIT:
        yield f"longer than {TEXT_LIMIT} characters"
    if len(template.buttons) > 10 or any(len(title) > 20 for title in template.buttons):
        yield "more than 10 buttons, or one longer than 20 characters"
    if template.category not in ("UTILITY", "MARKETING", "AUTHENTICATION"):
        yield "no such category"


def candidates(
    templates: Sequence[Template], kind: str, language: str, blanks: Collection[str], buttons: int
) -> list[Template]:
    """The templates that can say this, the most telling first; other languages only after all of this one.

    Where a colleague's words stand in the text (`note`), only those that carry the text.
    """
    known = {*blanks, "name"}
    fitting = [
        one
        for one in templates
        if known.issuperset(one.blanks)
        and ("note" not in known or "text" in one.blanks)
        and (kind in one.kinds or "*" in one.kinds)
        and (not one.buttons or len(one.buttons) == buttons)
    ]

    def rank(one: Template) -> tuple[bool, bool, bool, int]:
        general = "*" in one.kinds
        return (one.language != language, general, bool(buttons) != bool(one.buttons), -len(one.blanks))

    return sorted(fitting, key=rank)
