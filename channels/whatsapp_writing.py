"""Cut a message of ours into what WhatsApp takes in one call, inside the 24-hour window."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from channels.channel import Button, File, Outbound

TEXT_LIMIT = 1600
_BODY = 1024  # characters above buttons
_QUICK = (3, 20)  # how many buttons without approval, characters of each
_LIST = (10, 24)
_DESCRIPTION = 72  # characters of what stands below a line of a list
_MEGABYTE = 1024 * 1024
_OPEN = {"es": "Elegir", "en": "Choose", "pt": "Escolher"}
_TAKEN = frozenset({
    "image/jpeg", "image/png", "image/webp", "audio/ogg", "audio/amr", "audio/3gpp", "audio/aac", "audio/mpeg",
    "audio/mp4", "video/mp4", "application/pdf", "application/msword", "text/vcard",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
})  # fmt: skip


@dataclass(frozen=True)
class Choices:
    """The shape of a content that shows choices; text, labels and payloads are its variables.

    `described`: the lines of a list whose label is too long for one, and stands below it in full.
    """

    style: Literal["buttons", "list"]
    number: int
    described: tuple[int, ...] = ()

    @property
    def friendly_name(self) -> str:
        """Its name at Twilio: a few of them serve every question."""
        marks = "".join(f"_{index}" for index in self.described)
        return f"acuse_{self.style}_{self.number}{f'_long{marks}' if marks else ''}"

    def types(self) -> dict[str, Any]:
        """The content for Twilio."""
        blanks = (f"{{{{{number}}}}}" for number in count(1))
        body = next(blanks)
        if self.style == "buttons":
            actions = [{"type": "QUICK_REPLY", "title": next(blanks), "id": next(blanks)} for _ in range(self.number)]
            return {"twilio/quick-reply": {"body": body, "actions": actions}}
        button, items = next(blanks), []
        for index in range(self.number):
            item = {"item": next(blanks), "id": next(blanks)}
            items.append(item | {"description": next(blanks)} if index in self.described else item)
        return {"twilio/list-picker": {"body": body, "button": button, "items": items}}

    def sample_variables(self) -> dict[str, str]:
        """What stands in the variables when nothing is given."""
        return self.variables("¿?", [Button(f"{n}", f"{n}") for n in range(1, self.number + 1)], "es")

    def variables(self, text: str, buttons: Sequence[Button], language: str) -> dict[str, str]:
        """The values for one message."""
        values = [text] if self.style == "buttons" else [text, _OPEN.get(language, _OPEN["en"])]
        for index, button in enumerate(buttons):
            long = index in self.described
            values += [_cut(button.label) if long else button.label, button.payload]
            values += [button.label] if long else []
        return {str(number): value for number, value in enumerate(values, start=1)}


def _cut(label: str) -> str:
    """The first words of a label, as long as a line of a list may be."""
    room = _LIST[1] - 1
    end = label.rfind(" ", 0, room + 1)
    return label if len(label) <= _LIST[1] else f"{label[: end if end > 0 else room]}…"


def shape(message: Outbound) -> Choices | None:
    """How the choices can be shown; None: as numbers in the text."""
    buttons, text = message.buttons, message.text.strip()
    if not buttons or not text or len(text) > _BODY or len(buttons) > _LIST[0]:
        return None
    lengths = [len(button.label) for button in buttons]
    if len(buttons) <= _QUICK[0] and max(lengths) <= _QUICK[1]:
        return Choices("buttons", len(buttons))
    if max(lengths) > _DESCRIPTION:
        return None
    return Choices("list", len(buttons), tuple(index for index, size in enumerate(lengths) if size > _LIST[1]))


def with_choices(message: Outbound, content_sid: str, choices: Choices) -> dict[str, Any]:
    """One call that shows the choices."""
    values = choices.variables(message.text.strip(), message.buttons, message.language)
    return {"content_sid": content_sid, "content_variables": json.dumps(values, ensure_ascii=False)}


def numbered(message: Outbound) -> list[dict[str, Any]]:
    """The text with numbered choices, in one message where it fits."""
    text = message.text.strip()
    choices = "\n".join(f"{number}. {button.label}" for number, button in enumerate(message.buttons, start=1))
    together = "\n\n".join(filter(None, (text, choices)))
    pieces = [together] if len(together) <= TEXT_LIMIT else list(filter(None, (text, choices)))
    return [{"body": piece} for piece in pieces]


def is_taken(file: File, size: int) -> bool:
    """Whether WhatsApp shows such a file; anything else goes as a link in the text."""
    limit = 5 if file.type.startswith("image/") else 16
    return file.type in _TAKEN and size <= limit * _MEGABYTE
