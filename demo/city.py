"""All stand-ins together, and the customers that live there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from channels.whatsapp_templates import load as templates
from demo.devices import AgentsDevice, Device, MailDevice, SlackDevice, TelegramDevice, TwilioDevice
from demo.house import token
from demo.mail import MailStandIn
from demo.serving import serving
from demo.slack import SlackStandIn
from demo.standin import Diary
from demo.telegram import TelegramStandIn
from demo.twilio import TwilioStandIn

OURS = "soporte@nube.example"
WHATSAPP, SHORT_CODE = "whatsapp:+573160000001", "890172"
SHARED, DESK = "C0SOPORTE", "G0CASOS"
INES, PEDRO, MARTA = "U0INES", "U0PEDRO", "U0MARTA"
ROSA, ANA = 700_100, "+573005552291"


@dataclass(frozen=True, kw_only=True)
class City:
    """`accounts`: the sections of Acuse's configuration that lead here, by account name."""

    diary: Diary
    whatsapp: TwilioStandIn
    sms: TwilioStandIn
    telegram: TelegramStandIn
    mail: MailStandIn
    slack: SlackStandIn
    devices: Sequence[Device]
    accounts: Mapping[str, Mapping[str, Any]]

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, *, now: Callable[[], datetime], acuse: str) -> AsyncIterator["City"]:
        """Serve them all on free ports of the loopback. `acuse`: where it will be reached."""
        diary = Diary(now)
        async with contextlib.AsyncExitStack() as stack:
            send = await stack.enter_async_context(httpx.AsyncClient(timeout=15))
            whatsapp, sms = (
                TwilioStandIn(
                    f"AC{token()}",
                    token(),
                    now=now,
                    send=send,
                    webhooks={sender: f"{acuse}/webhooks/{kind}"},
                    kind=kind,
                    diary=diary,
                )
                for kind, sender in (("whatsapp", WHATSAPP), ("sms", SHORT_CODE))
            )
            whatsapp.content.adopt(templates())
            telegram = TelegramStandIn(f"70001:{token()}", now=now, diary=diary)
            mail = MailStandIn(OURS, token(), now=now, diary=diary)
            slack = _workspace(SlackStandIn(f"xoxb-{token()}", token(), now=now, send=send, diary=diary, burst=12))
            slack.events_url = f"{acuse}/webhooks/slack"
            urls = [await stack.enter_async_context(serving(one.app)) for one in (whatsapp, sms, telegram, slack)]
            ports = await stack.enter_async_context(mail.serving())
            for run in (whatsapp.run, sms.run, slack.run):
                stack.callback(asyncio.create_task(run()).cancel)
            devices: list[Device] = [
                TwilioDevice(whatsapp, f"whatsapp:{ANA}", "Nube"),
                TwilioDevice(sms, ANA, SHORT_CODE),
                TelegramDevice(telegram, ROSA),
                MailDevice(mail),
                SlackDevice(slack, INES, SHARED),
                AgentsDevice(slack, PEDRO, DESK),
            ]
            accounts = {
                "whatsapp": _twilio(whatsapp, WHATSAPP.removeprefix("whatsapp:"), urls[0]),
                "sms": _twilio(sms, SHORT_CODE, urls[1]),
                "telegram": {"token": telegram.token, "api_base_url": urls[2]},
                "email": _mail(mail, *ports),
                "slack": {
                    "bot_token": slack.bot_token,
                    "signing_secret": slack.signing_secret,
                    "api_base_url": f"{urls[3]}/api/",
                    "agents_channel": DESK,
                    "agents": {PEDRO: "pedro", MARTA: "marta"},
                    "open_channels": [SHARED],
                },
            }
            yield cls(
                diary=diary,
                whatsapp=whatsapp,
                sms=sms,
                telegram=telegram,
                mail=mail,
                slack=slack,
                devices=devices,
                accounts=accounts,
            )


def _workspace(slack: SlackStandIn) -> SlackStandIn:
    """Our people, a customer of another company, the channel that both share, and the agents' own."""
    slack.person(INES, "Inés Prada", email="ines@andina.example", team="T0ANDINA")
    slack.person(PEDRO, "Pedro Salas", email="pedro@nube.example")
    slack.person(MARTA, "Marta Ruiz", email="marta@nube.example")
    slack.channel(SHARED, "soporte-nube", shared=True)
    slack.channel(DESK, "casos", private=True)
    return slack


def _twilio(standin: TwilioStandIn, sender: str, url: str) -> dict[str, Any]:
    sid, secret = standin.account_sid, standin.auth_token
    return {"account_sid": sid, "auth_token": secret, "from_number": sender, "api_base_url": url}


def _mail(standin: MailStandIn, imap: int, smtp: int) -> dict[str, Any]:
    return {
        "address": OURS,
        "name": "Nube",
        "username": OURS,
        "password": standin.password,
        "imap": {"host": "127.0.0.1", "port": imap, "security": "none"},
        "smtp": {"host": "127.0.0.1", "port": smtp, "security": "none"},
        "since": "all",
    }
