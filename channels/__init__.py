"""The ways in and out. To add one: write its file and its line."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from channels import email, slack, telegram, twilio_sms, webchat, whatsapp
from channels.channel import Channel, House


@dataclass(frozen=True)
class Kind:
    """What there is to a kind of channel: its class, and the settings that it reads from config.yaml."""

    channel: Callable[..., Channel]
    settings: type[BaseModel]
    signs: bool = False  # it signs what it sends, so it takes the installation's secret
    at_home: bool = False  # it must know where it lives: takes `house`

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
        if self.at_home:
            house = House(secret, public_url.rstrip("/") if public_url else None, company)
            return self.channel(name, settings, now=now, house=house)
        if self.signs:
            return self.channel(name, settings, now=now, secret=secret)
        return self.channel(name, settings, now=now)


CHANNELS: dict[str, Kind] = {
    "webchat": Kind(webchat.WebChat, webchat.Settings),
    "telegram": Kind(telegram.Telegram, telegram.Settings, at_home=True),
    "whatsapp": Kind(whatsapp.WhatsApp, whatsapp.Settings, at_home=True),
    "sms": Kind(twilio_sms.Sms, twilio_sms.Settings, at_home=True),
    "slack": Kind(slack.open_account, slack.Settings),
    "email": Kind(email.Email, email.Settings, signs=True),
}
