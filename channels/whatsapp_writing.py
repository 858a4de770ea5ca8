"""Cut a message of ours into what WhatsApp takes in one call, inside the 24-hour window."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from channels.channel import Button, File, Outbound

TEXT_LIMIT = 1600
_BODY = 1024  # characters above buttons
_QUICK = (3, 20)  # how many buttons without approval, characters of each
_LIST = (10, 24)
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
    """The shape of a content that shows choices; text, labels and payloads are its variables."""

    style: Literal["buttons", "list"]
    number: int

    @property
    def friendly_name(self) -> str:
        """Its name at Twilio: a dozen of them serve every question."""
        return f"acuse_{self.style}_{self.number}"

    def types(self) -> dict[str, Any]:
        """The content for Twilio."""
        first = 2 if self.style == "buttons" else 3
        places = range(first, first + 2 * self.number, 2)
        if self.style == "buttons":
            actions = [{"type": "QUICK_REPLY", "title": f"{{{{{n}}}}}", "id": f"{{{{{n + 1}}}}}"} for n in places]
            return {"twilio/quick-reply": {"body": "{{1}}", "actions": actions}}
        items = [{"item": f"{{{{{n}}}}}", "id": f"{{{{{n + 1}}}}}"} for n in places]
        return {"twilio/list-picker": {"body": "{{1}}", "button": "{{2}}", "items": items}}

    def sample_variables(self) -> dict[str, str]:
        """What stands in the variables when nothing is given."""
        return self.variables("¿?", [Button(f"{n}", f"{n}") for n in range(1, self.number + 1)], "es")

    def variables(self, text: str, buttons: Sequence[Button], language: str) -> dict[str, str]:
        """The values for one message."""
        values = [text] if self.style == "buttons" else [text, _OPEN.get(language, _OPEN["en"])]
        values += [value for button in buttons for value in (button.label, button.payload)]
        return {str(number): value for number, value in enumerate(values, start=1)}


def shape(message: Outbound) -> Choices | None:
    """How the choices can be shown; None: as numbers in the text."""
    buttons, text = message.buttons, message.text.strip()
    if not buttons or not text or len(text) > _BODY:
        return None
    longest, number = max(len(button.label) for button in buttons), len(buttons)
    if number <= _QUICK[0] and longest <= _QUICK[1]:
        return Choices("buttons", number)
    return Choices("list", number) if number <= _LIST[0] and longest <= _LIST[1] else None


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
