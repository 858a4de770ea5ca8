"""Telegram: asked by long polling or called by webhook, confirmed after our commit; plain text, buttons and files."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, SecretStr, field_validator
from telegram import Bot, LinkPreviewOptions, Update, User, WebhookInfo
from telegram import InlineKeyboardMarkup as Under
from telegram import Message as Sent
from telegram import ReplyKeyboardMarkup as Below
from telegram.constants import ChatAction, FileSizeLimit, MessageLimit
from telegram.error import BadRequest, Conflict, InvalidToken, TelegramError

from channels import telegram_files, telegram_reading, telegram_request, telegram_writing
from channels.channel import (
    Arrival,
    Cursor,
    Features,
    Health,
    House,
    Ignored,
    Inbound,
    Media,
    Outbound,
    Rate,
    Request,
    Unavailable,
    Undeliverable,
)
from channels.recent import Recent
from channels.telegram_faults import NO_PHOTO, TOO_LONG, Faults
from channels.telegram_hook import OFFICIAL, Hook
from channels.telegram_writing import Part

logger = logging.getLogger(__name__)

_PHOTOS = ("image/jpeg", "image/png", "image/webp")
_PAYLOAD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECOND = timedelta(seconds=1)
_TYPING = timedelta(seconds=4)  # it is shown for five
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)  # Telegram opens the link to draw it: a single-use one is spent then


class Settings(BaseModel):
    """The section of a Telegram bot in config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token: SecretStr
    """What @BotFather gave."""
    api_base_url: AnyHttpUrl = AnyHttpUrl(OFFICIAL)
    webhook: bool = False
    """Telegram calls us at company.public_url, instead of being asked again and again."""

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
        house: House | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        poll: timedelta = timedelta(seconds=30),
        care: timedelta = timedelta(minutes=5),
    ) -> None:
        self.name = name
        self.features = Features(
            buttons=8,
            text_limit=int(MessageLimit.MAX_TEXT_LENGTH),
            file_limit=int(FileSizeLimit.FILESIZE_DOWNLOAD),
            may_write_first=False,
            burst=timedelta(seconds=3),
            pace=(Rate(1, _SECOND, "recipient"), Rate(30, _SECOND)),
            proves_phone=True,
        )
        self._now = now
        self._poll = poll
        self._care = care  # between two looks at the webhook
        token = settings.token.get_secret_value()
        self._base = str(settings.api_base_url).rstrip("/")
        self._called = settings.webhook
        self._faults = Faults(name, token)
        self._hook = Hook(name, token, house, self._faults, self._base)
        secret = self._hook.secret
        self._discreet = telegram_request.Discreet(token, *([secret] if secret else []))
        self._discreet.attach()
        self._requests = [telegram_request.request(transport, connections=number) for number in (2, 32)]
        self._bot = Bot(
            token,
            base_url=f"{self._base}/bot",
            base_file_url=f"{self._base}/file/bot",
            get_updates_request=self._requests[0],
            request=self._requests[1],
        )
        self._files = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(20, pool=60))
        self._username: str | None = None
        self._typing: Recent[datetime] = Recent()  # since when, by chat
        self._left: Recent[list[Part]] = Recent()  # what of a message has yet to leave, by our key

    async def listen(self, since: Cursor | None) -> AsyncIterator[Arrival]:
        """Yield updates. The offset, which makes Telegram forget what lies before it, goes out with the next poll.

        With a webhook nothing is yielded: this sets it and looks after it, so that one process at a time does.
        """
        if self._called:
            await self._hook.look_after(self._bot, every=self._care, now=self._now)
        offset, looked = telegram_reading.offset(since, self._now()), False
        while True:
            try:
                with self._faults.passing():
                    updates = await self._updates(offset)
            except _Called:
                if looked:
                    raise
                looked = True  # once: whoever sets it again means it
                await self._hook.take_down(self._bot)
                continue
            for update in updates:
                yield self._read(update)
                offset = update.update_id + 1
            if not updates:
                offset = None  # all is confirmed; see telegram_reading.offset for why it must not be kept

    def read(self, request: Request) -> list[Arrival]:
        """Check that Telegram calls, then translate. Raises Forged or Malformed.

        What is called out of order must not move the cursor of a later poll on: it would confirm what failed before.
        """
        return [replace(self._read(self._hook.update(request)), cursor=None)]

    async def send(self, message: Outbound) -> str:
        """Send the files, then the text with the buttons; one short text with one file is one message.

        The id is that of the last part. A second attempt goes on after the parts that have left.
        """
        chat, key = telegram_writing.chat(message.to.value), message.key
        waiting = self._left.get(key) or telegram_writing.parts(message)
        if not waiting:
            logger.error("telegram: message %s is empty", key)
            raise Undeliverable("telegram: nothing to send", means="message")
        keyboard, last = telegram_writing.keyboard(message.buttons), ""
        while waiting:
            part, *rest = waiting
            with self._faults.named(key):
                try:
                    sent = await self._send_part(chat, part, None if rest else keyboard)
                except BadRequest as error:
                    cut = telegram_writing.smaller(part) if TOO_LONG.search(error.message) else []
                    if not cut:
                        raise
                    waiting = [*cut, *rest]
                    continue
            last, waiting = telegram_reading.provider_id(sent.chat.id, sent.message_id), rest
            self._left.keep(key, rest)
        self._left.drop(key)
        return last

    def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """Stream a file of at most 20 MB; Telegram gives bots no larger ones."""
        return telegram_files.fetch(media, self._bot, self._files, self._faults)

    async def settle(self, inbound: Inbound) -> None:
        """Take the waiting sign from the button, and the buttons from the message."""
        if "callback" not in inbound.extra:
            return
        chat, message = inbound.extra["chat"], inbound.extra["message"]
        with self._faults.harmless("a button was not settled"):  # pressed long ago, or pressed twice
            await self._bot.answer_callback_query(inbound.extra["callback"])
        with self._faults.harmless("buttons were not taken away"):
            await self._bot.edit_message_reply_markup(chat_id=chat, message_id=message, reply_markup=None)

    async def notice(self, inbound: Inbound) -> None:
        """Show that somebody is typing, for five seconds or until we write; once for messages in quick succession."""
        now, before = self._now(), self._typing.get(inbound.sender.value)
        if before is not None and now - before < _TYPING:
            return
        self._typing.keep(inbound.sender.value, now)
        with self._faults.harmless("typing was not shown"):
            await self._bot.send_chat_action(telegram_writing.chat(inbound.sender.value), ChatAction.TYPING)

    async def check(self) -> Health:
        """Ask who we are, and how the messages come to us."""
        try:
            me = await self._bot.get_me()
            webhook = await self._bot.get_webhook_info()
        except InvalidToken as error:
            remedy = f"Copy the token from @BotFather to channels.{self.name}.token."
            return Health(False, self._faults.reason(error), remedy)
        except TelegramError as error:
            remedy = f"Can this machine reach {self._base}? A proxy is named by HTTPS_PROXY in the environment."
            return Health(False, self._faults.reason(error), remedy)
        except Exception as error:  # a check tells, it never raises
            remedy = f"Is channels.{self.name}.api_base_url a Bot API server?"
            return Health(False, self._faults.reason(error), remedy)
        self._username = me.username
        return self._health(me, webhook)

    async def deep_link(self, payload: str) -> str:
        """The address that opens a chat with us and brings `payload` back as `Inbound.start`.

        At most 64 of A-Z a-z 0-9 _ -; raises ValueError else, Unavailable when Telegram does not say who we are.
        """
        if not _PAYLOAD.fullmatch(payload):
            raise ValueError("a payload has 1 to 64 of A-Z a-z 0-9 _ -")
        if self._username is None:
            with self._faults.named():
                self._username = (await self._bot.get_me()).username
        if self._username is None:
            raise Unavailable("telegram: the bot has no user name")
        return f"https://t.me/{self._username}?start={payload}"

    async def close(self) -> None:
        """Give connections back."""
        await asyncio.gather(*(request.shutdown() for request in self._requests), self._files.aclose())
        self._discreet.detach()

    def _health(self, me: User, webhook: WebhookInfo) -> Health:
        name = f"@{me.username}" if me.username else me.first_name
        if self._called:
            if wrong := self._hook.impossible() or self._hook.health(webhook, self._now()):
                return replace(wrong, detail=f"{name}: {wrong.detail}")
        elif wrong := self._hook.strange(webhook):
            return replace(wrong, detail=f"{name}: {wrong.detail}")
        waiting = f"{name}, {webhook.pending_update_count} waiting"
        return Health(True, f"{waiting}, called at {self._hook.url}" if self._called else waiting)

    def _read(self, update: Update) -> Arrival:
        try:
            return telegram_reading.read(update, account=self.name, now=self._now())
        except Exception as error:  # one odd update must not stop those behind it
            logger.error("telegram: update %s was not understood: %s", update.update_id, type(error).__name__)
            return Ignored(why="telegram: not understood", cursor={"offset": update.update_id + 1})

    async def _updates(self, offset: int | None) -> tuple[Update, ...]:
        try:
            return await self._bot.get_updates(
                offset=offset,
                timeout=self._poll,
                allowed_updates=telegram_reading.KINDS,
                read_timeout=20,  # the library adds the time that Telegram may wait
            )
        except Conflict as error:
            if "webhook" in error.message.lower():
                raise _Called(str(self._faults.of(error))) from None
            raise

    async def _send_part(self, chat: int, part: Part, keyboard: Under | Below | None) -> Sent:
        if part.file is None:
            return await self._bot.send_message(
                chat, part.text, reply_markup=keyboard, link_preview_options=_NO_PREVIEW
            )
        content, caption = await telegram_writing.content(part.file), part.text or None
        if part.file.type in _PHOTOS and len(content) <= FileSizeLimit.PHOTOSIZE_UPLOAD:
            try:
                return await self._bot.send_photo(
                    chat, content, caption=caption, reply_markup=keyboard, filename=part.file.name
                )
            except BadRequest as error:
                if TOO_LONG.search(error.message) or not NO_PHOTO.search(error.message):
                    raise  # else: too long and thin, or no picture at all; as a document it may go
        return await self._bot.send_document(
            chat, content, caption=caption, reply_markup=keyboard, filename=part.file.name
        )


class _Called(Unavailable):
    """We ask, but the bot has a webhook."""
