"""Fetch what people sent: Telegram keeps it, and gives bots files of at most 20 MB."""

from collections.abc import AsyncIterator

import httpx
from telegram import Bot
from telegram.constants import FileSizeLimit

from channels.channel import Media, Unavailable, Undeliverable
from channels.telegram_faults import Faults

_TOO_LARGE = "telegram: a file larger than 20 MB"
_GONE = "telegram: the file is gone"


async def fetch(media: Media, bot: Bot, files: httpx.AsyncClient, faults: Faults) -> AsyncIterator[bytes]:
    """Stream it, never more than the limit. Raises Undeliverable or Unavailable."""
    limit = int(FileSizeLimit.FILESIZE_DOWNLOAD)
    if media.ref is None or (media.size or 0) > limit:
        raise Undeliverable(_TOO_LARGE if media.ref else "telegram: no file", means="message")
    with faults.named():
        file = await bot.get_file(media.ref)
    if (file.file_size or 0) > limit or not file.file_path:
        raise Undeliverable(_TOO_LARGE if file.file_path else _GONE, means="message")
    received = 0
    try:
        async with files.stream("GET", file.file_path) as response:
            _refuse(response.status_code)
            async for piece in response.aiter_bytes(65536):
                received += len(piece)
                if received > limit:
                    raise Undeliverable(_TOO_LARGE, means="message")
                yield piece
    except httpx.HTTPError as error:  # its text may hold the address, and that the token
        raise Unavailable(f"telegram: the download broke off: {type(error).__name__}") from None


def _refuse(status: int) -> None:
    if status in (400, 404, 410):
        raise Undeliverable(_GONE, means="message")
    if status != 200:
        raise Unavailable(f"telegram: the download was answered with {status}")
