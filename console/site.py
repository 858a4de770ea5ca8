"""What the pages work with; main puts it together once."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bot.bell import Bell
from bot.intake import Intake
from bot.parts import Parts
from bot.staff import Staff


class Settings(BaseModel):
    """The `console` section of config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    session_hours: float = Field(default=12, gt=0)
    secure_cookies: bool | None = None  # None: when company.public_url is https
    trusted_proxies: list[str] = Field(default_factory=list)  # whose X-Forwarded-For is believed


@dataclass(frozen=True, kw_only=True)
class Site:
    """The bot's verbs, the bell, and the signal that ends open streams."""

    parts: Parts
    intake: Intake
    bell: Bell
    staff: Staff
    settings: Settings
    health: Callable[[], Mapping[str, Any]]  # state of every part; key `ok` decides 200 or 503
    token: Callable[[], str]  # a random secret of 32 bytes, as text
    stopping: asyncio.Event
    webchat_account: str | None  # the account name of the web chat; None: switched off
    version: str

    @property
    def secure(self) -> bool:
        """Whether cookies are for https only."""
        if self.settings.secure_cookies is not None:
            return self.settings.secure_cookies
        return (self.parts.company.public_url or "").startswith("https://")
