"""The stand-in of Telegram, driven by our own adapter and judged by the published description of the Bot API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from channels.channel import (
    Address,
    Blocked,
    Button,
    Edited,
    File,
    Inbound,
    Outbound,
    Unavailable,
    Undeliverable,
)
from channels.telegram import Settings, Telegram
from demo.provider import Failing
from demo.serving import serving
from demo.standin import State
from demo.telegram import TelegramStandIn
from tests.channels.conftest import Judge
from tests.conftest import Clock

ROSA = 5001
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture
def standin(telegram_judge: Judge | None) -> TelegramStandIn:
    made = TelegramStandIn(now=Clock(), people={ROSA: "Rosa"}, pace=timedelta(0))
    made.judge = telegram_judge.call if telegram_judge else None
    return made


@pytest.fixture
async def bot(standin: TelegramStandIn) -> AsyncIterator[Telegram]:
    async with serving(standin.app) as url:
        settings = Settings.model_validate({"token": standin.token, "api_base_url": url})
        channel = Telegram("telegram", settings, now=Clock(), poll=timedelta(seconds=5))
        yield channel
        await channel.close()
    assert standin.faults == []


def to_rosa(text: str, **fields: object) -> Outbound:
    return Outbound(key="k", to=Address("telegram", str(ROSA)), text=text, **fields)  # type: ignore[arg-type]  # a test


async def test_a_message_a_button_an_edit_and_a_block_arrive(standin: TelegramStandIn, bot: Telegram) -> None:
    first = standin.write(ROSA, "necesito un certificado")
    async with aclosing(bot.listen(None)) as arrivals:  # type: ignore[type-var]  # is a generator
        said = await anext(arrivals)
        assert isinstance(said, Inbound) and (said.text, said.name) == ("necesito un certificado", "Rosa")
        standin.edit(ROSA, first, "necesito dos")
        edit = await anext(arrivals)
        assert isinstance(edit, Edited) and edit.original == said.provider_id
        assert standin.phones[str(ROSA)].bubbles[0].state is State.DELIVERED, "asking for the next one confirms"
        sent = await bot.send(to_rosa("¿Cuál?", buttons=(Button("Uno", "1"), Button("Dos", "2"))))
        standin.press(ROSA, int(sent.split(":")[1]), "2")
        pressed = await anext(arrivals)
        assert isinstance(pressed, Inbound) and (pressed.pressed, pressed.text) == ("2", "Dos")
        await bot.settle(pressed)
        assert standin.phones[str(ROSA)].bubbles[-1].buttons == []
        standin.block(ROSA)
        gone = await anext(arrivals)
        assert isinstance(gone, Blocked) and gone.blocked
    with pytest.raises(Undeliverable):
        await bot.send(to_rosa("¿Sigues ahí?"))


async def test_a_picture_goes_both_ways(standin: TelegramStandIn, bot: Telegram, tmp_path: Path) -> None:
    standin.write(ROSA, "mira", file=("rota.png", "image/png", PNG))
    async with aclosing(bot.listen(None)) as arrivals:  # type: ignore[type-var]  # is a generator
        said = await anext(arrivals)
        assert isinstance(said, Inbound) and said.text == "mira"
        assert b"".join([part async for part in bot.fetch(said.media[0])]) == PNG
    (tmp_path / "a.png").write_bytes(PNG)
    await bot.send(to_rosa("recibida", files=(File("a.png", "image/png", tmp_path / "a.png"),)))
    assert standin.phones[str(ROSA)].bubbles[-1].files[0].content == PNG


async def test_what_was_not_confirmed_is_handed_out_again(standin: TelegramStandIn, bot: Telegram) -> None:
    standin.write(ROSA, "hola")
    for _ in range(2):
        async with aclosing(bot.listen(None)) as arrivals:  # type: ignore[type-var]  # is a generator
            assert isinstance(await anext(arrivals), Inbound)
    assert standin.pending == 1


@pytest.mark.parametrize(
    ("how", "error"),
    [(Failing.DOWN, Unavailable), (Failing.BUSY, Unavailable), (Failing.REFUSES, Undeliverable)],
)
async def test_it_fails_as_it_is_told_and_recovers(
    standin: TelegramStandIn, bot: Telegram, how: Failing, error: type[Exception]
) -> None:
    standin.fail(how, times=1)
    with pytest.raises(error) as raised:
        await bot.send(to_rosa("hola"))
    if how is Failing.BUSY:
        assert isinstance(raised.value, Unavailable) and raised.value.retry_after == timedelta(seconds=3)
    await bot.send(to_rosa("hola"))
    assert standin.said() == ["hola"]


async def test_a_chat_that_is_written_to_too_fast_has_to_wait(telegram_judge: Judge | None) -> None:
    clock = Clock()
    standin = TelegramStandIn(now=clock, people={ROSA: "Rosa"})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=standin.app), base_url="http://t") as client:

        async def send() -> httpx.Response:
            return await client.post("/bot1:demo/sendMessage", data={"chat_id": ROSA, "text": "x"})

        assert [(await send()).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = (await send()).json()
        assert refused["parameters"]["retry_after"] == 1
        clock.advance(timedelta(seconds=1))
        assert (await send()).status_code == 200


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"chat_id": 99, "text": "x"}, "chat not found"),
        ({"chat_id": ROSA, "text": "x" * 4097}, "too long"),
        ({"chat_id": ROSA, "text": " "}, "empty"),
        (
            {
                "chat_id": ROSA,
                "text": "x",
                "reply_markup": json.dumps({"inline_keyboard": [[{"text": "a", "callback_data": "ñ" * 33}]]}),
            },
            "BUTTON_DATA_INVALID",
        ),
    ],
)
async def test_what_telegram_refuses_is_refused(given: dict[str, object], why: str) -> None:
    standin = TelegramStandIn(now=Clock(), people={ROSA: "Rosa"}, pace=timedelta(0))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=standin.app), base_url="http://t") as client:
        answer = await client.post("/bot1:demo/sendMessage", data=given)
        assert answer.status_code == 400 and why in answer.json()["description"]
        assert (await client.post("/bot2:other/getMe")).status_code == 401


async def test_all_that_it_tells_is_as_described(described: Judge) -> None:
    standin = TelegramStandIn(now=Clock(), people={ROSA: "Rosa"}, pace=timedelta(0))
    standin.edit(ROSA, standin.write(ROSA, "uno"), "dos")
    standin.start(ROSA, "abc")
    standin.write(ROSA, "foto", file=("a.png", "image/png", PNG))
    standin.write(ROSA, "", file=("a.pdf", "application/pdf", b"%PDF-"))
    standin.write(ROSA, "", file=("a.ogg", "audio/ogg", b"OggS"))
    standin.share_contact(ROSA, "+573001112233")
    standin.block(ROSA)
    standin.block(ROSA, blocked=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=standin.app), base_url="http://t") as client:

        async def call(method: str, **given: object) -> object:
            return (await client.post(f"/bot1:demo/{method}", data=given)).json()["result"]

        keyboard = json.dumps({"inline_keyboard": [[{"text": "Sí", "callback_data": "yes"}]]})
        sent = await call("sendMessage", chat_id=ROSA, text="hola", reply_markup=keyboard)
        assert isinstance(sent, dict)
        standin.press(ROSA, sent["message_id"], "yes")
        updates = await call("getUpdates")
        assert isinstance(updates, list) and len(updates) == 10
        wrong = [fault for update in updates for fault in described.value("Update", update)]
        wrong += described.value("Message", sent)
        wrong += described.value("User", await call("getMe"))
        wrong += described.value("WebhookInfo", await call("getWebhookInfo"))
    assert wrong == []


async def test_a_webhook_is_called_until_it_answers_well() -> None:
    came: list[tuple[str, int]] = []

    async def hook(request: Request) -> Response:
        update = await request.json()
        came.append((request.headers["x-telegram-bot-api-secret-token"], update["update_id"]))
        return Response(status_code=500 if len(came) == 1 else 204)

    standin = TelegramStandIn(now=Clock(), people={ROSA: "Rosa"}, pace=timedelta(0))
    hooks = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
    async with serving(hooks) as ours, serving(standin.app) as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/bot1:demo/setWebhook", data={"url": f"{ours}/hook", "secret_token": "s"})
        standin.write(ROSA, "hola")
        async with asyncio.timeout(10):
            while standin.pending:
                await asyncio.sleep(0.01)
        assert (await client.post("/bot1:demo/getUpdates")).status_code == 409
    assert [secret for secret, _ in came] == ["s", "s"] and came[0][1] == came[1][1]
