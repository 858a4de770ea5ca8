"""Messages of ours, cards and forms as Slack's blocks."""

from collections.abc import Sequence
from typing import Any

from channels.channel import Button
from channels.desk_place import Card, Form
from channels.slack_reading import CHOICE, VERB, WORDS

TEXT_LIMIT = 3900  # of one message: Slack advises 4,000
SECTION = 3000
LABEL = 75  # characters on a button
HEADER = 150
FIELDS = 10  # of one section
_TITLE = 24  # of a form
_NAME = 60  # characters of a thread's name
_PRIMARY = ("take", "send")


def escaped(text: str) -> str:
    """The three characters that Slack reads as mark-up; nothing that a customer wrote can call anybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def message(text: str, buttons: Sequence[Button]) -> dict[str, Any]:
    """`text` always, as notices and screen readers use it; blocks only where there is something to press."""
    values: dict[str, Any] = {"text": escaped(text), "unfurl_links": False, "unfurl_media": False}
    if buttons:
        values["blocks"] = [*sections(text), _actions(CHOICE, buttons, numbered=True)]
    return values


def title(text: str) -> str:
    """The first words, as the name of a thread."""
    words = " ".join(text.split())
    return words if len(words) <= _NAME else f"{words[:_NAME].rpartition(' ')[0] or words[:_NAME]}…"


def sections(text: str) -> list[dict[str, Any]]:
    """A long text in as many sections as it takes. Plain: a star in it is a star."""
    return [
        {"type": "section", "text": {"type": "plain_text", "text": text[at : at + SECTION], "emoji": False}}
        for at in range(0, len(text), SECTION)
    ]


def card(shown: Card) -> dict[str, Any]:
    """A card for agents: title, facts, what was said, who has it, buttons."""
    blocks: list[dict[str, Any]] = [_header(shown.title)]
    if shown.facts:
        fields = [_marked(f"*{escaped(label)}*\n{escaped(value)}"[:2000]) for label, value in shown.facts[:FIELDS]]
        blocks.append({"type": "section", "fields": fields})
    if shown.said:
        blocks.append({"type": "section", "text": _marked(quoted("\n".join(shown.said)))})
    if shown.status:
        blocks.append({"type": "context", "elements": [_marked(escaped(shown.status)[:SECTION])]})
    if shown.buttons:
        blocks.append(_actions(VERB, shown.buttons, numbered=False))
    text = " · ".join(filter(None, (shown.title, shown.status)))
    return {"text": escaped(text), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def quoted(text: str, limit: int = SECTION) -> str:
    """As a quotation; of what is too long the end stays, which is the newest."""
    lines = [f">{line}" for line in escaped(text).split("\n")]
    while len(whole := "\n".join(lines)) > limit and len(lines) > 1:
        lines.pop(0)
    return whole if len(whole) <= limit else f">…{whole[-(limit - 2) :]}"


def form(shown: Form, thread: str) -> dict[str, Any]:
    """A form with one box; the thread travels in it."""
    box = {"type": "plain_text_input", "action_id": WORDS, "multiline": True, "max_length": SECTION}
    return {
        "type": "modal",
        "callback_id": f"{VERB}:{shown.verb}",
        "private_metadata": thread,
        "title": _plain(shown.title, _TITLE),
        "submit": _plain(shown.send, _TITLE),
        "close": _plain(shown.cancel, _TITLE),
        "blocks": [{"type": "input", "block_id": WORDS, "label": _plain(shown.label, 2000), "element": box}],
    }


def _actions(name: str, buttons: Sequence[Button], *, numbered: bool) -> dict[str, Any]:
    elements = []
    for number, button in enumerate(buttons):
        element = {
            "type": "button",
            "text": _plain(button.label, LABEL),
            "action_id": f"{name}:{number if numbered else button.payload}",
            "value": button.payload,
        }
        if button.payload in _PRIMARY:
            element["style"] = "primary"
        elements.append(element)
    return {"type": "actions", "elements": elements}


def _header(title: str) -> dict[str, Any]:
    return {"type": "header", "text": _plain(title, HEADER)}


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": text if len(text) <= limit else f"{text[: limit - 1]}…", "emoji": True}


def _marked(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
