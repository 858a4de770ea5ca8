"""What a person sees of Slack's blocks, and what Slack refuses of them."""

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

TEXT, SECTION, FIELD, HEADER, LABEL, ID, VALUE, BLOCKS = 40_000, 3000, 2000, 150, 75, 255, 2000, 50
_LINK = re.compile(r"<([^@#!>|][^>|]*)(?:\|([^>]*))?>")
_QUOTE = re.compile(r"^(?:&gt;|>) ?", re.MULTILINE)  # a bar beside what somebody said
_BOLD = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")


class Refusal(Exception):
    """`ok: false`, with Slack's word for it."""


def limits(given: Mapping[str, Any]) -> None:
    """Look at a message as Slack does. Raises Refusal."""
    text, blocks = str(given.get("text") or ""), _blocks(given)
    if not text and not blocks:
        raise Refusal("no_text")
    if len(text) > TEXT:
        raise Refusal("msg_too_long")
    if len(blocks) > BLOCKS or not all(_fits(one) for one in blocks):
        raise Refusal("invalid_blocks")


def shown(given: Mapping[str, Any]) -> tuple[str | None, str]:
    """Title and text."""
    blocks = _blocks(given)
    heading = next((str(one["text"]["text"]) for one in blocks if one["type"] == "header"), None)
    text = "\n".join(line for one in blocks for line in _lines(one)) or _plain(str(given.get("text") or ""))
    return heading, text


def buttons_of(given: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Label, action id and value of each."""
    elements = [one for block in _blocks(given) if block["type"] == "actions" for one in block["elements"]]
    return [(one["text"]["text"], one["action_id"], one.get("value", "")) for one in elements]


def button_of(given: Mapping[str, Any], action_id: str, value: str) -> str | None:
    """What stands on one button; None when it is not there."""
    return next((label for label, *pressed in buttons_of(given) if pressed == [action_id, value]), None)


def _lines(block: Mapping[str, Any]) -> Iterator[str]:
    match block["type"]:
        case "section":
            if "text" in block:
                yield _said(block["text"])
            yield from (_said(one).replace("\n", ": ", 1) for one in block.get("fields", ()))
        case "context":
            yield from (_said(one) for one in block["elements"] if "text" in one)


def _said(part: Mapping[str, Any]) -> str:
    return str(part["text"]) if part["type"] == "plain_text" else _plain(str(part["text"]))


def _plain(text: str) -> str:
    text = _LINK.sub(lambda found: f"{found[2]} {found[1]}" if found[2] else found[1], text)
    return html.unescape(_QUOTE.sub("│ ", _BOLD.sub(r"\1", text)))


def _fits(block: Mapping[str, Any]) -> bool:
    match block["type"]:
        case "section":
            text = block.get("text")
            fields = block.get("fields", ())
            return (
                (text is None or 1 <= len(text["text"]) <= SECTION)
                and len(fields) <= 10
                and all(1 <= len(one["text"]) <= FIELD for one in fields)
            )
        case "header":
            return block["text"]["type"] == "plain_text" and 1 <= len(block["text"]["text"]) <= HEADER
        case "actions":
            ids = [one["action_id"] for one in block["elements"]]
            return (
                1 <= len(ids) <= 25
                and len(set(ids)) == len(ids)
                and all(
                    1 <= len(one["text"]["text"]) <= LABEL
                    and len(one["action_id"]) <= ID
                    and len(one.get("value", "")) <= VALUE
                    for one in block["elements"]
                )
            )
    return True


def _blocks(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    value = given.get("blocks") or []
    return list(json.loads(value)) if isinstance(value, str) else list(value)
