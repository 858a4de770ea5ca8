"""What Telegram refuses: what is too long, too fast, or no keyboard."""

import json
from typing import Any

TEXT, CAPTION, PAYLOAD = 4096, 1024, 64


class Refused(Exception):
    """The Bot API says no."""

    def __init__(self, code: int, why: str, *, retry_after: int | None = None) -> None:
        super().__init__(why)
        self.code, self.why, self.retry_after = code, why, retry_after


def limited(text: str) -> str:
    """The text of a message, if it has one that is short enough. Raises Refused."""
    if not text.strip():
        raise Refused(400, "Bad Request: message text is empty")
    if _units(text) > TEXT:
        raise Refused(400, "Bad Request: message is too long")
    return text


def caption(text: str) -> str:
    """The words below a file. Raises Refused."""
    if _units(text) > CAPTION:
        raise Refused(400, "Bad Request: message caption is too long")
    return text


def payload_fits(given: dict[str, Any]) -> None:
    """Look at the keyboard. Raises Refused."""
    keyboard(given)


def keyboard(given: dict[str, Any]) -> tuple[list[tuple[str, str]], dict[str, Any] | None]:
    """Labels and payloads of the buttons, and the keyboard as it was given. A button of a reply keyboard has no payload
    (`contact`: it shares the number). Raises Refused."""
    if not given.get("reply_markup"):
        return [], None
    try:
        markup = json.loads(given["reply_markup"])
        inline = [one for row in markup.get("inline_keyboard", []) for one in row]
        own = [one for row in markup.get("keyboard", []) for one in row]
    except (ValueError, TypeError, AttributeError):
        raise Refused(400, "Bad Request: can't parse reply keyboard markup JSON object") from None
    if any(not 1 <= len(one.get("callback_data", "-").encode()) <= PAYLOAD for one in inline):
        raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
    buttons = [(one["text"], one.get("callback_data", one.get("url", ""))) for one in inline]
    buttons += [(one["text"], "contact" if one.get("request_contact") else "") for one in own if isinstance(one, dict)]
    return buttons, markup


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
