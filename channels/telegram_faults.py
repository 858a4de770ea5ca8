"""What Telegram's refusals mean for a message, a file or an account, named by what must be done."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

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

from channels.channel import ChannelError, Unavailable, Undeliverable

logger = logging.getLogger(__name__)

_REASON = 300  # characters of what went wrong
_GONE = re.compile(
    r"chat not found|user not found|peer_id_invalid|user is deactivated|rights to send|not enough rights", re.I
)
_NO_FILE = re.compile(r"file is too big|wrong file|invalid file|file_id|temporarily unavailable", re.I)
TOO_LONG = re.compile(r"(message|caption)[ _](is[ _])?too[ _]long", re.I)
NO_PHOTO = re.compile(r"photo|image", re.I)


class Faults:
    """Names the faults of one account, and keeps its secrets out of what is said of them."""

    def __init__(self, account: str, token: str) -> None:
        self._account = account
        self._token = token

    @contextmanager
    def named(self, key: str | None = None) -> Iterator[None]:
        """Let our own errors out instead of the library's; `key` is that of the message that was to leave."""
        try:
            yield
        except TelegramError as error:
            raise self.of(error, key) from None  # no cause: it may hold the token

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Where nothing is undeliverable, as there is no message: whatever goes wrong may pass."""
        try:
            yield
        except TelegramError as error:
            fault = self.of(error)
            raise fault if isinstance(fault, Unavailable) else Unavailable(str(fault)) from None

    @contextmanager
    def harmless(self, what: str) -> Iterator[None]:
        """For what may fail without loss."""
        try:
            yield
        except TelegramError as error:
            logger.info("telegram: %s: %s", what, self.reason(error))

    def of(self, error: TelegramError, key: str | None = None) -> ChannelError:
        """The order matters: BadRequest and TimedOut are NetworkErrors."""
        reason = f"telegram: {self.reason(error)}"
        match error:
            case Forbidden() | ChatMigrated():
                return Undeliverable(reason)
            case BadRequest() if _GONE.search(error.message):
                return Undeliverable(reason)
            case BadRequest():
                if not _NO_FILE.search(error.message):
                    logger.error("telegram: our call for message %s was refused: %s", key, self.reason(error))
                return Undeliverable(reason, means="message")
            case RetryAfter():
                wait = error.retry_after
                return Unavailable(reason, wait if isinstance(wait, timedelta) else timedelta(seconds=wait))
            case Conflict():
                return Unavailable(f"telegram: somebody else gets this bot's messages: {self.reason(error)}")
            case InvalidToken():
                return Unavailable(f"telegram: the token of {self._account} is not accepted", account=True)
            case TimedOut() if key:
                return Unavailable(f"{reason} (it may have arrived)", may_have_arrived=True)
        return Unavailable(reason)

    def reason(self, error: Exception) -> str:
        """What went wrong, in few words and without the token."""
        reason = f"{error}".replace(self._token, "<token>") or type(error).__name__
        return reason if len(reason) <= _REASON else f"{reason[:_REASON]}…"  # it can hold a whole page of HTML
