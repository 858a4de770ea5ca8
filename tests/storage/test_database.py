"""The door to the database: a connection that the server gave up is not handed out, and a sound one is not asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlmodel import func, select

import storage.database
from storage.database import Database
from tests.conftest import Clock


@pytest.fixture
async def database(database_url: str, clock: Clock, ids: Callable[[], UUID]) -> AsyncIterator[Database]:
    """A database of this test's own."""
    database = Database(database_url, now=clock, ids=ids)
    yield database
    await database.close()


@pytest.fixture
def pings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that a connection is asked whether it lives."""
    asked: list[int] = []
    ping: Any = PGDialectAsync_psycopg.do_ping

    def counted(self: PGDialectAsync_psycopg, connection: Any) -> Any:
        asked.append(1)
        return ping(self, connection)

    monkeypatch.setattr(PGDialectAsync_psycopg, "do_ping", counted)
    return asked


async def _backend(database: Database) -> int:
    async with database.transaction() as tx:
        found: int = (await tx.session.exec(select(func.pg_backend_pid()))).one()
    return found


async def test_after_the_server_hung_up_on_all_the_first_query_works(
    database: Database, database_url: str, pings: list[int]
) -> None:
    before = set(await asyncio.gather(*(_backend(database) for _ in range(6))))
    with psycopg.connect(database_url, autocommit=True) as other:
        for backend in before:
            assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend]).fetchone() == (True,)
    after = set(await asyncio.gather(*(_backend(database) for _ in range(6))))
    assert not after & before
    assert pings  # what waited on the connection was its end


async def test_a_connection_in_use_is_not_asked_again_and_again(database: Database, pings: list[int]) -> None:
    assert len({await _backend(database) for _ in range(5)}) == 1
    assert pings == []


async def test_a_connection_that_was_silent_for_long_is_asked(
    database: Database, pings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.database, "RESTED", 0.0)
    assert len({await _backend(database) for _ in range(3)}) == 1
    assert len(pings) == 2
