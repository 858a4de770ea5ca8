"""The ways in and out. To add one: write its file and its line."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from types import ModuleType

from pydantic import BaseModel

from channels.channel import Channel, House


@dataclass(frozen=True)
class Kind:
    """What there is to a kind of channel: where its class stands, and the `Settings` that it reads from config.yaml.

    Its file, and with it the provider's library, is loaded when an account is of this kind: the six together take most
    of a second that an installation with one of them need not wait for.
    """

    file: str
    makes: str  # the class in it, or the function that makes the channel
    signs: bool = False  # it signs what it sends, so it takes the installation's secret
    at_home: bool = False  # it must know where it lives: takes `house`

    @property
    def settings(self) -> type[BaseModel]:
        """What an account's section in config.yaml must look like."""
        found: type[BaseModel] = self._loaded().Settings
        return found

    def open(
        self,
        name: str,
        settings: BaseModel,
        *,
        now: Callable[[], datetime],
        secret: bytes,
        public_url: str | None = None,
        company: str = "",
    ) -> Channel:
        """Make the channel of one account; nothing is connected yet."""
        channel: Callable[..., Channel] = getattr(self._loaded(), self.makes)
        if self.at_home:
            house = House(secret, public_url.rstrip("/") if public_url else None, company)
            return channel(name, settings, now=now, house=house)
        if self.signs:
            return channel(name, settings, now=now, secret=secret)
        return channel(name, settings, now=now)

    def _loaded(self) -> ModuleType:
        return import_module(f"channels.{self.file}")


CHANNELS: dict[str, Kind] = {
    "webchat": Kind("webchat", "WebChat"),
    "telegram": Kind("telegram", "Telegram", at_home=True),
    "whatsapp": Kind("whatsapp", "WhatsApp", at_home=True),
    "sms": Kind("twilio_sms", "Sms", at_home=True),
    "slack": Kind("slack", "open_account"),
    "email": Kind("email", "Email", signs=True),
}
