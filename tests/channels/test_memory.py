"""The double keeps the contract (test_contract.py); here is what only it can do."""

import asyncio
from datetime import UTC, datetime

import pytest

from channels.channel import Address, Edited, Features, Inbound, Media, Outbound, Unavailable, Undeliverable
from channels.memory import Memory

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.fixture
def memory() -> Memory:
    return Memory("mem", now=lambda: NOW)


def outbound(text: str = "Hola") -> Outbound:
    return Outbound(key="k", to=Address("mem", "ana"), text=text)


async def test_it_fails_as_often_as_it_was_told_and_then_sends(memory: Memory) -> None:
    memory.fail(Unavailable("down"), times=2)
    memory.fail(Undeliverable("gone"))
    for kind in (Unavailable, Unavailable, Undeliverable):
        with pytest.raises(kind):
            await memory.send(outbound())
    assert memory.sent == []
    assert await memory.send(outbound()) == "mem:1"
    assert [message.text for message in memory.sent] == ["Hola"]


async def test_a_terminal_is_shown_what_is_sent() -> None:
    shown: list[str] = []
    await Memory(now=lambda: NOW, show=lambda message: shown.append(message.text)).send(outbound("¿Qué pasó?"))
    assert shown == ["¿Qué pasó?"]


async def test_what_is_written_arrives_with_everything_that_was_given(memory: Memory) -> None:
    memory.write("ana", "llegó roto", pressed="yes", language="es", key="same")
    memory.write("ana", "llegó roto", key="same")
    memory.put(Edited(key="e", original="same", sender=Address("mem", "ana"), text="llegó rota", sent_at=NOW))
    listener = memory.listen(None)
    first, second, edited = [await anext(listener) for _ in range(3)]
    assert first == Inbound(
        key="same",
        sender=Address("mem", "ana"),
        text="llegó roto",
        sent_at=NOW,
        pressed="yes",
        language="es",
        cursor={"number": 1},
    )
    assert isinstance(second, Inbound) and second.key == first.key
    assert isinstance(edited, Edited) and edited.cursor == {"number": 3}


async def test_keys_differ_unless_they_are_given(memory: Memory) -> None:
    assert memory.write("ana", "a").key != memory.write("ana", "a").key


async def test_a_waiting_listener_wakes_and_closing_ends_it(memory: Memory) -> None:
    async def texts() -> list[str]:
        return [arrival.text async for arrival in memory.listen(None) if isinstance(arrival, Inbound)]

    listening = asyncio.ensure_future(texts())
    await asyncio.sleep(0)  # it waits now
    memory.write("ana", "hola")
    async with asyncio.timeout(5):
        while memory.confirmed < 1:
            await asyncio.sleep(0)
        await memory.close()
        assert await listening == ["hola"]


async def test_files_are_fetched_by_their_reference(memory: Memory) -> None:
    memory.files["f"] = bytes(range(256)) * 1000
    assert b"".join([piece async for piece in memory.fetch(Media(ref="f"))]) == memory.files["f"]
    with pytest.raises(Undeliverable):
        await anext(memory.fetch(Media(ref="unknown")))


async def test_what_it_can_show_is_up_to_the_test() -> None:
    assert Memory(now=lambda: NOW, features=Features(buttons=0, text_limit=160)).features.text_limit == 160


async def test_settled_buttons_are_remembered(memory: Memory) -> None:
    pressed = memory.write("ana", "Sí", pressed="yes")
    await memory.settle(pressed)
    assert memory.settled == [pressed]
