"""Cut a message of ours into what Telegram takes in one call."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from telegram import InlineKeyboardButton, InlineKeyboardMarkup
from telegram.constants import FileSizeLimit, MessageLimit

from channels.channel import Button, File, Outbound, Undeliverable

logger = logging.getLogger(__name__)

_ROW = 24  # characters of label that stand side by side on a narrow phone


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
    return [Part("", file) for file in message.files] + [Part(piece) for piece in _pieces(text)]


def _pieces(text: str) -> Iterator[str]:
    """Cut by Telegram's measure, in which most emoji count twice: what fits our limit may not fit theirs."""
    piece, size = "", 0
    for character in text:
        if size + _units(character) > MessageLimit.MAX_TEXT_LENGTH:
            yield piece
            piece, size = "", 0
        piece, size = piece + character, size + _units(character)
    if piece:
        yield piece


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def keyboard(buttons: tuple[Button, ...]) -> InlineKeyboardMarkup | None:
    """Short choices stand side by side, long ones below each other."""
    rows: list[list[InlineKeyboardButton]] = []
    room = 0
    for button in buttons:
        if not rows or len(button.label) > room:
            rows.append([])
            room = _ROW
        rows[-1].append(InlineKeyboardButton(button.label, callback_data=button.payload))
        room -= len(button.label)
    return InlineKeyboardMarkup(rows) if rows else None


async def content(file: File) -> bytes:
    """Read a file that we send, at most 50 MB; raises Undeliverable."""
    try:
        size = (await asyncio.to_thread(file.path.stat)).st_size
        if size > FileSizeLimit.FILESIZE_UPLOAD:
            raise Undeliverable("telegram: a file larger than 50 MB")
        return await asyncio.to_thread(file.path.read_bytes)
    except OSError as error:
        logger.error("telegram: a file to send cannot be read: %s", type(error).__name__)
        raise Undeliverable("telegram: the file to send cannot be read") from None
