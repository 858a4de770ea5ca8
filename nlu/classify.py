"""Classify lines of JSON: what `acuse classify` streams through."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from nlu.understanding import Hint, Understander

_FIELDS = ("language", "type", "type_confidence", "severity", "act", "human_now", "source")


async def classify_lines(
    lines: Iterable[str] | AsyncIterable[str],
    understander: Understander,
    *,
    country: str = "CO",
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[str]:
    """One line of JSON for each line `{"id", "text"}`, as soon as it is read. A bad line gives {"id", "error"}."""
    async for line in _each(lines):
        if line.strip():
            yield json.dumps(
                await _classified(line, understander, Hint(now=now(), country=country)), ensure_ascii=False
            )


async def _each(lines: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    if isinstance(lines, AsyncIterable):
        async for line in lines:
            yield line
    else:
        for line in lines:
            yield line


async def _classified(line: str, understander: Understander, hint: Hint) -> dict[str, Any]:
    try:
        asked = json.loads(line)
    except ValueError as why:
        return {"id": None, "error": f"not JSON: {why}"}
    if not isinstance(asked, dict):
        return {"id": None, "error": "not an object with id and text"}
    if not isinstance(asked.get("text"), str):
        return {"id": asked.get("id"), "error": "text is missing or is no string"}
    understood = await understander.understand(asked["text"], hint)
    return {"id": asked.get("id"), **{name: getattr(understood, name) for name in _FIELDS}}
