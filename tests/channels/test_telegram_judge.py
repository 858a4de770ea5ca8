"""Whether the judge of our calls (conftest.py) is a strict one, and whether our payloads pass it."""

import json
import re
from pathlib import Path
from typing import Any, Protocol

import pytest

PAYLOADS = Path(__file__).parent.parent / "payloads" / "telegram"


class Judge(Protocol):
    def call(self, method: str, parameters: dict[str, Any], files: set[str]) -> list[str]: ...

    def value(self, type_name: str, value: Any) -> list[str]: ...


@pytest.mark.parametrize(
    ("method", "parameters", "fault"),
    [
        ("sendMesage", {}, "no such method"),
        ("sendMessage", {"chat_id": "1"}, "text: missing"),
        ("sendMessage", {"chat_id": "1", "text": "x", "colour": "red"}, "colour: unknown"),
        ("getUpdates", {"timeout": "soon"}, "timeout"),
        ("getUpdates", {"allowed_updates": "[1]"}, "allowed_updates"),
        (
            "sendMessage",
            {"chat_id": "1", "text": "x", "reply_markup": '{"inline_keyboard": [[{"label": "Sí"}]]}'},
            "markup",
        ),
        ("sendPhoto", {"chat_id": "1"}, "photo: missing"),
    ],
)
def test_the_judge_sees_what_is_wrong(described: Judge, method: str, parameters: dict[str, str], fault: str) -> None:
    assert re.search(fault, "; ".join(described.call(method, parameters, set())))


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
def test_our_payloads_have_the_shape_that_telegram_describes(described: Judge, path: Path) -> None:
    faults = described.value("Update", json.loads(path.read_text("utf-8")))
    assert bool(faults) == (path.stem in ("broken", "half_broken", "of_tomorrow")), faults
