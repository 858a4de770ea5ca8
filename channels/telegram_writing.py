"""Cut a message of ours into what Telegram takes in one call."""

import asyncio
import logging
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from telegram import InlineKeyboardButton, InlineKeyboardMarkup, KeyboardButton, ReplyKeyboardMarkup
from telegram.constants import FileSizeLimit, MessageLimit

from channels.channel import Button, File, Outbound, Undeliverable

logger = logging.getLogger(__name__)

_ROW = 24  # characters of label that stand side by side on a narrow phone
_SMALLEST = 32  # units: no text is cut into less
_CLUSTER = 40  # characters: longer ones that show as a single letter are a prank
_JOINER = "\u200d"
_FLAGS = "".join(chr(0x1F1E6 + letter) for letter in range(26))


@dataclass(frozen=True)
class Part:
    """What goes out in one call."""

    text: str
    file: File | None = None


def chat(value: str) -> int:
    """The number of the chat; raises Undeliverable."""
    try:
        return int(value)
    except ValueError:
        raise Undeliverable("telegram: not the number of a chat") from None


def parts(message: Outbound) -> list[Part]:
    """Files, then text; a short text with one file is one part."""
    text = message.text.strip()
    if len(message.files) == 1 and _units(text) <= MessageLimit.CAPTION_LENGTH:
        return [Part(text, message.files[0])]
    return [Part("", file) for file in message.files] + _texts(text, int(MessageLimit.MAX_TEXT_LENGTH))


def smaller(part: Part) -> list[Part]:
    """The same in several parts, when Telegram finds it too long all the same; none when there is nothing to cut."""
    if part.file is not None:
        return [Part("", part.file), *_texts(part.text, int(MessageLimit.MAX_TEXT_LENGTH))] if part.text else []
    limit = _units(part.text) * 2 // 3  # a cut behind a word leaves two parts, not three
    return _texts(part.text, limit) if limit >= _SMALLEST else []


def keyboard(buttons: tuple[Button, ...]) -> InlineKeyboardMarkup | ReplyKeyboardMarkup | None:
    """Short choices stand side by side, long ones below each other.

    The phone can only be asked for below the field where one types; there, all choices bring their words back.
    """
    if any(button.asks == "phone" for button in buttons):
        keys = [[KeyboardButton(one.label, request_contact=one.asks == "phone" or None)] for one in buttons]
        return ReplyKeyboardMarkup(keys, resize_keyboard=True, one_time_keyboard=True)
    rows: list[list[InlineKeyboardButton]] = []
    room = 0
    for button in buttons:
        if not rows or len(button.label) > room:
            rows.append([])
            room = _ROW
        rows[-1].append(InlineKeyboardButton(button.label, callback_data=button.payload))
        room -= len(button.label)
    return InlineKeyboardMarkup(rows) if rows else None


def _texts(text: str, limit: int) -> list[Part]:
    return [Part(piece) for piece in _pieces(text, limit) if piece.strip()]


def _pieces(text: str, limit: int) -> Iterator[str]:
    """Cut by Telegram's measure, in which most emoji count twice: what fits our limit may not fit theirs."""
    while _units(text) > limit:
        cut = _cut(text, limit)
        yield text[:cut]
        text = text[cut:]
    yield text


def _cut(text: str, limit: int) -> int:
    """Where to cut: behind a paragraph, a line or a word, so that links and codes stay whole; never in a letter."""
    fits = size = 0
    for character in text:
        size += _units(character)
        if size > limit:
            break
        fits += 1
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, fits // 2, fits)
        if at > 0:
            return at + len(mark)
    cut = fits
    while cut > max(fits - _CLUSTER, 1) and _one_letter(text, cut):
        cut -= 1
    return cut if not _one_letter(text, cut) else fits


def _one_letter(text: str, at: int) -> bool:
    """Whether the characters before and behind show as one: accents, flags, families, shades of skin."""
    before, behind = text[at - 1], text[at]
    if _flag(before) and _flag(behind):
        return (at - len(text[:at].rstrip(_FLAGS))) % 2 == 1
    return (
        before == _JOINER
        or unicodedata.category(behind) in ("Mn", "Me", "Mc", "Cf")
        or 0x1F3FB <= ord(behind) <= 0x1F3FF
    )


def _flag(character: str) -> bool:
    return character in _FLAGS


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


async def content(file: File) -> bytes:
    """Read a file that we send, at most 50 MB; raises Undeliverable."""
    try:
        size = (await asyncio.to_thread(file.path.stat)).st_size
        if size > FileSizeLimit.FILESIZE_UPLOAD:
            raise Undeliverable("telegram: a file larger than 50 MB", means="message")
        return await asyncio.to_thread(file.path.read_bytes)
    except OSError as error:
        logger.error("telegram: a file to send cannot be read: %s", type(error).__name__)
        raise Undeliverable("telegram: the file to send cannot be read", means="message") from None
