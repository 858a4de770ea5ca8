"""Small signs of the console: initials, glyphs, marked words, how much of a term is used."""

import html
import re
import zlib
from collections.abc import Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup

CHANNELS = {
    "whatsapp": ("whatsapp", "wa"),
    "telegram": ("telegram", "tg"),
    "email": ("mail", "mail"),
    "webchat": ("web", "web"),
    "sms": ("sms", "sms"),
    "slack": ("slack", "slack"),
}
TYPES = {
    "peticion": "ask",
    "queja": "sad",
    "reclamo": "box",
    "sugerencia": "bulb",
    "felicitacion": "heart",
    "otro": "folder",
}
SEVERITIES = ("low", "medium", "high", "critical")
TICKS = {
    "queued": "clock",
    "sending": "clock",
    "sent": "check",
    "delivered": "check2",
    "read": "read",
    "uncertain": "help",
    "failed": "fail",
    "withdrawn": "close",
}
SOON = 0.8  # of the term
_EMPHASIS = re.compile(r"(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])")


def glyph(kind: str) -> str:
    """The icon of a channel."""
    return CHANNELS.get(kind, ("web", "web"))[0]


def hue(kind: str) -> str:
    """The class that gives a channel its colour."""
    return CHANNELS.get(kind, ("web", "web"))[1]


def level(severity: str) -> int:
    """1 to 4."""
    return SEVERITIES.index(severity) + 1 if severity in SEVERITIES else 1


def initials(name: str | None) -> str:
    """At most two letters; nothing for a name without letters (a number, an address)."""
    words = [word for word in (name or "").replace("@", " ").split() if word[0].isalpha()]
    return "".join(word[0].upper() for word in (words[:1] + words[-1:] if len(words) > 1 else words[:1]))


def shade(key: str) -> str:
    """One of the five colours of a person's circle, always the same for the same person."""
    return "abcde"[zlib.crc32(key.encode()) % 5]


def address(kind: str, value: str) -> str:
    """An address as a list may show it: a phone number without its middle, a web chat without its secret."""
    if kind == "webchat":
        return ""
    if kind in ("whatsapp", "sms") and len(value) > 8:
        return f"{value[:6]} ··· {value[-4:]}"
    return value


def used(opened: datetime | None, due: date | None, today: date, zone: ZoneInfo) -> float:
    """How much of the term is over, from 0 to 1."""
    if due is None or opened is None:
        return 0.0
    start = opened.astimezone(zone).date()
    whole = (due - start).days
    return 1.0 if whole <= 0 else min(1.0, max(0.0, (today - start).days / whole))


def pressure(share: float, due: date | None, today: date) -> str:
    """late | soon | calm."""
    if due is None:
        return "calm"
    if due < today:
        return "late"
    return "soon" if due == today or share >= SOON else "calm"


def marked(text: str, words: Iterable[str]) -> Markup:
    """The text with the words that raised an alarm underlined, its lines kept, everything escaped."""
    spans: list[tuple[int, int]] = []
    lower = text.lower()
    for word in sorted({word.strip().lower() for word in words if word.strip()}, key=len, reverse=True):
        start = lower.find(word) if len(lower) == len(text) else -1
        if start >= 0 and all(start >= end or start + len(word) <= begin for begin, end in spans):
            spans.append((start, start + len(word)))
    parts, at = [], 0
    for start, end in sorted(spans):
        parts += [html.escape(text[at:start]), "<mark>", html.escape(text[start:end]), "</mark>"]
        at = end
    parts.append(html.escape(text[at:]))
    return Markup("".join(parts))  # noqa: S704  every piece of the text is escaped above


def emphasised(text: str) -> Markup:
    """What the bot said, with its `*…*` in bold as the channels show it; everything escaped."""
    return Markup(_EMPHASIS.sub(r"<b>\1</b>", html.escape(text)))  # noqa: S704  the text is escaped


def size(count: int | None) -> str:
    """*214 kB*, *1,8 MB*."""
    if count is None:
        return ""
    if count < 1_000_000:
        return f"{max(1, round(count / 1000))} kB"
    return f"{count / 1_000_000:.1f} MB".replace(".", ",")
