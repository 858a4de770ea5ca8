"""The ways in and out. To add one: write its file and its line."""

from collections.abc import Callable
from typing import NamedTuple

from pydantic import BaseModel

from channels import telegram, webchat
from channels.channel import Channel


class Kind(NamedTuple):
    """How to make a channel of one kind: `channel(name, settings, now=…)`, and the settings that it reads."""

    channel: Callable[..., Channel]
    settings: type[BaseModel]


CHANNELS: dict[str, Kind] = {
    "webchat": Kind(webchat.WebChat, webchat.Settings),
    "telegram": Kind(telegram.Telegram, telegram.Settings),
}
