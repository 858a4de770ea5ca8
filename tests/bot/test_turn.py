"""The turn: one Answer to a burst, nothing lost while it thinks, and nobody in limbo when it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from bot.alerts import Alerts
from bot.catalogue import Catalogue
from bot.policy import Policy
from bot.turn import TRIES, Turns
from nlu.understander import Settings, open_understander
from nlu.understanding import Hint, Understander, Understanding
from storage.tables import CaseEvent
from tests.bot.rows import messages, outgoing, rows
from tests.conftest import Clock
from tests.world import World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


class Thinking:
    """The rules, and something that happens while they think."""

    def __init__(self, rules: Understander, meanwhile: Callable[[str], Awaitable[None]]) -> None:
        self._rules = rules
        self.meanwhile = meanwhile

    async def understand(self, text: str, hint: Hint) -> Understanding:
        """Read it, after what happens meanwhile."""
        await self.meanwhile(text)
        return await self._rules.understand(text, hint)

    @property
    def space(self) -> str | None:
        """The rules'."""
        return self._rules.space

    async def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Vectors, as the rules have them."""
        return await self._rules.embed(texts)


async def _thinking(meanwhile: Callable[[str], Awaitable[None]]) -> Thinking:
    return Thinking(await open_understander(Settings(enabled=False)), meanwhile)


async def _fails(_: str) -> None:
    raise RuntimeError("the model broke")


async def _hangs(_: str) -> None:
    await asyncio.sleep(3600)


async def test_a_burst_gets_one_answer(database_url: str, clock: Clock, tmp_path: Path) -> None:
    """A0-5 R005: five messages in six seconds, one Ack and one Answer, after three seconds of silence."""
    policy = Policy(burst_seconds={"chat": 3})
    async with a_world(database_url, clock, tmp_path, policy=policy) as world:
        for words in ("Hola", "compré una licuadora", "pedido 48213", "llegó rota", "quiero otra"):
            talk = await world.write("chat", "ana", words)
            await world.ticker.tick()
            await world.settle(talk)
            clock.advance(timedelta(seconds=1.5))
        assert [one.kind for one in await outgoing(world)] == ["ack"]
        clock.advance(timedelta(seconds=1.6))
        await world.ticker.tick()
        await world.settle(talk)
        assert [one.kind for one in await outgoing(world)] == ["ack", "receipt"]
        [case] = await world.cases()
        assert case.facts["order"] == ["48213"]
        first, *_, last = await messages(world)
        assert first.understanding == {"with": str(last.id)}
        assert last.understanding["type"] == case.type


async def test_the_ticker_gives_a_finished_burst_out_once(database_url: str, clock: Clock, tmp_path: Path) -> None:
    """Two workers tick at once; the wake-up is written with the end of the window."""
    policy = Policy(burst_seconds={"chat": 3})
    async with a_world(database_url, clock, tmp_path, policy=policy) as world:
        talk = await world.write("chat", "ana", BROKEN)
        clock.advance(timedelta(seconds=4))
        await asyncio.gather(*(world.ticker.tick() for _ in range(3)))
        assert await _wakes(world, "turn") == [talk]


async def test_what_arrives_while_the_model_thinks_gets_its_own_answer(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    """Nothing falls between the look and the tick."""
    thinking = await _thinking(_nothing)
    async with a_world(database_url, clock, tmp_path, understander=thinking) as world:

        async def write_again(text: str) -> None:
            if text == BROKEN:
                await world.intake.keep("chat", world.memory("chat").write("ana", "fue ayer en la sede Centro"))

        thinking.meanwhile = write_again
        await world.write("chat", "ana", BROKEN)
        first, second = await messages(world)
        assert first.handled_at is not None
        assert second.handled_at is not None
        assert [one.kind for one in await outgoing(world)] == ["ack", "receipt", "answer"]
        [case] = await world.cases()
        assert "sede Centro" in str(case.facts)


async def test_two_turns_at_once_answer_once(world: World) -> None:
    """A0-6: the engine never does it; if it did, one of them would be rolled back whole."""
    await world.intake.keep("chat", world.memory("chat").write("ana", BROKEN))
    [talk] = await world.conversations()
    await asyncio.gather(*(world.turns.run(talk.id) for _ in range(5)), return_exceptions=True)
    assert [one.kind for one in await outgoing(world)] == ["ack", "receipt"]
    assert len(await world.cases()) == 1


@pytest.mark.parametrize("trouble", [_fails, _hangs])
async def test_without_the_model_the_rules_answer(
    database_url: str, clock: Clock, tmp_path: Path, trouble: Callable[[str], Awaitable[None]]
) -> None:
    """P20: acknowledged, a case by rules, a Receipt; the source says who understood."""
    async with a_world(database_url, clock, tmp_path, understander=await _thinking(trouble)) as world:
        world.turns = Turns(world.parts, patience=timedelta(seconds=0.1))
        await world.write("chat", "ana", BROKEN)
        assert [one.kind for one in await outgoing(world)] == ["ack", "receipt"]
        [case] = await world.cases()
        assert (case.type, case.understanding["source"]) == ("reclamo", "rules")


class TestAnAnswerThatFails:
    """P20: the bot's own defect leaves nobody in limbo, and turns in no circle."""

    async def test_goes_to_people_after_a_few_tries_and_the_customer_is_told(self, world: World, clock: Clock) -> None:
        talk = await self._poison(world)
        for _ in range(TRIES - 1):
            with pytest.raises(ValueError, match="does not know"):
                await world.turns.run(talk)
            [conversation] = await world.conversations()
            assert conversation.flagged_at is None
        await world.settle(talk)
        [conversation] = await world.conversations()
        assert (conversation.flag_reason, conversation.flagged_at) == ("bot_failed", clock())
        assert "Tuve un problema" in world.sent("chat")[-1].text
        assert all(one.handled_at for one in await messages(world))
        assert await Alerts(world.parts).alert() == 1
        clock.advance(timedelta(minutes=1))
        await world.ticker.sweep()
        await world.write("chat", "ana", "hola")  # and the conversation goes on
        assert len([one for one in world.sent("chat") if "Tuve un problema" in one.text]) == 1

    async def test_is_tried_again_by_the_sweep(self, world: World, clock: Clock) -> None:
        talk = await self._poison(world)
        clock.advance(timedelta(seconds=11))
        await _forget_wakes(world)
        await world.ticker.sweep()
        assert await _wakes(world, "turn") == [talk]

    async def test_without_words_it_still_goes_to_people(self, database_url: str, clock: Clock, tmp_path: Path) -> None:
        async with a_world(database_url, clock, tmp_path) as world:
            await world.intake.keep("chat", world.memory("chat").write("ana", BROKEN))
            [talk] = await world.conversations()
            full = world.parts.catalogue
            speechless = replace(world.parts, catalogue=Catalogue({}))
            world.turns = Turns(speechless)
            for _ in range(TRIES - 1):
                with pytest.raises(Exception):  # noqa: B017  whatever it is
                    await world.turns.run(talk.id)
            await world.turns.run(talk.id)
            [conversation] = await world.conversations()
            assert conversation.flag_reason == "bot_failed"
            assert full is not speechless.catalogue

    async def _poison(self, world: World) -> UUID:
        """An event of a later version of this program: whoever goes back to an older one meets it."""
        await world.intake.keep("chat", world.memory("chat").write("ana", "hola"))
        [talk] = await world.conversations()
        async with world.parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(talk.id)
            assert conversation is not None
            await tx.messages.receive(
                conversation, provider_key="x", account="internal", kind="internal", event={"kind": "from the future"}
            )
        return talk.id


