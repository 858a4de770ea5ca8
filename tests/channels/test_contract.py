"""One contract for every channel, so that a new one does not invent manners of its own.

A new channel brings a stand-in of its provider, which is the demo's as well, and a line in SPOKEN.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from pydantic import ValidationError

from channels import CHANNELS
from channels.channel import (
    Address,
    Button,
    Channel,
    ChannelError,
    Features,
    File,
    Health,
    House,
    Inbound,
    Listener,
    Outbound,
    Unavailable,
    Undeliverable,
)
from channels.email import Email
from channels.email import Settings as EmailSettings
from channels.memory import Memory
from channels.telegram import Settings as TelegramSettings
from channels.telegram import Telegram
from channels.twilio_sms import Settings as SmsSettings
from channels.twilio_sms import Sms
from channels.webchat import Settings as WebChatSettings
from channels.webchat import WebChat
from channels.whatsapp import Settings as WhatsAppSettings
from channels.whatsapp import WhatsApp
from channels.whatsapp_templates import load
from demo.mail import MailStandIn
from demo.provider import Failing
from demo.telegram_api import TelegramApi
from demo.twilio_api import Refusal
from tests.channels.at_slack import AtSlack
from tests.channels.at_twilio import ACCOUNT, HERE, TOKEN, a_twilio, wire
from tests.channels.conftest import DESCRIPTION, Judge


def now() -> datetime:
    return datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


class StandIn(Protocol):
    """A provider that the test can talk to, and the channel that talks to it."""

    person: str  # an address that can be written to

    @property
    def channel(self) -> Channel: ...

    async def arrive(self, text: str) -> None:
        """Let a person write (only where the channel listens)."""

    def confirmed(self) -> int:
        """How many arrivals the provider has been told to forget."""

    def trouble(self, kind: type[ChannelError]) -> bool:
        """Let the next send meet trouble of this kind; False when this provider has none."""

    def heard(self) -> str:
        """Every text that the provider was given."""

    def faults(self) -> list[str]:
        """What we did that the provider's own description forbids."""


class InMemory:
    person = "ana"

    def __init__(self) -> None:
        self.channel = Memory(now=now)

    async def arrive(self, text: str) -> None:
        self.channel.write(self.person, text)

    def confirmed(self) -> int:
        return self.channel.confirmed

    def trouble(self, kind: type[ChannelError]) -> bool:
        self.channel.fail(kind("as told"))
        return True

    def heard(self) -> str:
        return "\n".join(message.text for message in self.channel.sent)

    def faults(self) -> list[str]:
        return []


class OnTheWeb:
    person = "session-of-ana"

    def __init__(self) -> None:
        self.channel = WebChat("webchat", WebChatSettings(), now=now)

    async def arrive(self, text: str) -> None:
        raise AssertionError("the web chat does not listen")

    def confirmed(self) -> int:
        return 0

    def trouble(self, kind: type[ChannelError]) -> bool:
        return False  # nothing leaves the house

    def heard(self) -> str:
        return ""  # the browser reads the row itself

    def faults(self) -> list[str]:
        return []


class AtTelegram:
    person = "77"

    def __init__(self) -> None:
        self.telegram = TelegramApi("4242:AAE", now=now, people={77: "Ana"}, pace=timedelta(0))
        self.telegram.judge = Judge(json.loads(DESCRIPTION.read_text("utf-8"))).call if DESCRIPTION.exists() else None
        settings = TelegramSettings.model_validate({"token": self.telegram.token})
        wire = httpx.ASGITransport(app=self.telegram.app)
        self.channel = Telegram("telegram", settings, now=now, transport=wire, poll=timedelta(seconds=1))

    async def arrive(self, text: str) -> None:
        self.telegram.write(77, text)

    def confirmed(self) -> int:
        return sum(one.taken for one in self.telegram.posts.values())

    def trouble(self, kind: type[ChannelError]) -> bool:
        self.telegram.fail({Undeliverable: Failing.REFUSES, Unavailable: Failing.DOWN}[kind], times=1)
        return True

    def heard(self) -> str:
        return "\n".join(one.text for one in self.telegram.posts.values() if not one.mine)

    def faults(self) -> list[str]:
        return self.telegram.faults


