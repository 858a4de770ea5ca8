"""How we call the Bot API: the library's HTTP client, made safe against two of its traps."""

import json
import logging
import os
from typing import Any

import httpx
from telegram import Update
from telegram.error import TelegramError
from telegram.request import HTTPXRequest

from channels import telegram_reading
from channels.channel import Malformed

logger = logging.getLogger(__name__)

_PLAIN = ("message_id", "from", "chat", "date", "edit_date", "text", "caption", "media_group_id", "id", "data")
_TALKATIVE = ("httpx", "httpcore", "httpcore.http11", "httpcore.connection", "telegram.Bot", "telegram.request")


class Request(HTTPXRequest):
    """Reads a batch of updates one by one: the library gives up the whole batch over one update that it cannot read,
    and as the batch is then never confirmed, nothing would ever come through again.
    """

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """Leave out of an update what cannot be read. The library's own version logs all that it cannot parse."""
        try:
            answer = json.loads(payload.decode("utf-8", "replace"))
        except ValueError:
            raise TelegramError("Invalid server response") from None
        if not isinstance(answer, dict) or not answer.keys() & {"result", "description"}:
            raise TelegramError("Invalid server response")
        if isinstance(answer.get("result"), list):
            answer["result"] = [_readable(item) for item in answer["result"]]
        return answer


class Discreet(logging.Filter):
    """Drops every line that would show a secret: the token is a part of each address that httpx logs."""

    def __init__(self, *secrets: str) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """False when the line holds one."""
        line = record.getMessage()
        return not any(secret in line for secret in self._secrets)

    def attach(self) -> None:
        """Put the filter on the loggers of the libraries."""
        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(self)

    def detach(self) -> None:
        """Take it off again; harmless when it is not there."""
        for name in _TALKATIVE:
            logging.getLogger(name).removeFilter(self)


def request(transport: httpx.AsyncBaseTransport | None, *, connections: int) -> Request:
    """A client of our own for the library, over the given transport if there is one."""
    # The library warns at each use of a number of seconds unless one asks for timedelta, and it uses one itself.
    os.environ.setdefault("PTB_TIMEDELTA", "true")
    return Request(
        connection_pool_size=connections,
        pool_timeout=10,
        connect_timeout=10,
        read_timeout=20,
        write_timeout=20,
        media_write_timeout=60,
        httpx_kwargs={"transport": transport} if transport else None,
    )


def update(body: bytes) -> Update:
    """The one update that a webhook is called with, read like those of a poll. Raises Malformed."""
    try:
        given = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise Malformed("telegram: not JSON") from None
    if not isinstance(given, dict) or type(given.get("update_id")) is not int:
        raise Malformed("telegram: not an update")
    return Update.de_json(_readable(given), None)


def _readable(item: Any) -> Any:
    """The update as it is; else without what the library may trip over; else its number alone."""
    if not isinstance(item, dict) or "update_id" not in item:
        return item
    plain = {kind: _plain(content) for kind, content in item.items() if kind in telegram_reading.KINDS}
    for attempt in (item, {"update_id": item["update_id"], **plain}):
        try:
            Update.de_json(attempt, None)
        except Exception as error:  # whatever the library trips over, such as a field that is required since last week
            kinds = ", ".join(sorted(item.keys() - {"update_id"}))
            logger.warning("telegram: update %s (%s): %s", item["update_id"], kinds, type(error).__name__)
        else:
            return attempt
    return {"update_id": item["update_id"]}


def _plain(content: Any) -> Any:
    return {key: content[key] for key in _PLAIN if key in content} if isinstance(content, dict) else content
