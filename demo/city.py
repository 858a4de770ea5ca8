"""All stand-ins together, and the customers that live there."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from demo.devices import Device, MailDevice, TelegramDevice
from demo.house import token
from demo.mail import MailStandIn
from demo.serving import serving
from demo.standin import Diary
from demo.telegram import TelegramStandIn

OURS = "soporte@nube.example"
ROSA = 700_100


@dataclass(frozen=True, kw_only=True)
class City:
    """`accounts`: the sections of Acuse's configuration that lead here, by account name."""

    diary: Diary
    telegram: TelegramStandIn
    mail: MailStandIn
    devices: Sequence[Device]
    accounts: Mapping[str, Mapping[str, Any]]

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, *, now: Callable[[], datetime], acuse: str) -> AsyncIterator["City"]:
        """Serve them all on free ports of the loopback."""
        diary = Diary(now)
        telegram = TelegramStandIn(f"70001:{token()}", now=now, diary=diary)
        mail = MailStandIn(OURS, token(), now=now, diary=diary)
        async with serving(telegram.app) as telegram_url, mail.serving() as (imap, smtp):
            accounts: dict[str, dict[str, Any]] = {
                "telegram": {"token": telegram.token, "api_base_url": telegram_url},
                "email": {
                    "address": OURS,
                    "name": "Nube",
                    "username": OURS,
                    "password": mail.password,
                    "imap": {"host": "127.0.0.1", "port": imap, "security": "none"},
                    "smtp": {"host": "127.0.0.1", "port": smtp, "security": "none"},
                    "since": "all",
                },
            }
            devices: list[Device] = [TelegramDevice(telegram, ROSA), MailDevice(mail)]
            yield cls(diary=diary, telegram=telegram, mail=mail, devices=devices, accounts=accounts)
