"""A listener's items are confirmed only after they are kept, by one process at a time."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text as sql

from bot.alerts import Alerts
from bot.pump import Pump
from bot.quarantine import TRIES, Quarantine
from channels.channel import Address, Blocked, Inbound, Media
from storage.lease import Lease, Terms
from storage.tables import LeaseHolder
from tests.bot.rows import messages, rows
from tests.world import World

TERMS = Terms(lifetime=3, beat=0.5, retry=0.05)


def _pump(world: World, holder: str = "here") -> Pump:
    memory = world.memory("chat")
    url = world.parts.database.url
    return Pump(
        world.parts, world.intake, "chat", memory, lease=lambda name: Lease(url, name, terms=TERMS), holder=holder
    )


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await true():
            await asyncio.sleep(0.01)


async def _stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_arrives_is_kept_and_confirmed_and_its_button_settled(world: World) -> None:
    """Design 1: asking for the next item is the confirmation; a pressed button is answered after the commit."""
    memory = world.memory("chat")
    memory.write("ana", "hola")
    pressed = memory.write("ana", "", pressed="person")
    task = asyncio.create_task(_pump(world).run())
    await _until(lambda: _is(memory.confirmed == 2))
    await _stop(task)
    assert [one.text for one in await messages(world)] == ["hola", ""]
    assert memory.settled == [pressed]
    [holder] = await rows(world, LeaseHolder, "name")
    assert (holder.name, holder.holder) == ("listener:chat", "here")


async def test_what_is_not_committed_is_not_confirmed_and_comes_again(world: World) -> None:
    """R006: the database fails in the middle; the listener starts again behind what was kept."""
    memory = world.memory("chat")
    memory.write("ana", "uno")
    memory.write("eva", "dos")
    await _rename(world, "messages", "away")
    with pytest.raises(Exception, match="messages"):
        await asyncio.wait_for(_pump(world).run(), 20)
    assert memory.confirmed == 0
    await _rename(world, "away", "messages")
    task = asyncio.create_task(_pump(world).run())
    await _until(lambda: _is(memory.confirmed == 2))
    await _stop(task)
    assert sorted(one.text for one in await messages(world)) == ["dos", "uno"]


async def test_a_restart_goes_on_where_the_last_commit_stands(world: World) -> None:
    """The cursor was saved with the message: nothing is read twice."""
    memory = world.memory("chat")
    memory.write("ana", "uno")
    first = asyncio.create_task(_pump(world).run())
    await _until(lambda: _is(memory.confirmed == 1))
    await _stop(first)
    memory.confirmed = 0
    memory.write("ana", "dos")
    second = asyncio.create_task(_pump(world).run())
    await _until(lambda: _is(memory.confirmed == 2))
    await _stop(second)
    assert [one.text for one in await messages(world)] == ["uno", "dos"]


async def test_one_at_a_time_listens_and_the_next_takes_over(world: World) -> None:
    """A second process waits for the lease; frozen holders are tests/storage/test_lease.py's."""
    memory = world.memory("chat")
    first = asyncio.create_task(_pump(world, "first").run())
    await _until(lambda: _held_by(world, "first"))
    second = asyncio.create_task(_pump(world, "second").run())
    memory.write("ana", "uno")
    await _until(lambda: _is(memory.confirmed == 1))
    assert await _held_by(world, "first")
    await _stop(first)
    await _until(lambda: _held_by(world, "second"))
    memory.write("ana", "dos")
    await _until(lambda: _is(memory.confirmed == 2))
    await _stop(second)
    assert [one.text for one in await messages(world)] == ["uno", "dos"]


