"""The published description of the Telegram Bot API as a judge of calls and payloads."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

DESCRIPTION = Path(__file__).parents[3] / "shared" / "data" / "specs" / "telegram-bot-api.json"


class Judge:
    """Says what is wrong with a call, by the description of the Bot API."""

    def __init__(self, description: dict[str, Any]) -> None:
        self._methods = description["methods"]
        self._types = description["types"]

    def call(self, method: str, parameters: dict[str, Any], files: set[str]) -> list[str]:
        if method not in self._methods:
            return [f"{method}: no such method"]
        given = parameters | dict.fromkeys(files, "attach://")
        return self._fields(method, self._methods[method].get("fields", []), given, as_form=True)

    def value(self, type_name: str, value: Any) -> list[str]:
        """An object of one of the described types, such as an Update."""
        described = self._types[type_name]
        if "subtypes" in described and not described.get("fields"):
            faults = [self.value(name, value) for name in described["subtypes"]]
            return [] if [] in faults else [f"{type_name}: none of its kinds fits: {faults}"]
        if not isinstance(value, dict):
            return [f"{type_name}: not an object"]
        return self._fields(type_name, described.get("fields", []), value, as_form=False)

    def _fields(self, where: str, fields: list[dict[str, Any]], given: dict[str, Any], as_form: bool) -> list[str]:
        known = {field["name"]: field for field in fields}
        faults = [f"{where}.{name}: unknown" for name in given.keys() - known.keys()]
        faults += [
            f"{where}.{name}: missing" for name, field in known.items() if field["required"] and name not in given
        ]
        for name in given.keys() & known.keys():
            if not any(self._fits(kind, given[name], as_form) for kind in known[name]["types"]):
                faults.append(f"{where}.{name}: {given[name]!r} is none of {known[name]['types']}")
        return faults

    def _fits(self, kind: str, value: Any, as_form: bool) -> bool:
        if kind == "String":
            return isinstance(value, str)
        if kind == "InputFile":
            return isinstance(value, str) and value.startswith("attach://")
        if as_form:  # all but texts and files travel as JSON
            with suppress(ValueError):
                return self._fits(kind, json.loads(value), as_form=False)
            return False
        if kind.startswith("Array of "):
            return isinstance(value, list) and all(self._fits(kind[9:], item, False) for item in value)
        simple: dict[str, type | tuple[type, ...]] = {
            "Integer": int,
            "Float": (int, float),
            "Boolean": bool,
            "True": bool,
        }
        if kind in simple:
            return isinstance(value, simple[kind]) and (kind in ("Boolean", "True")) == isinstance(value, bool)
        return not self.value(kind, value)


@pytest.fixture(scope="session")
def telegram_judge() -> Judge | None:
    """None where the description is not there."""
    return Judge(json.loads(DESCRIPTION.read_text("utf-8"))) if DESCRIPTION.exists() else None


@pytest.fixture(scope="session")
def judge_call(telegram_judge: Judge | None) -> Callable[[str, dict[str, Any], set[str]], list[str]] | None:
    """Method, parameters and names of files in, faults out; None where the description is not there."""
    return telegram_judge.call if telegram_judge else None


@pytest.fixture
def described(telegram_judge: Judge | None) -> Judge:
    """The judge itself; the test is skipped where the description is not there."""
    if telegram_judge is None:
        pytest.skip("the description of the Bot API is not there (../shared/data/specs/telegram-bot-api.json)")
    return telegram_judge
