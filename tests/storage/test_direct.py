"""The short way to the driver does what the long one does: same objects, same order, all or nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import OperationalError
from psycopg.errors import UniqueViolation
from psycopg.pq import TransactionStatus
from sqlalchemy.orm import class_mapper
from sqlmodel import SQLModel, col, delete, select

from storage.database import Database
from storage.direct import Vanished, blank, inserting, reading
from storage.tables import ContactPoint, Conversation, Message, Person, Timer
from storage.transaction import Transaction
from tests.conftest import Clock

TABLES = sorted(SQLModel.__subclasses__(), key=lambda one: one.__name__)


@pytest.fixture
async def database(database_url: str, clock: Clock, ids: Callable[[], UUID]) -> AsyncIterator[Database]:
    """A database of this test's own."""
    database = Database(database_url, now=clock, ids=ids, pool_size=2)
    yield database
    await database.close()


async def _talk(tx: Transaction, address: str = "ana") -> Conversation:
    contact = await tx.people.ensure("web", address, name="Ana", language="es", verified_by="provider")
    return await tx.conversations.of(contact)


@pytest.mark.parametrize("table", TABLES, ids=lambda one: one.__name__)
def test_a_blank_object_is_what_the_constructor_makes(table: type[SQLModel]) -> None:
    columns = {column.name for column in class_mapper(table).local_table.columns if column.computed is None}
    made = {name: value for name, value in table().__dict__.items() if name in columns}
    assert {name: value for name, value in blank(table).__dict__.items() if name in made} == made
    required = columns - made.keys()
    assert all(blank(table).__dict__[name] is None for name in required)


def test_a_blank_object_shares_nothing_and_takes_no_unknown_name() -> None:
    one, other = blank(Message), blank(Message)
    one.event["kind"] = "silence"
    assert other.event == {}
    with pytest.raises(TypeError, match="Message has no wrods"):
        blank(Message, wrods="x")


async def test_what_it_writes_the_session_reads_and_the_other_way_round(database: Database, clock: Clock) -> None:
    async with database.transaction() as tx:
        talk = await _talk(tx)
        talk.state, talk.case_id, talk.last_in_at = {"pending": ["when", {"ñ": 1.5}]}, None, clock()
        written = talk.model_dump()
    async with database.transaction() as tx:
        read = (await tx.session.exec(select(Conversation))).one()
        assert read.model_dump() == written
        tx.session.expunge_all()
        again = await tx.conversations.locked(talk.id)
        assert again is not None and again is not read
        assert again.model_dump() == written


async def test_queries_of_the_session_see_what_is_pending(database: Database, ids: Callable[[], UUID]) -> None:
    async with database.transaction() as tx:
        talk = await _talk(tx)
        talk.subject = "Pedido"
        tx.timers.start("t", talk.id, "silence", talk.created_at)
        tx.session.add(Person(id=ids(), folded="eva", created_at=talk.created_at))
        found = await tx.session.exec(select(Conversation.subject, Timer.key).join(Timer))
        assert list(found.all()) == [("Pedido", "t")]
        assert (await tx.session.exec(select(Person.folded).order_by(col(Person.folded)))).all() == ["ana", "eva"]


async def test_only_changed_columns_are_written(database: Database) -> None:
    """Else a turn would write back what a block, an opt-out or another turn has changed in a row that it only read."""
    async with database.transaction() as tx:
        talk = await _talk(tx)
    async with database.transaction() as one, database.transaction() as other:
        seen = await one.people.contact("web", "ana")
        changed = await other.people.contact("web", "ana")
        assert seen is not None and changed is not None
        changed.opted_out_at = talk.created_at
        await other.complete()
        await other.session.commit()
        seen.consent = {"told": True}
    async with database.transaction() as tx:
        contact = await tx.people.contact("web", "ana")
        assert contact is not None
        assert (contact.opted_out_at, contact.consent) == (talk.created_at, {"told": True})


async def test_reading_again_gives_the_new_values_to_the_same_object(database: Database) -> None:
    async with database.transaction() as tx:
        talk = await _talk(tx)
    async with database.transaction() as one:
        seen = await one.conversations.get(talk.id)
        async with database.transaction() as other:
            theirs = await other.conversations.locked(talk.id)
            assert theirs is not None
            theirs.speaker = "agent:1"
        assert seen is not None and seen.speaker == "bot"
        assert await one.conversations.locked(talk.id) is seen
        assert seen.speaker == "agent:1"
        seen.subject = "x"
        assert await one.conversations.locked(talk.id) is seen
        assert seen.subject == "x", "a change that is not written yet is not lost by reading again"