async def test_a_button_that_cannot_be_settled_harms_nothing(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Telegram no longer knows a callback after some minutes."""
    memory = world.memory("chat")

    async def too_old(inbound: Inbound) -> None:
        raise RuntimeError(f"query is too old: {inbound.text}")

    monkeypatch.setattr(memory, "settle", too_old)
    caplog.set_level("INFO")
    memory.write("ana", "palabras del cliente", pressed="person")
    memory.write("ana", "hola")
    task = asyncio.create_task(_pump(world).run())
    await _until(lambda: _is(memory.confirmed == 2))
    await _until(lambda: _is("no sign was shown: RuntimeError" in caplog.text))
    await _stop(task)
    assert "palabras" not in caplog.text


async def test_the_person_sees_that_we_are_at_it_after_the_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Telegram that is asked and Slack's socket show it as those do that are called; no machine sees it."""
    memory = world.memory("chat")
    shown: list[str] = []
    kept: list[int] = []

    async def notice(inbound: Inbound) -> None:
        shown.append(inbound.text)
        kept.append(len(await messages(world)))
        raise RuntimeError("typing is not shown today")

    monkeypatch.setattr(memory, "notice", notice, raising=False)
    first = memory.write("ana", "hola")
    memory.write("ana", "fuera de la oficina", machine="auto-reply")
    memory.write("ana", "otra vez hola", key=first.key)
    memory.write("eva", "adiós")
    task = asyncio.create_task(_pump(world).run())
    await _until(lambda: _is(memory.confirmed == 4 and len(kept) == 2))
    await _stop(task)
    assert shown == ["hola", "adiós"]
    assert min(kept) >= 1


async def test_an_item_that_can_never_be_kept_is_set_aside_whole_and_the_next_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """P11: one bad mail blocks the box. People are alerted, nobody answers it, and it does not come again."""
    memory = world.memory("chat")
    bad = memory.write(
        "ana", "palabras de ana", extra={"broken": object()}, media=(Media(name="a.txt", content=b"\xff"),)
    )
    memory.write("eva", "dos")
    await _restarted(world, pump := _pump(world), TRIES - 1)
    assert memory.confirmed == 0
    task = asyncio.create_task(pump.run())
    await _until(lambda: _is(memory.confirmed == 2))
    await _stop(task)
    kept = {one.text: one for one in await messages(world)}
    assert set(kept) == {"palabras de ana", "dos"}
    aside = kept["palabras de ana"]
    assert aside.kind == "machine"
    assert (aside.machine or "").startswith("quarantine: TypeError")
    whole = json.loads(world.parts.files.path(aside.raw_sha256 or "").read_bytes())
    assert (whole["kind"], whole["key"], whole["text"]) == ("Inbound", bad.key, "palabras de ana")
    assert whole["media"][0]["content"] == "/w=="
    [talk] = [one for one in await world.conversations() if one.id == aside.conversation_id]
    assert (talk.flag_reason, await Alerts(world.parts).alert()) == ("bot_failed", 1)
    await world.settle(talk.id)
    assert {one.to.value for one in world.sent("chat")} == {"eva"}
    assert "was set aside" in caplog.text and "palabras" not in caplog.text
    memory.confirmed = 0
    task = asyncio.create_task(_pump(world).run())
    memory.write("eva", "tres")
    await _until(lambda: _is(memory.confirmed == 3))
    await _stop(task)
    assert len(await messages(world)) == 3


async def test_what_fails_because_the_database_does_is_never_set_aside(world: World) -> None:
    """However long it takes: the item is not at fault."""
    memory = world.memory("chat")
    memory.write("ana", "uno")
    pump = _pump(world)
    await _rename(world, "messages", "away")
    await _restarted(world, pump, TRIES + 2)
    assert memory.confirmed == 0
    await _rename(world, "away", "messages")
    task = asyncio.create_task(pump.run())
    await _until(lambda: _is(memory.confirmed == 1))
    await _stop(task)
    [kept] = await messages(world)
    assert (kept.text, kept.kind, kept.machine) == ("uno", "person", None)


async def test_failures_while_the_database_is_away_are_not_counted(world: World) -> None:
    """Else whatever stumbles once after an outage would be set aside."""
    bad = world.memory("chat").write("ana", "uno")
    quarantine = Quarantine(world.parts, world.intake, "chat")
    await _rename(world, "cursors", "away")
    assert [await quarantine.take(bad, OSError()) for _ in range(TRIES)] == [False] * TRIES
    await _rename(world, "away", "cursors")
    assert [await quarantine.take(bad, OSError()) for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]


async def test_what_is_no_message_and_can_never_be_kept_is_set_aside_too(world: World) -> None:
    """And what is wrong with its address goes into the original only: it lies under nobody's name."""
    memory = world.memory("chat")
    memory.put(Blocked(address=Address("chat", object()), blocked=True, at=world.clock()))  # type: ignore[arg-type]  # what breaks it
    memory.write("eva", "dos")
    pump = _pump(world)
    await _restarted(world, pump, TRIES - 1)
    task = asyncio.create_task(pump.run())
    await _until(lambda: _is(memory.confirmed == 2))
    await _stop(task)
    [aside] = [one for one in await messages(world) if one.kind == "machine"]
    assert b'"kind": "Blocked"' in world.parts.files.path(aside.raw_sha256 or "").read_bytes()


async def _restarted(world: World, pump: Pump, times: int) -> None:
    """As the keeper starts it again after each failure."""
    for _ in range(times):
        with pytest.raises(Exception, match=r"."):
            await asyncio.wait_for(pump.run(), 20)


async def _is(true: bool) -> bool:
    return true


async def _held_by(world: World, holder: str) -> bool:
    return [one.holder for one in await rows(world, LeaseHolder, "name")] == [holder]


async def _rename(world: World, table: str, to: str) -> None:
    async with world.parts.database.transaction() as tx:
        await (await tx.session.connection()).execute(sql(f"ALTER TABLE {table} RENAME TO {to}"))
