"""Telegram: long polling that confirms after our commit, plain text, inline buttons, photos and documents."""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import httpx
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, SecretStr, field_validator
from telegram import Bot, InlineKeyboardMarkup, Update
from telegram import Message as Sent
from telegram.constants import FileSizeLimit, MessageLimit
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from channels import telegram_reading, telegram_request, telegram_writing
from channels.channel import (
    Arrival,
    ChannelError,
    Cursor,
    Features,
    Health,
    Ignored,
    Inbound,
    Media,
    Outbound,
    Unavailable,
    Undeliverable,
)

logger = logging.getLogger(__name__)

_PHOTOS = ("image/jpeg", "image/png", "image/webp")
_REASON = 300  # characters of what went wrong
_UNFINISHED = 1000  # messages whose first parts have left, kept until the rest has
_GONE = re.compile(r"chat not found|user not found|peer_id_invalid|user is deactivated|not enough rights", re.I)
_NO_PHOTO = re.compile(r"photo|image", re.I)
_NO_FILE = re.compile(r"file is too big|wrong file|invalid file|file_id|temporarily unavailable", re.I)
_PAYLOAD = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Settings(BaseModel):
    """The section of a Telegram bot in config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token: SecretStr
    """What @BotFather gave."""
    api_base_url: AnyHttpUrl = AnyHttpUrl("https://api.telegram.org")

    @field_validator("token")
    @classmethod
    def _looks_like_a_token(cls, token: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]+", token.get_secret_value().strip()):
            raise ValueError("is not a bot token; @BotFather gives one that looks like 123456:ABC-DEF1234ghIkl")
        return SecretStr(token.get_secret_value().strip())


class Telegram:
    """One bot. A bot cannot write first: people come by `deep_link`, or by finding it."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        now: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
        poll: timedelta = timedelta(seconds=30),
    ) -> None:
        self.name = name
        self.features = Features(
            buttons=8, text_limit=int(MessageLimit.MAX_TEXT_LENGTH), may_write_first=False, burst=timedelta(seconds=3)
        )
        self._now = now
        self._poll = poll
        self._token = settings.token.get_secret_value()
        self._base = str(settings.api_base_url).rstrip("/")
        self._discreet = telegram_request.Discreet(self._token)
        self._discreet.attach()
        self._requests = [telegram_request.request(transport, connections=number) for number in (2, 32)]
        self._bot = Bot(
            self._token,
            base_url=f"{self._base}/bot",
            base_file_url=f"{self._base}/file/bot",
            get_updates_request=self._requests[0],
            request=self._requests[1],
        )
        self._files = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(20, pool=60))
        self._username: str | None = None
        self._left: OrderedDict[str, int] = OrderedDict()  # parts of a message that have left, by our key

    async def listen(self, since: Cursor | None) -> AsyncIterator[Arrival]:
        """Yield updates. The offset, which makes Telegram forget what lies before it, goes out with the next poll."""
        offset: int | None = int(since["offset"]) if since else None
        while True:
            try:
                updates = await self._bot.get_updates(
                    offset=offset,
                    timeout=self._poll,
                    allowed_updates=telegram_reading.KINDS,
                    read_timeout=20,  # the library adds the time that Telegram may wait
                )
            except TelegramError as error:
                fault = self._fault(error)  # nothing is undeliverable about a poll
                raise fault if isinstance(fault, Unavailable) else Unavailable(str(fault)) from None
            for update in updates:
                yield self._read(update)
                offset = update.update_id + 1

    async def send(self, message: Outbound) -> str:
        """Send the files, then the text with the buttons; one short text with one file is one message.

        The id is that of the last part. A second attempt goes on after the parts that have left.
        """
        chat = telegram_writing.chat(message.to.value)
        parts = telegram_writing.parts(message)
        if not parts:
            logger.error("telegram: message %s is empty", message.key)
            raise Undeliverable("telegram: nothing to send")
        keyboard = telegram_writing.keyboard(message.buttons)
        number, last = self._left.get(message.key, 0), ""
        for index, part in enumerate(parts[number:], number + 1):
            with self._named_by_remedy(message.key):
                sent = await self._send_part(chat, part, keyboard if index == len(parts) else None)
            last = telegram_reading.provider_id(sent.chat.id, sent.message_id)
            self._left[message.key] = index
        self._left.pop(message.key, None)
        while len(self._left) > _UNFINISHED:
            self._left.popitem(last=False)
        return last

    async def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """Stream a file of at most 20 MB; Telegram gives bots no larger ones."""
        limit = int(FileSizeLimit.FILESIZE_DOWNLOAD)
        if media.ref is None or (media.size or 0) > limit:
            raise Undeliverable("telegram: a file larger than 20 MB" if media.ref else "telegram: no file")
        with self._named_by_remedy():
            file = await self._bot.get_file(media.ref)
        if (file.file_size or 0) > limit or not file.file_path:
            raise Undeliverable(
                "telegram: a file larger than 20 MB" if file.file_path else "telegram: the file is gone"
            )
        received = 0
        try:
            async with self._files.stream("GET", file.file_path) as response:
                _refuse(response.status_code)
                async for piece in response.aiter_bytes(65536):
                    received += len(piece)
                    if received > limit:
                        raise Undeliverable("telegram: a file larger than 20 MB")
                    yield piece
        except httpx.HTTPError as error:  # its text may hold the address, and that the token
            raise Unavailable(f"telegram: the download broke off: {type(error).__name__}") from None

    async def settle(self, inbound: Inbound) -> None:
        """Take the waiting sign from the button, and the buttons from the message."""
        if "callback" not in inbound.extra:
            return
        chat, message = inbound.extra["chat"], inbound.extra["message"]
        with self._harmless():
            await self._bot.answer_callback_query(inbound.extra["callback"])
        with self._harmless():
            await self._bot.edit_message_reply_markup(chat_id=chat, message_id=message, reply_markup=None)

    async def check(self) -> Health:
        """Ask who we are, and whether somebody else gets our messages."""
        try:
            me = await self._bot.get_me()
            webhook = await self._bot.get_webhook_info()
        except InvalidToken as error:
            return Health(False, self._reason(error), f"Copy the token from @BotFather to channels.{self.name}.token.")
        except TelegramError as error:
            remedy = f"Can this machine reach {self._base}? A proxy is named by HTTPS_PROXY in the environment."
            return Health(False, self._reason(error), remedy)
        except Exception as error:  # a check tells, it never raises
            return Health(False, self._reason(error), f"Is channels.{self.name}.api_base_url a Bot API server?")
        self._username = me.username
        name = f"@{me.username}" if me.username else me.first_name
        if webhook.url:
            remedy = f"Stop the other program, then open {self._base}/bot<token>/deleteWebhook once in a browser."
            return Health(False, f"{name}: its messages go to a webhook elsewhere", remedy)
        return Health(True, f"{name}, {webhook.pending_update_count} waiting")

    async def deep_link(self, payload: str) -> str:
        """The address that opens a chat with us and brings `payload` back as `Inbound.start`.

        At most 64 of A-Z a-z 0-9 _ -; raises ValueError else, Unavailable when Telegram does not say who we are.
        """
        if not _PAYLOAD.fullmatch(payload):
            raise ValueError("a payload has 1 to 64 of A-Z a-z 0-9 _ -")
        if self._username is None:
            with self._named_by_remedy():
                self._username = (await self._bot.get_me()).username
        if self._username is None:
            raise Unavailable("telegram: the bot has no user name")
        return f"https://t.me/{self._username}?start={payload}"

    async def close(self) -> None:
        """Give connections back."""
        await asyncio.gather(*(request.shutdown() for request in self._requests), self._files.aclose())
        self._discreet.detach()

    def _read(self, update: Update) -> Arrival:
        try:
            return telegram_reading.read(update, account=self.name, now=self._now())
        except Exception as error:  # one odd update must not stop those behind it
            logger.error("telegram: update %s was not understood: %s", update.update_id, type(error).__name__)
            return Ignored(why="telegram: not understood", cursor={"offset": update.update_id + 1})

    async def _send_part(self, chat: int, part: telegram_writing.Part, keyboard: InlineKeyboardMarkup | None) -> Sent:
        if part.file is None:
            return await self._bot.send_message(chat, part.text, reply_markup=keyboard)
        content, caption = await telegram_writing.content(part.file), part.text or None
        if part.file.type in _PHOTOS and len(content) <= FileSizeLimit.PHOTOSIZE_UPLOAD:
            try:
                return await self._bot.send_photo(
                    chat, content, caption=caption, reply_markup=keyboard, filename=part.file.name
                )
            except BadRequest as error:
                if not _NO_PHOTO.search(error.message):
                    raise  # else: too long and thin, or no picture at all; as a document it may go
        return await self._bot.send_document(
            chat, content, caption=caption, reply_markup=keyboard, filename=part.file.name
        )

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except TelegramError as error:  # pressed long ago, or pressed twice
            logger.info("telegram: a button was not settled: %s", self._reason(error))

    @contextmanager
    def _named_by_remedy(self, key: str | None = None) -> Iterator[None]:
        try:
            yield
        except TelegramError as error:
            raise self._fault(error, key) from None  # no cause: it may hold the token

    def _fault(self, error: TelegramError, key: str | None = None) -> ChannelError:
        """The order matters: BadRequest and TimedOut are NetworkErrors."""
        reason = f"telegram: {self._reason(error)}"
        match error:
            case Forbidden() | ChatMigrated():
                return Undeliverable(reason)
            case BadRequest():
                if not (_GONE.search(error.message) or _NO_FILE.search(error.message)):
                    logger.error("telegram: our call for message %s was refused: %s", key, self._reason(error))
                return Undeliverable(reason)
            case RetryAfter():
                wait = error.retry_after
                return Unavailable(reason, wait if isinstance(wait, timedelta) else timedelta(seconds=wait))
            case Conflict():
                return Unavailable(f"telegram: somebody else gets this bot's messages: {self._reason(error)}")
            case InvalidToken():
                return Unavailable(f"telegram: the token of {self.name} is not accepted")
            case TimedOut() if key:
                return Unavailable(f"{reason} (it may have arrived)")
        return Unavailable(reason)

    def _reason(self, error: Exception) -> str:
        reason = f"{error}".replace(self._token, "<token>") or type(error).__name__
        return reason if len(reason) <= _REASON else f"{reason[:_REASON]}…"  # it can hold a whole page of HTML


def _refuse(status: int) -> None:
    if status in (400, 404, 410):
        raise Undeliverable("telegram: the file is gone")
    if status != 200:
        raise Unavailable(f"telegram: the download was answered with {status}")
