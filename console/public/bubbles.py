"""How a message looks in the chat window: paragraphs, links, the receipt, files. Everything else is escaped."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from bot import dates
from bot.chat import Bubble
from bot.views import FileView

SHOWABLE = ("image/png", "image/jpeg", "image/gif", "image/webp")  # what may be shown, and not only downloaded
_CODE = re.compile(r"(?:PQR|FEL)-[0-9A-HJKMNP-TV-Z]{7}")
_LINK = re.compile(r"https?://[^\s<>\"']{3,2000}")
_BOLD = re.compile(r"(?<![\w*])\*([^*\n]{1,80})\*(?![\w*])")
_TAIL = ".,;:!?)]}»”’*"


@dataclass(frozen=True)
class Block:
    """A paragraph, or a receipt with its code, its stamp (day and hour), the type, and what follows."""

    text: Markup
    code: str | None = None
    stamp: str = ""
    type: str = ""


@dataclass(frozen=True)
class View:
    """A bubble, ready for the template."""

    key: str  # the same for the message that the page drew before it was kept
    bubble: Bubble
    blocks: Sequence[Block]
    hour: str
    buttons: Sequence[tuple[str, str]]

    @property
    def pictures(self) -> Sequence[FileView]:
        """The files that may be shown."""
        return [one for one in self.bubble.files if one.state == "stored" and one.type in SHOWABLE]

    @property
    def papers(self) -> Sequence[FileView]:
        """All other files."""
        return [one for one in self.bubble.files if one not in self.pictures]


def views(bubbles: Sequence[Bubble], language: str, timezone: str, now: datetime) -> list[View]:
    """Buttons can be pressed only below the last message: an older question is answered or past."""
    last = bubbles[-1] if bubbles else None
    return [view(one, language, timezone, now, buttons=one is last) for one in bubbles]


def view(bubble: Bubble, language: str, timezone: str, now: datetime, *, buttons: bool = True) -> View:
    """One bubble. What a visitor wrote is shown as it was written."""
    mine = bubble.who == "me"
    return View(
        key=f"c-{bubble.client_id}" if mine else f"m-{bubble.id}",
        bubble=bubble,
        blocks=[Block(rich(bubble.text))] if mine else list(_blocks(bubble.text, bold=bubble.who == "bot")),
        hour=_hour(bubble.at, now, language, timezone),
        buttons=bubble.buttons if buttons else (),
    )


def rich(text: str, *, bold: bool = False) -> Markup:
    """Escaped, with links that can be followed and, in our own words, *bold* ones."""
    parts: list[Markup] = []
    done = 0
    for found in _LINK.finditer(text):
        link = found[0].rstrip(_TAIL)
        parts += [_words(text[done : found.start()], bold), _link(link)]
        done = found.start() + len(link)
    return Markup("").join([*parts, _words(text[done:], bold)])


def _link(link: str) -> Markup:
    return Markup('<a href="{0}" rel="noopener noreferrer nofollow" target="_blank">{0}</a>').format(link)


def _words(text: str, bold: bool) -> Markup:
    safe = escape(text)
    # the asterisks stand between letters that were escaped a line ago; \1 brings them back as they are
    return Markup(_BOLD.sub(r"<b>\1</b>", str(safe))) if bold else safe  # noqa: S704  escaped above


def _blocks(text: str, *, bold: bool) -> Iterator[Block]:
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.split("\n")
        at = next((number for number, line in enumerate(lines) if _CODE.fullmatch(line.strip())), None)
        if at is None:
            yield Block(rich(paragraph, bold=bold))
            continue
        if before := "\n".join(lines[:at]).strip():
            yield Block(rich(before, bold=bold))
        stamp, _, kind = (lines[at + 1] if at + 1 < len(lines) else "").partition(" · ")
        rest = "\n".join(lines[at + 2 :]).strip()
        yield Block(rich(rest, bold=bold), code=lines[at].strip(), stamp=stamp, type=kind)


def _hour(at: datetime, now: datetime, language: str, timezone: str) -> str:
    """The company's hour, as on its receipts; with the day when that is not today."""
    there, today = at.astimezone(ZoneInfo(timezone)).date(), now.astimezone(ZoneInfo(timezone)).date()
    hour = dates.clock(at, language, timezone)
    return hour if there == today else f"{dates.short_day(there, language, today)}, {hour}"
