"""The stand-in of Twilio: our adapter at one end, Twilio's own descriptions and validator at the other."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request as WebRequest
from starlette.responses import Response
from starlette.routing import Route

from channels.channel import (
    Address,
    Arrival,
    Blocked,
    Button,
    DeliveryReport,
    Forged,
    House,
    Ignored,
    Inbound,
    Outbound,
    Request,
    Unavailable,
    Undeliverable,
)
from channels.twilio_sms import Settings as SmsSettings
from channels.twilio_sms import Sms
from channels.whatsapp import Settings as WhatsAppSettings
from channels.whatsapp import WhatsApp
from channels.whatsapp_templates import load
from demo.provider import Failing
from demo.serving import serving
from demo.standin import State
from demo.twilio import TwilioStandIn
from tests.channels.twilio_judge import SPECS, TwilioJudge
from tests.conftest import Clock

ACCOUNT, TOKEN = "AC" + "a" * 32, "s3cret"
HERE = "http://acuse.test"
ANA = "+573001112233"


@dataclass
class Line:
    """Our adapter and the stand-in, joined without a network in between: `heard` is what Acuse understood."""

    clock: Clock
    standin: TwilioStandIn
    channel: WhatsApp | Sms
    address: str
    heard: list[Arrival] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # the status of the next calls; 204 when empty

    async def hook(self, request: WebRequest) -> Response:
        """What stands at /webhooks."""
        body = await request.body()
        url = f"{HERE}{request.url.path}" + (f"?{request.url.query}" if request.url.query else "")
        given = Request(method="POST", url=url, headers=dict(request.headers), body=body)
        if self.answers and (status := self.answers.pop(0)) != 204:
            return Response(status_code=status)
        try:
            self.heard += self.channel.read(given)
        except Forged:
            return Response(status_code=403)
        return Response(status_code=204)

    async def send(self, text: str, **fields: Any) -> str:
        """Acuse writes to Ana."""
        return await self.channel.send(
            Outbound(key="row-1", to=Address(self.standin.kind, ANA), text=text, code="PQR-7K3M9QX", **fields)
        )

    def reports(self) -> list[str]:
        """States that Acuse was told."""
        return [one.state for one in self.heard if isinstance(one, DeliveryReport)]


@pytest.fixture(params=["whatsapp", "sms"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def line(kind: str) -> AsyncIterator[Line]:
    clock = Clock()
    address = f"whatsapp:{ANA}" if kind == "whatsapp" else ANA
    sender = "+14155238886"
    async with AsyncExitStack() as stack:
        made: Line

        async def hook(request: WebRequest) -> Response:
            return await made.hook(request)

        app = Starlette(routes=[Route("/webhooks/{rest:path}", hook, methods=["POST"])])
        send = await stack.enter_async_context(httpx.AsyncClient(transport=httpx.ASGITransport(app=app)))
        ours = f"whatsapp:{sender}" if kind == "whatsapp" else sender
        standin = TwilioStandIn(
            ACCOUNT, TOKEN, now=clock, send=send, webhooks={ours: f"{HERE}/webhooks/{kind}"}, kind=kind
        )
        standin.judge = TwilioJudge() if SPECS.exists() else None
        standin.content.adopt(load())
        url = await stack.enter_async_context(serving(standin.app))
        section = {"account_sid": ACCOUNT, "auth_token": TOKEN, "from_number": sender, "api_base_url": url}
        house = House(bytes(32), HERE, "Nube")
        channel: WhatsApp | Sms
        if kind == "whatsapp":
            channel = WhatsApp("whatsapp", WhatsAppSettings.model_validate(section), now=clock, house=house)
        else:
            channel = Sms("sms", SmsSettings.model_validate(section), now=clock, house=house)
        made = Line(clock, standin, channel, address)
        yield made
        await channel.close()
    assert standin.faults == []


async def test_a_message_an_answer_and_its_receipts(line: Line) -> None:
    assert await line.standin.write(line.address, "  llegó rota ", profile="Ana") == 204
    said = line.heard[0]
    assert isinstance(said, Inbound) and said.text.strip() == "llegó rota" and said.sender.value == ANA
    await line.send("Lo siento, Ana.")
    for _ in range(4):
        await line.standin.advance()
    wanted = ["sent", "delivered", "read"] if line.standin.kind == "whatsapp" else ["sent", "delivered"]
    assert line.reports() == wanted
    assert {one.key for one in line.heard if isinstance(one, DeliveryReport)} == {"row-1"}
    assert line.standin.phones[line.address].bubbles[-1].state == wanted[-1]
    assert await line.standin.advance() == 0


async def test_receipts_can_come_twice_and_out_of_order(line: Line) -> None:
    await line.standin.write(line.address, "hola")
    line.standin.reorder, line.standin.repeats = True, 2
    await line.send("Hola.")
    for _ in range(3):
        await line.standin.advance()
    assert line.reports()[:4] == ["delivered", "delivered", "sent", "sent"]


async def test_the_same_message_twenty_times_has_one_key(line: Line) -> None:
    assert await line.standin.write(line.address, "hola", repeat=20) == 204
    assert len(line.heard) == 20 and len({one.key for one in line.heard if isinstance(one, Inbound)}) == 1


async def test_what_acuse_does_not_take_comes_again(line: Line) -> None:
    line.answers = [503, 500]
    assert await line.standin.write(line.address, "hola") == 503
    assert line.standin.phones[line.address].bubbles[0].state is State.SENT
    await line.standin.advance()
    await line.standin.advance()
    assert len(line.heard) == 1 and line.standin.phones[line.address].bubbles[0].state is State.DELIVERED


async def test_a_forged_signature_would_be_seen(line: Line) -> None:
    line.standin.auth_token = "another"
    assert await line.standin.write(line.address, "hola") == 403


@pytest.mark.parametrize("how", [Failing.DOWN, Failing.BUSY])
async def test_it_is_down_or_busy(line: Line, how: Failing) -> None:
    await line.standin.write(line.address, "hola")
    line.standin.fail(how, times=1)
    with pytest.raises(Unavailable) as raised:
        await line.send("Hola.")
    if how is Failing.BUSY:
        assert raised.value.retry_after == timedelta(seconds=3)
    await line.send("Hola.")
    assert len(line.standin.said()) == 1


async def test_it_refuses_a_person_for_good(line: Line) -> None:
    await line.standin.write(line.address, "hola")
    line.standin.fail(Failing.REFUSES, times=1)
    await line.send("Hola.")
    await line.standin.advance()
    report = line.heard[-1]
    assert isinstance(report, DeliveryReport) and (report.state, report.means) == ("failed", "address")
    assert "arrived" not in [one.what for one in line.standin.diary.lines]  # nobody read it


async def test_the_answer_is_as_twilio_describes_it(line: Line) -> None:
    if not SPECS.exists():
        pytest.skip("Twilio's descriptions are not there (../shared/data/specs)")
    await line.standin.write(line.address, "hola")
    sid = await line.send("Hola.")
    address = f"{line.standin.app.state.url}/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json"
    async with httpx.AsyncClient(auth=(ACCOUNT, TOKEN)) as client:
        told = (await client.get(address)).json()
    assert TwilioJudge().told(told) == []


@pytest.mark.parametrize("kind", ["whatsapp"], indirect=True)
async def test_the_window_of_24_hours_to_the_second(line: Line) -> None:
    await line.standin.write(line.address, "hola")
    line.clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    await line.send("Dentro.")
    await line.standin.advance()
    line.clock.advance(timedelta(seconds=1))
    await line.send("Fuera.")
    await line.standin.advance()
    failed = [one for one in line.heard if isinstance(one, DeliveryReport) and one.state == "failed"]
    assert line.reports()[0] == "sent" and [one.means for one in failed] == ["window"]
    await line.send("Fuera, como plantilla.", window_open=False)
    assert line.standin.phones[line.address].bubbles[-1].extra["template"]


@pytest.mark.parametrize("kind", ["whatsapp"], indirect=True)
async def test_buttons_go_there_and_come_back(line: Line) -> None:
    await line.standin.write(line.address, "hola")
    await line.send("¿Quedó resuelto?", buttons=(Button("Sí", "solved:yes"), Button("Todavía no", "solved:no")))
    asked = line.standin.phones[line.address].bubbles[-1]
    assert asked.buttons == [("Sí", "solved:yes"), ("Todavía no", "solved:no")]
    await line.standin.press(asked, line.address, "solved:no")
    pressed = line.heard[-1]
    assert isinstance(pressed, Inbound) and pressed.pressed == "solved:no" and pressed.replies_to == (asked.id,)


@pytest.mark.parametrize("kind", ["whatsapp"], indirect=True)
async def test_a_picture_is_fetched_with_the_credentials(line: Line) -> None:
    await line.standin.write(line.address, "", media=[("image/png", b"\x89PNG rota")])
    said = line.heard[0]
    assert isinstance(said, Inbound)
    assert b"".join([part async for part in line.channel.fetch(said.media[0])]) == b"\x89PNG rota"
    [wrote] = [one for one in line.standin.diary.lines if one.what == "wrote"]
    assert not wrote.told("es").endswith(": ")  # the diary names the file where nothing was said
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(said.media[0].ref or "")).status_code == 401


@pytest.mark.parametrize("kind", ["sms"], indirect=True)
async def test_stop_is_acted_on_by_the_provider(line: Line) -> None:
    await line.standin.write(line.address, "STOP")
    blocked = line.heard[-1]
    assert isinstance(blocked, Blocked) and blocked.opted_out
    with pytest.raises(Undeliverable) as raised:
        await line.send("¿Sigues ahí?")
    assert raised.value.means == "opted_out"
    await line.standin.write(line.address, "START")
    await line.send("Hola otra vez.")


@pytest.mark.parametrize("kind", ["sms"], indirect=True)
async def test_a_code_that_was_asked_for(line: Line) -> None:
    await line.standin.write(line.address, "hola")
    line.standin.codes[line.address] = 30003
    await line.send("Hola.")
    await line.standin.advance()
    report = line.heard[-1]
    assert not isinstance(report, Ignored) and isinstance(report, DeliveryReport) and report.means == "later"
