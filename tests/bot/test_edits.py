"""What a person changes in what they wrote: each revision is kept, and nobody answers words that are gone."""

import asyncio
from pathlib import Path

from channels.channel import Address, Edited
from nlu.understander import Settings, open_understander
from tests.bot.rows import messages, somebody_waits
from tests.bot.test_turn import Thinking
from tests.conftest import Clock
from tests.world import World, a_world

FIRST = "Llegó rota la licuadora del pedido 11111, quiero otra"


def _edit(clock: Clock, key: str, text: str) -> Edited:
    return Edited(key=key, original="m1", sender=Address("chat", "ana"), text=text, sent_at=clock())


async def test_two_edits_at_once_are_two_revisions(world: World, clock: Clock) -> None:
    talk = await world.write("chat", "ana", FIRST, provider_id="m1")
    async with world.parts.database.transaction() as tx:
        await tx.conversations.locked(talk)
        first = asyncio.create_task(world.intake.keep("chat", _edit(clock, "e1", "uno")))
        await somebody_waits(world, 1)
        second = asyncio.create_task(world.intake.keep("chat", _edit(clock, "e2", "dos")))
        await somebody_waits(world, 2)
    await asyncio.gather(first, second)
    [message] = await messages(world)
    revisions = [(one["key"], one["was"]) for one in message.revisions]
    assert revisions == [("e1", FIRST), ("e2", "uno")]
    assert message.text == "dos"


async def test_an_edit_that_comes_while_the_turn_thinks_is_what_is_answered(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    edited: list[str] = []

    async def meanwhile(_: str) -> None:
        if not edited:
            edited.append("once")
            await world.intake.keep("chat", _edit(clock, "e1", FIRST.replace("11111", "48213")))

    thinking = Thinking(await open_understander(Settings(enabled=False)), meanwhile)
    async with a_world(database_url, clock, tmp_path, understander=thinking) as world:
        await world.write("chat", "ana", FIRST, provider_id="m1")
        [case] = await world.cases()
        assert case.facts["order"] == ["48213"]
        assert len(world.sent("chat")) == 2  # Ack and Receipt