class AtMail:
    """An account of ours at the demo's mail provider."""

    person = "ana@test.local"

    def __init__(self) -> None:
        self.mail = MailStandIn("intake@test.local", "s3creto", now=now)
        self._life = self.mail.serving()
        self.channel: Email  # made by `open`

    async def open(self) -> None:
        ports = await self._life.__aenter__()
        section: dict[str, Any] = {"address": self.mail.address, "password": self.mail.password, "since": "all"}
        for server, port in zip(("imap", "smtp"), ports, strict=True):
            section[server] = {"host": "127.0.0.1", "port": port, "security": "none"}
        settings = EmailSettings.model_validate(section)
        self.channel = Email("email", settings, now=now, secret=bytes(32), text_record=lambda _: None)

    async def arrive(self, text: str) -> None:
        self.mail.write(self.person, "Hola", text, name="Ana")

    def confirmed(self) -> int:
        return self.mail.asked_from - 1

    def trouble(self, kind: type[ChannelError]) -> bool:
        self.mail.fail({Undeliverable: Failing.REFUSES, Unavailable: Failing.BUSY}[kind], times=1)
        return True

    def heard(self) -> str:
        return "\n".join(self.mail.said())

    def faults(self) -> list[str]:
        return self.mail.faults

    async def close(self) -> None:
        await self._life.__aexit__(None, None, None)


class AtTwilio:
    """One stand-in for both kinds; Twilio calls, so nothing listens."""

    person = "+573001112233"
    channel: WhatsApp | Sms

    def __init__(self, kind: str) -> None:
        self.twilio = a_twilio(kind, now=now)

    async def arrive(self, text: str) -> None:
        raise AssertionError("Twilio calls")

    def confirmed(self) -> int:
        return 0

    def trouble(self, kind: type[ChannelError]) -> bool:
        self.twilio.refusals.append(Refusal(*{Undeliverable: (400, 21211), Unavailable: (503, 20500)}[kind]))
        return True

    def heard(self) -> str:
        return "\n".join(one["shown"] for one in self.twilio.messages)

    def faults(self) -> list[str]:
        return self.twilio.faults


class OnWhatsApp(AtTwilio):
    def __init__(self) -> None:
        super().__init__("whatsapp")
        self.twilio.content.adopt(load())
        settings = WhatsAppSettings.model_validate(SECTIONS["whatsapp"])
        house = House(bytes(32), HERE, "Nube")
        self.channel = WhatsApp("whatsapp", settings, now=now, house=house, transport=wire(self.twilio))


class BySms(AtTwilio):
    def __init__(self) -> None:
        super().__init__("sms")
        settings = SmsSettings.model_validate(SECTIONS["sms"])
        self.channel = Sms("sms", settings, now=now, house=House(bytes(32), HERE, "Nube"), transport=wire(self.twilio))


SPOKEN: dict[str, Callable[[], StandIn]] = {
    "memory": InMemory,
    "webchat": OnTheWeb,
    "telegram": AtTelegram,
    "whatsapp": OnWhatsApp,
    "sms": BySms,
    "email": AtMail,
    "slack": AtSlack,
}
TROUBLES = pytest.mark.parametrize("kind", [Undeliverable, Unavailable])


@pytest.fixture(params=SPOKEN)
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[StandIn]:
    stand_in = SPOKEN[request.param]()
    if isinstance(stand_in, AtMail | AtSlack):
        await stand_in.open()
    yield stand_in
    assert stand_in.faults() == []
    await stand_in.channel.close()
    if isinstance(stand_in, AtMail | AtSlack):
        await stand_in.close()  # its servers listen on real ports


def outbound(provider: StandIn, text: str = "Recibimos su mensaje.", *, key: str = "k1", **fields: Any) -> Outbound:
    return Outbound(key=key, to=Address(provider.channel.name, provider.person), text=text, **fields)


