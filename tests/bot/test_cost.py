"""What a message costs in the database: journeys to the server and transactions, which no slow machine changes."""

from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from tests.conftest import Clock
from tests.world import World, a_world

Result = TypeVar("Result")


class Counted:
    """Counts what the driver is told, by step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.transactions: Counter[str] = Counter()
        self.statements: Counter[str] = Counter()
        self._step = "before"
        execute, commit = psycopg.AsyncCursor.execute, psycopg.AsyncConnection.commit

        async def counted(cursor: psycopg.AsyncCursor[Any], query: Any, *rest: Any, **options: Any) -> Any:
            self.statements[self._step] += query not in (";", "COMMIT")  # a look whether it lives; counted below
            return await execute(cursor, query, *rest, **options)

        async def committed(connection: psycopg.AsyncConnection[Any]) -> None:
            self.transactions[self._step] += 1
            await commit(connection)

        monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)
        monkeypatch.setattr(psycopg.AsyncConnection, "commit", committed)

    async def during(self, step: str, doing: Awaitable[Result]) -> Result:
        """Count all of it under this name."""
        self._step = step
        return await doing


async def _way(counted: Counted, world: World, words: str) -> None:
    inbound = world.memory("chat").write("ana", words)
    kept = await counted.during("intake", world.intake.keep("chat", inbound))
    assert kept is not None
    await counted.during("turn", world.turns.run(kept.conversation_id))
    await counted.during("sending", world.sending.run(kept.conversation_id))


async def test_a_message_costs_few_transactions_and_statements(
    database_url: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commits bound how many messages a disk can bear; the statements, how many a processor can."""
    async with a_world(database_url, clock, tmp_path) as world:
        await world.write("chat", "eva", "hola")  # a new connection asks a few things of its own
        first = Counted(monkeypatch)
        await _way(first, world, "Llegó rota la licuadora del pedido 48213, quiero que me la cambien")
        assert first.transactions == {"intake": 1, "turn": 2, "sending": 4}  # Ack and Receipt: two rows
        assert first.statements["intake"] <= 15
        assert first.statements["turn"] <= 22
        assert first.statements["sending"] <= 16
        second = Counted(monkeypatch)
        await _way(second, world, "fue ayer en la sede Centro")
        assert second.transactions == {"intake": 1, "turn": 2, "sending": 2}
        assert second.statements["intake"] <= 8
        assert second.statements["turn"] <= 22
        assert second.statements["sending"] <= 8
