"""WhatsApp from phone to phone: the demo's stand-in of Twilio calls our pages, and our channel calls it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from bot.intake import Intake
from bot.sending import Sending
from bot.turn import Turns
from channels.channel import Address, House, Outbound
from channels.whatsapp import Settings, WhatsApp
from console.app import create_app
from demo.twilio import TwilioStandIn
from storage.listen import Bell
from tests.console.conftest import a_site, now
from tests.world import World

HERE = "https://acuse.example"
SENDER, ANA = "whatsapp:+14155238886", "whatsapp:+573001112233"
ACCOUNT = "AC" + "0" * 32
BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


class Line:
    """A sender, the stand-in behind it, and the house that serves both."""

    def __init__(self, world: World, twilio: TwilioStandIn) -> None:
        self.world = world
        self.twilio = twilio
        self.network = httpx.ASGITransport(app=twilio.app)
        self.house = House(world.parts.secret, HERE, "Nube")
        section = {"account_sid": ACCOUNT, "auth_token": "12345", "from_number": SENDER.removeprefix("whatsapp:")}
        self.settings = Settings.model_validate(section)
        self.channel = WhatsApp("whatsapp", self.settings, now=now, house=self.house, transport=self.network)
        self.channel.features = replace(self.channel.features, pace=())  # the clock is real: nobody waits six seconds

    async def settle(self) -> None:
        """Answer what came in, and send it."""
        for one in await self.world.conversations():
            async with self.world.parts.database.transaction() as tx:
                conversation = await tx.conversations.locked(one.id)
                assert conversation is not None
                conversation.answer_after = None  # the burst is over
            await Turns(self.world.parts).run(one.id)
            await Sending(self.world.parts).run(one.id)

    def heard(self) -> list[str]:
        """What Ana's phone shows of us."""
        return [bubble.text for bubble in self.twilio.phones[ANA].bubbles if not bubble.mine]


@pytest.fixture
async def line(world: World, database_url: str) -> AsyncIterator[Line]:
    pages: list[httpx.AsyncClient] = []

    async def call(request: httpx.Request) -> httpx.Response:
        return await pages[0].send(request)

    to_us = httpx.AsyncClient(transport=httpx.MockTransport(call))
    twilio = TwilioStandIn(ACCOUNT, "12345", now=now, send=to_us, webhooks={SENDER: f"{HERE}/webhooks/whatsapp"})
    line = Line(world, twilio)
    company = world.parts.company.model_copy(update={"public_url": HERE})
    kinds = {**world.parts.kinds, "whatsapp": "whatsapp"}
    channels = {**world.parts.channels, "whatsapp": line.channel}
    world.parts = replace(world.parts, company=company, channels=channels, kinds=kinds)
    world.intake = Intake(world.parts, lambda text, sticky: sticky or "es")
    site = a_site(world, Bell(database_url))
    pages.append(httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(site)), base_url=HERE))
    yield line
    for one in (to_us, *pages):
        await one.aclose()
    await line.channel.close()


async def test_a_report_by_whatsapp_gets_its_receipt_once_and_the_ticks_come_back(line: Line) -> None:
    assert await line.twilio.write(ANA, BROKEN, profile="Ana", repeat=20) == 204
    await line.settle()
    assert len(line.heard()) == 2 and "PQR-" in line.heard()[1]
    line.twilio.reorder, line.twilio.repeats = True, 2
    for _ in range(8):
        await line.twilio.advance()
    assert {row.state for row in await line.world.outgoing()} == {"read"}


async def test_buttons_come_as_buttons_and_a_press_is_understood(line: Line) -> None:
    await line.twilio.write(ANA, "quiero hablar de algo", profile="Ana")
    await line.settle()
    offering = [bubble for bubble in line.twilio.phones[ANA].bubbles if bubble.buttons]
    assert offering, line.heard()
    label, payload = offering[-1].buttons[0]
    assert label and payload
    assert await line.twilio.press(offering[-1], ANA, payload) == 204
    before = len(line.heard())
    await line.settle()
    assert len(line.heard()) > before


async def test_templates_are_pushed_to_it_approved_and_sent_after_a_day(line: Line) -> None:
    line.twilio.content.approves = True
    await line.channel.templates(push=True)
    again = WhatsApp("whatsapp", line.settings, now=now, house=line.house, transport=line.network)
    assert {one.state for one in await again.templates()} == {"approved"}
    line.twilio.close_window(ANA)
    late = Outbound(
        key="k", to=Address("whatsapp", ANA.removeprefix("whatsapp:")), text="Ya salió.", code="PQR-7K3M9QX"
    )
    await again.send(replace(late, window_open=False))
    await again.close()
    assert line.heard() == [
        "Hola de nuevo, hay novedades en tu caso PQR-7K3M9QX: Ya salió. — Responde aquí para seguir la conversación."
    ]
