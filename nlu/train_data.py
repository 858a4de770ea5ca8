"""The labelled messages: reading, and the split by scenario."""

import csv
import hashlib
import importlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from nlu.understanding import ACTS, SEVERITIES, TYPES

LABELS: dict[str, tuple[str, ...]] = {"type": TYPES, "severity": SEVERITIES, "act": ACTS}
HELD_OUT, VALIDATION = 15, 10  # shares of a hundred, by the hash of the scenario


class Missing(RuntimeError):
    """A library of the extra [train] is not installed."""


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
        raise Missing(f"{missing.name} is not installed: .venv/bin/python -m pip install -e '.[train]'") from missing


def load(path: Path) -> list[Example]:
    """Every example of a file (.jsonl or .csv), or of all files in a folder, in the order of their names."""
    files = sorted([*path.glob("*.jsonl"), *path.glob("*.csv")]) if path.is_dir() else [path]
    if not files:
        raise BadData(f"{path} holds neither .jsonl nor .csv")
    examples = [_example(file, number, row) for file in files for number, row in _rows(file)]
    if not examples:
        raise BadData(f"{path} holds no message")
    return examples


def _rows(file: Path) -> list[tuple[int, dict[str, object]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadData(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{file.name}: not UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)") from error
    if file.suffix.lower() == ".csv":
        return _table(file.name, text)
    return [(n, _line(file.name, n, line)) for n, line in enumerate(text.split("\n"), 1) if line.strip()]


def _table(name: str, text: str) -> list[tuple[int, dict[str, object]]]:
    """A spreadsheet's rows; Spanish ones separate with semicolons."""
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    found = [str(column).strip().lower() for column in reader.fieldnames or ()]
    if missing := [column for column in ("text", "type") if column not in found]:
        raise BadData(f"{name}: no column {' nor '.join(missing)}; the columns are {', '.join(found) or 'none'}")
    reader.fieldnames = found
    return [(reader.line_num, dict(row)) for row in reader]


def _line(name: str, number: int, line: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise BadData(f"{name}:{number}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadData(f"{name}:{number}: not an object with text and type")
    return row


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
        scenario=str(row.get("scenario") or " ".join(text.lower().split())),  # copies stay on one side
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
