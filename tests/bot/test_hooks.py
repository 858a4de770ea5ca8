"""A call brings many things at once; one that is bad takes none of the others with it."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text as sql

from bot.hooks import Hooks, Request
from bot.quarantine import TRIES
from channels.channel import Address, Arrival, Blocked, DeliveryReport, Inbound
from channels.memory import Memory
from tests.bot.rows import messages, outgoing
from tests.conftest import Clock
from tests.world import CHAT, World, a_world

CALL = Request(method="POST", url="https://nube.example/webhooks/chat", headers={}, body=b"")


class Called(Memory):
    """A provider that brings all of `batch` in one call."""

    batch: tuple[Arrival, ...] = ()

    def read(self, request: Request) -> list[Arrival]:
        return list(self.batch)


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(
        database_url, clock, tmp_path, channels={"chat": Called("chat", features=CHAT, now=clock)}
    ) as made:
        yield made


def _poison(world: World, who: str) -> Inbound:
    """What no database takes, told apart from the next by its words."""
    return world.memory("chat").write(who, f"palabras de {who}", extra={"broken": object()})


async def _called(world: World, *batch: Arrival) -> Hooks:
    channel = world.memory("chat")
    assert isinstance(channel, Called)
    channel.batch = batch
    return Hooks(world.parts, world.intake)


async def _talk(world: World) -> tuple[UUID, DeliveryReport]:
    """Something that we sent, and what is said of it."""
    await world.write("chat", "ana", "hola")
    row = (await outgoing(world))[-1]
    return row.id, DeliveryReport(account="chat", provider_id=row.provider_id or "", state="read", at=world.clock())


async def test_P11_what_comes_with_a_bad_item_is_kept_and_the_call_comes_again(world: World) -> None:
    sent, report = await _talk(world)
    hooks = await _called(world, _poison(world, "eva"), world.memory("chat").write("leo", "dos"), report)
    with pytest.raises(TypeError):
        await hooks.take("chat", CALL)
    assert {one.text for one in await messages(world)} == {"hola", "dos"}
    assert [one.state for one in await outgoing(world) if one.id == sent] == ["read"]


async def test_P11_what_fails_again_and_again_is_set_aside_and_the_provider_is_told_that_we_have_it(
    world: World,
) -> None:
    good = world.memory("chat").write("leo", "dos")
    hooks = await _called(world, _poison(world, "eva"), good)
    for _ in range(TRIES - 1):
        with pytest.raises(TypeError):
            await hooks.take("chat", CALL)
    assert (await hooks.take("chat", CALL)).status == 204
    kept = {one.text: one.kind for one in await messages(world)}
    assert kept == {"palabras de eva": "machine", "dos": "person"}
    assert (await hooks.take("chat", CALL)).status == 204  # it comes once more: we have it
    assert len(await messages(world)) == 2


async def test_P11_two_that_began_to_fail_at_different_times_are_both_done_with(world: World) -> None:
    """What was set aside is never counted anew, or the call would fail for ever."""
    first, second = _poison(world, "eva"), _poison(world, "leo")
    hooks = await _called(world, first)
    for _ in range(2):
        with pytest.raises(TypeError):
            await hooks.take("chat", CALL)
    channel = world.memory("chat")
    assert isinstance(channel, Called)
    channel.batch = (first, second)
    for _ in range(TRIES - 1):
        with pytest.raises(TypeError):
            await hooks.take("chat", CALL)
    assert (await hooks.take("chat", CALL)).status == 204
    assert [one.kind for one in await messages(world)] == ["machine", "machine"]


async def test_P11_who_blocks_us_again_or_beside_another_is_not_taken_for_the_other(world: World) -> None:
    """They have no key; each that cannot be kept lies there, and the call is called done only then."""
    for who in ("eva", "leo"):
        bad = Blocked(address=Address("chat", who), blocked=True, at=object())  # type: ignore[arg-type]  # what breaks it
        await world.write("chat", who, "hola")
        hooks = await _called(world, bad)
        for _ in range(TRIES - 1):
            with pytest.raises(Exception, match="object"):
                await hooks.take("chat", CALL)
        assert (await hooks.take("chat", CALL)).status == 204
        with pytest.raises(Exception, match="object"):
            await hooks.take("chat", CALL)
    aside = [one for one in await messages(world) if one.kind == "machine"]
    assert len({one.conversation_id for one in aside}) == len(aside) == 2


async def test_while_the_database_fails_the_provider_keeps_it_for_us(world: World) -> None:
    """However often it calls: nothing is set aside, and all of it is there in the end."""
    hooks = await _called(world, *(world.memory("chat").write(who, who) for who in ("eva", "leo")))
    await _rename(world, "messages", "away")
    for _ in range(TRIES + 2):
        with pytest.raises(Exception, match="messages"):
            await hooks.take("chat", CALL)
    await _rename(world, "away", "messages")
    await hooks.take("chat", CALL)
    assert {one.text: one.kind for one in await messages(world)} == {"eva": "person", "leo": "person"}


async def _rename(world: World, table: str, to: str) -> None:
    async with world.parts.database.transaction() as tx:
        await (await tx.session.connection()).execute(sql(f"ALTER TABLE {table} RENAME TO {to}"))
