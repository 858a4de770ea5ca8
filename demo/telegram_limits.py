"""What Telegram refuses: what is too long, too fast, or no keyboard."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from typing import Any

TEXT, CAPTION, PAYLOAD = 4096, 1024, 64
BURST = 3  # messages that may come at once before the pace counts


class Refused(Exception):
    """The Bot API says no."""

    def __init__(self, code: int, why: str, *, retry_after: int | None = None) -> None:
        super().__init__(why)
        self.code, self.why, self.retry_after = code, why, retry_after


class Throttle:
    """A message each `pace` for each key, and a few at once."""

    def __init__(self, now: Callable[[], datetime], pace: timedelta, burst: int = BURST) -> None:
        self._now, self._pace, self._burst = now, pace, burst
        self._free_at: dict[str, datetime] = {}

    def wait(self, key: str) -> int:
        """0 and it counts as sent, else the seconds to wait."""
        now = self._now()
        if not self._pace:
            return 0
        free_at = max(self._free_at.get(key, now), now)
        late = free_at - now - (self._burst - 1) * self._pace
        if late > timedelta(0):
            return max(1, ceil(late.total_seconds()))
        self._free_at[key] = free_at + self._pace
        return 0


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