async def soon(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def within(seconds: float, coming: Awaitable[Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await coming


def test_every_channel_that_can_be_configured_is_held_to_the_contract() -> None:
    assert CHANNELS.keys() <= SPOKEN.keys()


SECTIONS: dict[str, dict[str, Any]] = {
    "webchat": {},
    "telegram": {"token": "4242:AAE"},
    "slack": {"bot_token": "xoxb-1", "app_token": "xapp-1"},
    "whatsapp": {"account_sid": ACCOUNT, "auth_token": TOKEN, "from_number": "+14155238886"},
    "sms": {"account_sid": ACCOUNT, "auth_token": TOKEN, "messaging_service_sid": "MG" + "0" * 32},
    "email": {
        "address": "intake@test.local",
        "password": "s3creto",
        "imap": {"host": "127.0.0.1"},
        "smtp": {"host": "127.0.0.1"},
    },
}


@pytest.mark.parametrize("kind", CHANNELS)
async def test_every_kind_opens_under_the_name_of_its_account_and_connects_to_nothing(kind: str) -> None:
    settings = CHANNELS[kind].settings.model_validate(SECTIONS[kind])
    channel = CHANNELS[kind].open("second", settings, now=now, secret=bytes(32))
    assert isinstance(channel, Channel) and channel.name == "second"
    await channel.close()


@pytest.mark.parametrize("kind", CHANNELS)
def test_a_misspelt_setting_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError, match="colour"):
        CHANNELS[kind].settings.model_validate({"colour": "red"})


def test_what_a_channel_is_can_be_asked(provider: StandIn) -> None:
    assert isinstance(provider.channel, Channel)
    assert isinstance(provider.channel.features, Features)
    assert provider.channel.name


async def test_sending_gives_the_providers_id_and_each_message_has_its_own(provider: StandIn) -> None:
    ids = [await provider.channel.send(outbound(provider, key=key)) for key in ("k1", "k2", "k3")]
    assert all(ids) and len(set(ids)) == 3


async def test_the_same_key_can_be_sent_again(provider: StandIn) -> None:
    assert await provider.channel.send(outbound(provider))
    assert await provider.channel.send(outbound(provider))


async def test_a_message_as_large_as_the_features_allow_goes_out_whole(provider: StandIn, tmp_path: Path) -> None:
    features = provider.channel.features
    text = ("x" * 59 + "\n") * (min(features.text_limit, 20_000) // 60)
    buttons = tuple(
        Button(f"Opción {number}", f"payload-{number}".ljust(64, "-")) for number in range(features.buttons)
    )
    files: tuple[File, ...] = ()
    if features.files:
        (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
        files = (File("respuesta.pdf", "application/pdf", tmp_path / "a.pdf"),)
    assert await provider.channel.send(outbound(provider, text.strip(), buttons=buttons, files=files))
    assert provider.heard() == "" or provider.heard().count("x" * 59) == text.count("x" * 59)


@TROUBLES
async def test_trouble_is_named_by_its_remedy_and_passes(provider: StandIn, kind: type[ChannelError]) -> None:
    if not provider.trouble(kind):
        return  # this provider has no such trouble, so there is nothing to promise
    with pytest.raises(kind) as caught:
        await provider.channel.send(outbound(provider))
    assert type(caught.value) is kind and str(caught.value)
    assert await provider.channel.send(outbound(provider))


async def test_closing_twice_is_as_good_as_once(provider: StandIn) -> None:
    await provider.channel.close()
    await provider.channel.close()


async def test_a_check_tells_and_never_raises(provider: StandIn) -> None:
    healthy = await provider.channel.check()
    assert healthy.ok and healthy.detail and healthy.remedy is None
    provider.trouble(Unavailable)
    assert isinstance(await provider.channel.check(), Health)
    await provider.channel.close()
    assert isinstance(await provider.channel.check(), Health)


async def test_an_arrival_is_confirmed_when_the_next_one_is_asked_for_and_not_before(provider: StandIn) -> None:
    channel = provider.channel
    if not isinstance(channel, Listener):
        return  # it is called, or it is ourselves
    await provider.arrive("one")
    await provider.arrive("two")
    listener = channel.listen(None)
    one = await within(10, anext(listener))
    assert isinstance(one, Inbound) and (one.text.strip(), provider.confirmed()) == ("one", 0)
    two = await within(10, anext(listener))
    assert isinstance(two, Inbound) and two.text.strip() == "two"
    assert provider.confirmed() <= 1
    assert one.key != two.key and one.sender == two.sender
    again = await within(10, anext(channel.listen(json.loads(json.dumps(one.cursor)))))  # as kept in a database
    assert (again.key, again.cursor) == (two.key, two.cursor)
    asking = asyncio.ensure_future(anext(listener))
    await soon(lambda: provider.confirmed() == 2)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
