"""The stand-in of Slack, driven by our own adapter over signed calls."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
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
    Button,
    DeskAct,
    Edited,
    File,
    Forged,
    Inbound,
    Outbound,
    Request,
    Unavailable,
    Undeliverable,
)
from channels.desk_place import Card, Form
from channels.slack import Settings, Slack, open_account
from demo.provider import Failing
from demo.serving import serving
from demo.slack import ACTION, SlackStandIn
from demo.slack_blocks import Refusal, limits
from demo.standin import State
from tests.conftest import Clock

HERE = "http://acuse.test/webhooks/slack"
INES, PEDRO, SHARED, DESK = "U0INES", "U0PEDRO", "C0SOPORTE", "G0CASOS"


@dataclass
class Line:
    """Our adapter and the stand-in: `heard` is what Acuse understood."""

    standin: SlackStandIn
    channel: Slack
    heard: list[Arrival] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    async def hook(self, request: WebRequest) -> Response:
        """What stands at /webhooks."""
        given = Request(method="POST", url=HERE, headers=dict(request.headers), body=await request.body())
        if self.answers and (status := self.answers.pop(0)) != 200:
            return Response(status_code=status)
        try:
            self.heard += self.channel.read(given)
        except Forged:
            return Response(status_code=403)
        reply = self.channel.reply(given)
        return Response(reply.body if reply else b"", status_code=200)

    def last(self) -> Arrival:
        """The newest arrival."""
        return self.heard[-1]

    async def send(self, text: str, **fields: Any) -> str:
        """Acuse writes to Inés."""
        return await self.channel.send(Outbound(key="k", to=Address("slack", f"T0ANDINA:{INES}"), text=text, **fields))


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    clock = Clock()
    async with AsyncExitStack() as stack:
        made: Line

        async def hook(request: WebRequest) -> Response:
            return await made.hook(request)

        app = Starlette(routes=[Route("/webhooks/slack", hook, methods=["POST"])])
        send = await stack.enter_async_context(httpx.AsyncClient(transport=httpx.ASGITransport(app=app)))
        standin = SlackStandIn("xoxb-1", "shh", now=clock, send=send, events_url=HERE, pace=timedelta(0))
        standin.person(INES, "Inés Prada", team="T0ANDINA")
        standin.person(PEDRO, "Pedro Salas", email="pedro@nube.example")
        standin.channel(SHARED, "soporte-nube", shared=True)
        standin.channel(DESK, "casos", private=True)
        url = await stack.enter_async_context(serving(standin.app))
        section = {"bot_token": "xoxb-1", "signing_secret": "shh", "api_base_url": f"{url}/api/"}
        section |= {"agents_channel": DESK, "open_channels": [SHARED], "agents": {PEDRO: "pedro"}}  # type: ignore[dict-item]  # a section
        channel = open_account("slack", Settings.model_validate(section), now=clock)
        made = Line(standin, channel)
        yield made
        await channel.close()


async def test_a_thread_in_a_shared_channel_and_its_answer(line: Line) -> None:
    ts = await line.standin.write(INES, "se cayó la facturación", channel=SHARED)
    said = line.last()
    assert isinstance(said, Inbound) and said.text == "se cayó la facturación"
    assert said.thread == f"{SHARED}:{ts}" and said.sender.value == f"T0ANDINA:{INES}"
    named = await line.channel.introduce(said)
    assert (named.name, named.language) == ("Inés Prada", "es")
    await line.send("Ya lo miro.", replies_to=(said.provider_id or "",), buttons=(Button("Persona", "person"),))
    answer = line.standin.phones[SHARED].bubbles[-1]
    assert (answer.text, answer.extra["thread"]) == ("Ya lo miro.", ts)
    await line.standin.press(INES, SHARED, answer.id, *answer.buttons[0][1].split(ACTION))
    pressed = line.last()
    assert isinstance(pressed, Inbound) and pressed.pressed == "person"
    await line.channel.settle(pressed)
    assert line.standin.phones[SHARED].bubbles[-1].buttons == []


async def test_it_is_written_to_directly_and_a_message_is_edited(line: Line) -> None:
    ts = await line.standin.write(INES, "hola")
    said = line.last()
    assert isinstance(said, Inbound) and said.thread == f"D{INES[1:]}"
    await line.standin.edit(INES, f"D{INES[1:]}", ts, "hola, buenas")
    edit = line.last()
    assert isinstance(edit, Edited) and (edit.original, edit.text) == (said.provider_id, "hola, buenas")
    await line.send("Hola.")
    assert line.standin.phones[f"D{INES[1:]}"].heard() == ["Hola."]


async def test_an_event_that_is_not_taken_comes_again_with_the_same_id(line: Line) -> None:
    line.answers = [500]
    await line.standin.write(INES, "hola")
    assert line.standin.phones[f"D{INES[1:]}"].bubbles[0].state is State.SENT
    await line.standin.advance()
    await line.standin.write(INES, "otra vez", repeat=2)
    keys = [one.key for one in line.heard if isinstance(one, Inbound)]
    assert len(keys) == 3 and len(set(keys)) == 2


async def test_files_go_both_ways_and_only_with_the_token(line: Line, tmp_path: Path) -> None:
    await line.standin.write(INES, "mira", files=[("a.png", "image/png", b"\x89PNG rota")])
    said = line.last()
    assert isinstance(said, Inbound)
    assert b"".join([part async for part in line.channel.fetch(said.media[0])]) == b"\x89PNG rota"
    async with httpx.AsyncClient() as stranger:
        page = await stranger.get(f"{line.standin.app.state.url}/files/{said.media[0].ref}/a.png")
        assert "Sign in" in page.text, "without the token Slack shows a page, and calls it a success"
    (tmp_path / "acuse.pdf").write_bytes(b"%PDF-1.7")
    await line.send("Va.", files=(File("acuse.pdf", "application/pdf", tmp_path / "acuse.pdf"),))
    assert line.standin.phones[f"D{INES[1:]}"].bubbles[-2].files[0].content == b"%PDF-1.7"


async def test_agents_have_cards_buttons_forms_and_threads(line: Line) -> None:
    card = Card(title="PQR-7K3M9QX · reclamo", buttons=(Button("Tomar", "take"), Button("Responder", "reply")))
    thread = await line.channel.put(card)
    shown = line.standin.phones[DESK].bubbles[-1]
    assert shown.heading == "PQR-7K3M9QX · reclamo" and [label for label, _ in shown.buttons] == ["Tomar", "Responder"]
    await line.standin.press(PEDRO, DESK, shown.id, *shown.buttons[1][1].split(ACTION))
    act = line.last()
    assert isinstance(act, DeskAct) and (act.verb, act.who, act.thread) == ("reply", PEDRO, thread) and act.handle
    form = Form(verb="send", title="Responder", label="Qué le dices", send="Enviar", cancel="Cancelar")
    await line.channel.ask(act.handle, thread, form)
    await line.standin.submit(PEDRO, "Hola, Inés.")
    sent = line.last()
    assert isinstance(sent, DeskAct) and (sent.verb, sent.text, sent.thread) == ("send", "Hola, Inés.", thread)
    await line.standin.write(PEDRO, "// ya llamé", channel=DESK, thread_ts=shown.id)
    note = line.last()
    assert isinstance(note, DeskAct) and (note.verb, note.text) == ("say", "// ya llamé")
    await line.channel.whisper(thread, PEDRO, "Ya lo tomó Marta.")
    assert line.standin.phones[DESK].bubbles[-1].extra["only"] == PEDRO
    assert (await line.channel.colleague(PEDRO)).email == "pedro@nube.example"


async def test_the_challenge_and_the_check(line: Line) -> None:
    assert await line.standin.challenge() == "c-42"
    assert (await line.channel.check()).ok
    line.standin.rooms[DESK].member = False
    assert not (await line.channel.check()).ok
    line.standin.signing_secret = "another"
    assert await line.standin.press(INES, SHARED, "1.1", "choice:0", "x") == 403


@pytest.mark.parametrize(
    ("how", "error"),
    [(Failing.DOWN, Unavailable), (Failing.BUSY, Unavailable), (Failing.REFUSES, Undeliverable)],
)
async def test_it_fails_as_it_is_told(line: Line, how: Failing, error: type[Exception]) -> None:
    await line.standin.write(INES, "hola")
    line.standin.fail(how)
    with pytest.raises(error) as raised:
        await line.send("Hola.")
    if how is Failing.BUSY:
        assert isinstance(raised.value, Unavailable) and raised.value.retry_after == timedelta(seconds=3)
    line.standin.fail(Failing.NOT)
    await line.send("Hola.")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"text": "x" * 40_001},
        {"text": "x", "blocks": [{"type": "divider"}] * 51},
        {"text": "x", "blocks": json.dumps([{"type": "section", "text": {"type": "plain_text", "text": "y" * 3001}}])},
        {"text": "x", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "y" * 151}}]},
        {
            "text": "x",
            "blocks": [
                {
                    "type": "actions",
                    "elements": [{"type": "button", "action_id": "a", "text": {"text": "y"}, "value": "v"}] * 2,
                }
            ],
        },
    ],
)
def test_what_slack_refuses_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        limits(given)
