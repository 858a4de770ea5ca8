"""The YAML files that ship with Acuse: words, terms, hours. What a user wrote wants line numbers instead."""

from pathlib import Path
from typing import Any

import yaml

# libyaml's parser, eight times faster; PyYAML built from its source without libyaml has only the other
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parsed(text: str) -> Any:
    """What a text says, in plain values: dict, list, str, int, float, bool, date."""
    return yaml.load(text, LOADER)  # noqa: S506  both loaders are safe ones


def shipped(path: Path) -> Any:
    """What a file says."""
    return parsed(path.read_text(encoding="utf-8"))
