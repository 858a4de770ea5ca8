"""The labelled messages: reading, the split by scenario, and the noise that training adds."""

import csv
import hashlib
import importlib
import json
import random
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from nlu.understanding import ACTS, SEVERITIES, TYPES

LABELS: dict[str, tuple[str, ...]] = {"type": TYPES, "severity": SEVERITIES, "act": ACTS}
HELD_OUT, VALIDATION = 15, 12  # shares of a hundred, by the hash of the scenario


class BadData(ValueError):
    """A labelled file cannot be used; the message names the file, the line and the fault."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One message with the labels of docs/labels.md."""

    id: str
    text: str
    language: str
    type: str
    second: str | None  # another type that an expert would accept
    severity: str
    act: str
    human_now: bool
    scenario: str  # messages about the same happening never cross the split
    genre: str = ""
    country: str = ""
    sector: str = ""
    channel: str = ""

    def label(self, task: str) -> int:
        """Index of the label in LABELS[task]."""
        return LABELS[task].index(getattr(self, task))


def extra(module: str) -> ModuleType:
    """Import a library that only training and evaluation need, or say how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise RuntimeError(f"{missing.name} is not installed: pip install 'acuse[train]'") from missing


def load(path: Path) -> list[Example]:
    """Every example of a file (.jsonl or .csv), or of all files in a folder, in the order of their names."""
    files = sorted([*path.glob("*.jsonl"), *path.glob("*.csv")]) if path.is_dir() else [path]
    if not files:
        raise BadData(f"{path} holds neither .jsonl nor .csv")
    return [_example(file, number, row) for file in files for number, row in _rows(file)]


def _rows(file: Path) -> list[tuple[int, dict[str, object]]]:
    with file.open(encoding="utf-8", newline="") as lines:
        if file.suffix == ".csv":
            return [(n, dict(row)) for n, row in enumerate(csv.DictReader(lines), 2)]
        return [(n, json.loads(line)) for n, line in enumerate(lines, 1) if line.strip()]


def _example(file: Path, number: int, row: dict[str, object]) -> Example:
    where = f"{file.name}:{number}"
    text = str(row.get("text") or "").strip()
    if not text:
        raise BadData(f"{where}: no text")
    second = str(row.get("second") or "") or None
    values = {"type": row.get("type"), "severity": row.get("severity") or "low", "act": row.get("act") or "report"}
    for task, value in [*values.items(), *([("type", second)] if second else [])]:
        if value not in LABELS[task]:
            raise BadData(f"{where}: {task} {value!r} is none of {', '.join(LABELS[task])}")
    rest = {k: str(row.get(k) or "") for k in ("genre", "country", "sector", "channel")}
    return Example(
        id=str(row.get("id") or where),
        text=text,
        language=str(row.get("language") or "es"),
        type=str(values["type"]),
        second=second,
        severity=str(values["severity"]),
        act=str(values["act"]),
        human_now=str(row.get("human_now")).lower() in ("true", "1", "yes", "si", "sí"),
        scenario=str(row.get("scenario") or where),
        **rest,
    )


@dataclass(frozen=True)
class Split:
    """Three parts that share no scenario."""

    train: list[Example]
    validation: list[Example]  # early stop, temperatures and thresholds
    held_out: list[Example]  # figures only


def split(examples: Sequence[Example]) -> Split:
    """The same message always falls into the same part, whatever else is added later."""
    parts = Split([], [], [])
    for example in examples:
        slot = int(hashlib.sha256(example.scenario.encode()).hexdigest(), 16) % 100
        if slot < HELD_OUT:
            parts.held_out.append(example)
        elif slot < HELD_OUT + VALIDATION:
            parts.validation.append(example)
        else:
            parts.train.append(example)
    return parts


def without_accents(text: str) -> str:
    """The text as a hurried thumb writes it: á → a, ñ → n."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def typos(text: str, rng: random.Random, rate: float = 0.05) -> str:
    """Letters dropped, doubled or swapped with their neighbour, each with a third of `rate`."""
    letters = list(text)
    i = 0
    while i < len(letters):
        if letters[i].isalpha() and rng.random() < rate:
            match rng.randrange(3):
                case 0:
                    letters[i] = ""
                case 1:
                    letters[i] *= 2
                case _ if i + 1 < len(letters):
                    letters[i], letters[i + 1] = letters[i + 1], letters[i]
                    i += 1
        i += 1
    return "".join(letters) or text


def noisy(text: str, rng: random.Random, share: float = 0.4) -> str:
    """The text, or in `share` of the calls a careless writing of it. For training only."""
    if rng.random() >= share:
        return text
    if rng.random() < 0.5:
        text = without_accents(text)
    match rng.randrange(4):
        case 0:
            text = text.upper()
        case 1:
            text = text.lower()
        case 2:
            text = "".join(c for c in text if c not in ",.;:¿¡!?")
    if rng.random() < 0.5:
        text = typos(text, rng, rng.choice((0.02, 0.05)))
    return text if text.strip() else "?"


def noisy_all(texts: Sequence[str], seed: int = 11) -> list[str]:
    """Every text without accents, in capitals and with 5 % typos: the robustness figure. The same each time."""
    rng = random.Random(seed)  # noqa: S311 - noise, not a secret
    return [typos(without_accents(t).upper(), rng) for t in texts]