class TestChoices:
    """R010: a typed number, a typed label and a pressed button are one and the same."""

    @pytest.mark.parametrize("how", ["1", " 1. ", "SÍ", "pressed"])
    async def test_the_closing_question(self, world: World, how: str) -> None:
        talk = await world.write("chat", "ana", BROKEN)
        me = await world.agent()
        for state in ("en_investigacion", "propuesta", "comunicado", "aceptado", "cumplido"):
            await world.desk(me).move(talk, state)
        await world.settle(talk)
        closing = world.sent("chat")[-1]
        if how == "pressed":
            await world.write("chat", "ana", "Sí", pressed=closing.buttons[0].payload)
        else:
            await world.write("chat", "ana", how)
        [case] = await world.cases()
        assert (case.solved_by, case.status) == ("customer", "cerrado")

    async def test_L9_a_yes_after_a_rejection_is_told_as_acceptance_first(self, world: World) -> None:
        """The history never jumps from rejected to closed."""
        talk = await world.write("chat", "ana", BROKEN)
        me = await world.agent()
        for state in ("en_investigacion", "propuesta", "comunicado", "aceptado", "cumplido", "rechazado"):
            await world.desk(me).move(talk, state)
        await world.settle(talk)
        await world.write("chat", "ana", "sí")
        [case] = await world.cases()
        assert (case.solved_by, case.status) == ("customer", "cerrado")
        told = [
            (one.data["from"], one.data["to"]) for one in await rows(world, CaseEvent, "number") if one.kind == "moved"
        ]
        assert told[-2:] == [("rechazado", "aceptado"), ("aceptado", "cumplido")]

    async def test_an_old_number_is_no_choice(self, world: World) -> None:
        """Once something else was said, the 2 is an answer to that."""
        await world.write("chat", "ana", "2")
        assert await world.cases() == []


async def _nothing(_: str) -> None:
    """Nothing happens meanwhile."""


async def _wakes(world: World, kind: str) -> list[UUID]:
    async with world.parts.database.transaction() as tx:
        found = await (await tx.session.connection()).exec_driver_sql(
            f"SELECT args->>'key' FROM procrastinate_jobs WHERE task_name = '{kind}'"
        )
        return [UUID(row[0]) for row in found]


async def _forget_wakes(world: World) -> None:
    async with world.parts.database.transaction() as tx:
        await (await tx.session.connection()).exec_driver_sql("DELETE FROM procrastinate_jobs")