async def test_a_row_that_is_gone_is_not_changed_in_silence(database: Database) -> None:
    async with database.transaction() as tx:
        talk = await _talk(tx)
    with pytest.raises(Vanished, match="Conversation"):
        async with database.transaction() as tx:
            seen = await tx.conversations.get(talk.id)
            assert seen is not None
            await tx.session.exec(delete(Conversation).execution_options(synchronize_session=False))
            seen.subject = "x"
    async with database.transaction() as tx:
        assert await tx.conversations.get(talk.id) is not None


async def test_one_statement_that_fails_undoes_the_whole_journey(database: Database) -> None:
    async with database.transaction() as tx:
        contact = await tx.people.contact_by_id((await _talk(tx)).contact_point_id)
    twin = blank(ContactPoint, id=contact.person_id, person_id=contact.person_id, account="web", address="ana")
    twin.created_at = contact.created_at
    with pytest.raises(UniqueViolation):
        async with database.transaction() as tx:
            seen = await tx.people.get(contact.person_id)
            seen.name = "Otra"
            await tx._scope.direct.run(inserting(twin), reading(Person, "WHERE id = %s", contact.person_id))
    async with database.transaction() as tx:
        assert (await tx.people.get(contact.person_id)).name == "Ana"


async def test_a_connection_that_dies_on_the_way_costs_one_transaction(database: Database) -> None:
    for _ in range(2):
        with pytest.raises(OperationalError):
            async with database.transaction() as tx:
                await tx._scope.direct.run(("SELECT 1", ()), ("SELECT pg_terminate_backend(pg_backend_pid())", ()))
    async with database.transaction() as tx:
        assert await tx._scope.direct.run(("SELECT 1", ())) == [[(1,)]]


async def test_a_journey_that_is_cut_off_leaves_a_sound_pool(database: Database) -> None:
    for _ in range(15):  # more than there are connections
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02), database.transaction() as tx:
                await _talk(tx, "beto")
                await tx._scope.direct.run(("SELECT 1", ()), ("SELECT pg_sleep(5)", ()), ("SELECT 2", ()))
    async with database.transaction() as tx:
        assert await tx.people.contact("web", "beto") is None
        assert await tx._scope.direct.run(("SELECT 1", ()), ("SELECT 2", ())) == [[(1,)], [(2,)]]


async def test_a_large_journey_does_not_block(database: Database) -> None:
    """Both sides' buffers fill while both still write."""
    large = "x" * 3_000_000
    async with database.transaction() as tx:
        found = await tx._scope.direct.run(*[("SELECT %s::text", (large,))] * 4)
    assert found == [[(large,)]] * 4


async def test_what_was_changed_is_written_in_one_order(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table by table, and by key in each: two transactions that change the same rows never wait for each other."""
    async with database.transaction() as tx:
        talks = [await _talk(tx, f"a{number}") for number in range(8)]
    written: list[tuple[str, str]] = []
    execute = psycopg.AsyncCursor.execute

    async def seen(cursor: psycopg.AsyncCursor[Any], query: Any, values: Any = None, **options: Any) -> Any:
        if "(UPDATE " in str(query):
            written.append((str(query).partition("(UPDATE ")[2].split()[0], str(values[-1])))
        return await execute(cursor, query, values, **options)

    async with database.transaction() as tx:
        held = [(await tx.conversations.get(one.id), await tx.people.get(one.person_id)) for one in reversed(talks)]
        for talk, person in held:
            assert talk is not None
            talk.subject, person.name = "otro", "Eva"
        monkeypatch.setattr(psycopg.AsyncCursor, "execute", seen)
        await tx.flush()
    people, own = (sorted(str(one) for one in ids) for ids in zip(*((t.person_id, t.id) for t in talks), strict=True))
    assert written == [*(("people", one) for one in people), *(("conversations", one) for one in own)]


async def test_the_commit_travels_with_the_last_statements(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that reads once and writes once goes twice to the server; nothing is left open behind it."""
    async with database.transaction() as tx:
        talk = await _talk(tx)
    synced: list[int] = []
    leave = psycopg.AsyncPipeline.__aexit__

    async def counted(pipeline: psycopg.AsyncPipeline, *reason: Any) -> None:
        synced.append(1)
        await leave(pipeline, *reason)

    async def forbidden(connection: psycopg.AsyncConnection[Any]) -> None:
        assert connection.info.transaction_status is TransactionStatus.IDLE, "a commit of its own"

    monkeypatch.setattr(psycopg.AsyncPipeline, "__aexit__", counted)
    monkeypatch.setattr(psycopg.AsyncConnection, "commit", forbidden)
    async with database.transaction() as tx:
        seen = await tx.conversations.locked(talk.id)
        assert seen is not None
        seen.subject = "x"
        await tx.ring("desk")
    assert len(synced) == 2
