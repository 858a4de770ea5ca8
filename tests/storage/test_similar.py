"""Vectors of cases: kept with them, found by nearness, and a database without pgvector that works like any other."""

import asyncio
import logging
import math
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from storage.backup import dump, restore
from storage.database import Database
from storage.direct import blank
from storage.embedded import Embedded
from storage.migrate import upgrade
from storage.similar import DIMENSIONS, NEAREST, OPEN, RECENT, SimilarCase
from storage.tables import Case, Person
from storage.transaction import Transaction
from tests.conftest import Clock


def vector(*parts: float) -> list[float]:
    """Of length one; what is not given is nothing."""
    length = math.sqrt(sum(part * part for part in parts))
    return [part / length for part in parts] + [0.0] * (DIMENSIONS - len(parts))


@pytest.fixture
async def database(database_url: str, clock: Clock, ids: Callable[[], UUID]) -> AsyncIterator[Database]:
    """A database with pgvector."""
    made = Database(database_url, now=clock, ids=ids, pool_size=2)
    yield made
    await made.close()


@pytest.fixture
def bare(server: str) -> Iterator[str]:
    """The address of a database whose role may not make extensions, as at many companies."""
    name = f"bare_{os.urandom(4).hex()}"
    with psycopg.connect(server, autocommit=True) as connection:
        named = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'bare'").format(named))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(named, named))
        try:
            parts = urlsplit(server)
            place = parts.netloc.rpartition("@")[2]
            yield parts._replace(netloc=f"{name}:bare@{place}", path=f"/{name}").geturl()
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(named))
            connection.execute(sql.SQL("DROP ROLE {}").format(named))


def as_administrator(server: str, url: str, statement: str) -> None:
    """Run something in that database with all rights."""
    with psycopg.connect(urlsplit(server)._replace(path=urlsplit(url).path).geturl(), autocommit=True) as connection:
        connection.execute(statement)


async def opened(tx: Transaction, code: str, numbers: Sequence[float] | None, **values: object) -> Case:
    """A case of a new person, or of `person_id`, with its vector."""
    if "person_id" not in values:
        person = blank(Person, id=tx._scope.ids(), folded="", created_at=tx._scope.now())
        tx._scope.direct.add(person)
        values["person_id"] = person.id
    given = {"type": "reclamo", "account": "web", "facts": {"what": [f"words of {code}"]}} | values
    model = str(given.pop("model", "m1"))
    case = await tx.cases.open(actor="bot", told={}, code=code, **given)
    assert case is not None
    if numbers is not None:
        tx.similar.keep(case.id, numbers, model)
    return case


async def near(database: Database, case: Case, at_least: float = 0.5, limit: int = 3) -> list[SimilarCase]:
    async with database.transaction() as tx:
        return await tx.similar.to(case.id, at_least=at_least, limit=limit)


async def test_the_nearest_of_other_people_and_of_a_kindred_type(database: Database) -> None:
    async with database.transaction() as tx:
        mine = await opened(tx, "MINE", vector(1, 0), second_type="peticion")
        await opened(tx, "NEAR", vector(10, 1), status="cerrado", solved_by="customer")
        await opened(tx, "NEARER", vector(20, 1))
        await opened(tx, "KIN", vector(5, 1), type="queja")
        await opened(tx, "SECOND", vector(4, 1), type="peticion")
        await opened(tx, "FAR", vector(1, 3))
        await opened(tx, "PRAISE", vector(1, 0), type="felicitacion")
        await opened(tx, "OWN", vector(1, 0), person_id=mine.person_id)
        await opened(tx, "OTHER", vector(1, 0), model="m2")
        await opened(tx, "UNREAD", None)
    found = await near(database, mine, limit=4)
    assert [one.code for one in found] == ["NEARER", "NEAR", "KIN", "SECOND"]
    assert [one.code for one in await near(database, mine)] == ["NEARER", "NEAR", "KIN"]
    told = found[1]
    assert (told.type, told.status, told.solved_by, told.gist) == ("reclamo", "cerrado", "customer", "words of NEAR")
    assert told.likeness == pytest.approx(10 / math.sqrt(101), abs=1e-4)
    assert [one.code for one in await near(database, mine, at_least=0.996)] == ["NEARER"]


async def test_a_vector_goes_in_the_journey_of_its_case_and_away_with_it(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journeys: list[int] = []
    async with database.transaction() as tx:
        direct = tx._scope.direct
        journey = direct._journey

        async def counted(statements: Sequence[object], *, last: bool) -> object:
            journeys.append(len(statements))
            return await journey(statements, last=last)  # type: ignore[arg-type]  # the same statements

        monkeypatch.setattr(direct, "_journey", counted)
        without = await opened(tx, "PLAIN", None)
        await tx.complete()
        plain, journeys[:] = list(journeys), []
        case = await opened(tx, "FULL", vector(1))
        await tx.complete()
        assert len(journeys) == len(plain) and sum(journeys) == sum(plain) + 1
    with psycopg.connect(database_url) as connection:
        kept = connection.execute("SELECT case_id, model, created_at FROM case_embeddings").fetchall()
        assert [(row[0], row[1], row[2]) for row in kept] == [(case.id, "m1", case.opened_at)]
        connection.execute("DELETE FROM case_events")
        connection.execute("DELETE FROM cases WHERE id = %s", (case.id,))
        assert connection.execute("SELECT count(*) FROM case_embeddings").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM cases WHERE id = %s", (without.id,)).fetchone() == (1,)


async def test_what_is_no_vector_of_ours_stops_no_case(database: Database) -> None:
    async with database.transaction() as tx:
        short = await opened(tx, "SHORT", [0.6, 0.8])
        broken = await opened(tx, "BROKEN", [math.nan] * DIMENSIONS)
    async with database.transaction() as tx:
        assert await tx.cases.get(short.id) and await tx.cases.get(broken.id)
    assert await near(database, short) == [] == await near(database, broken)


async def test_a_database_without_the_extension_works_and_gains_it_later(
    server: str, bare: str, clock: Clock, ids: Callable[[], UUID]
) -> None:
    upgrade(bare)
    database = Database(bare, now=clock, ids=ids, pool_size=2)
    try:
        async with database.transaction() as tx:
            assert not await tx.similar.kept()
            mine = await opened(tx, "MINE", vector(1))
            await opened(tx, "LIKE", vector(1))
        assert await near(database, mine) == []
        as_administrator(server, bare, "CREATE EXTENSION vector")
        upgrade(bare)
        async with database.transaction() as tx:
            assert await tx.similar.kept()
            mine = await opened(tx, "MINE2", vector(1))
            await opened(tx, "LIKE2", vector(1))
        assert [one.code for one in await near(database, mine)] == ["LIKE2"]
        as_administrator(server, bare, "DROP EXTENSION vector CASCADE")  # and back: a column less, and no case lost
        async with database.transaction() as tx:
            assert not await tx.similar.kept()
            await opened(tx, "MINE3", vector(1))
        assert await near(database, mine) == []
    finally:
        await database.close()


async def test_many_cases_are_not_read_one_by_one(database: Database, database_url: str) -> None:
    """At 50,000 rows all of them took 40 ms of a processor, the index takes 1."""
    async with database.transaction() as tx:
        mine = await opened(tx, "MINE", vector(1))
        other = await opened(tx, "LIKE", vector(1))
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            WITH made AS (
                INSERT INTO cases SELECT (k).* FROM (
                    SELECT jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(), 'code', 'C' || n)) AS k
                      FROM cases c, generate_series(1, %(rows)s) n WHERE c.id = %(like)s) made
                RETURNING id)
            INSERT INTO case_embeddings SELECT made.id, l2_normalize(e.embedding + spread.by), e.model, e.created_at
              FROM made, case_embeddings e, LATERAL (
                   SELECT array_agg((random() - 0.5 + 0 * n * ascii(made.id::text)) / 10)::vector AS by
                     FROM generate_series(1, %(dimensions)s) n) spread
             WHERE e.case_id = %(like)s""",
            {"rows": 4000, "like": other.id, "dimensions": DIMENSIONS},
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE cases")
        connection.execute("ANALYZE case_embeddings")
        names = {
            "mine.embedding": f"(SELECT embedding FROM case_embeddings WHERE case_id = '{mine.id}')",
            "mine.model": "'m1'",
            "mine.person_id": f"'{mine.person_id}'",
            "mine.second_type": "NULL",
            "mine.type": "'reclamo'",
            "wanted": f"'{mine.id}'",
            "least_alike": "0.5",
            "most": "3",
        }
        query = NEAREST
        for name, value in names.items():
            query = query.replace(name, value)
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}"))
    assert "case_embeddings_near" in plan and "cases_pkey" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert [one.code for one in await near(database, mine, limit=1)] == ["LIKE"]


LAST = datetime.max.replace(tzinfo=UTC), UUID(int=0)


async def test_those_without_a_vector_of_this_model_are_found_and_get_one(
    database: Database, database_url: str, clock: Clock
) -> None:
    """The words of those that lack one, newest first; what is gone or says something else by now gets none."""
    ago = clock() - timedelta(days=1)
    async with database.transaction() as tx:
        old = await opened(tx, "OLD", vector(1, 0), model="m0")
        clock.advance(timedelta(seconds=1))
        fine = await opened(tx, "FINE", vector(1, 0))
        gone = await opened(tx, "GONE", None)
        mute = await opened(tx, "MUTE", None, facts={})
        await opened(tx, "MERGED", None, merged_into=fine.id)
        clock.advance(timedelta(seconds=1))
        new = await opened(tx, "NEW", None)
    async with database.transaction() as tx:
        page = await tx.similar.page("m1", LAST, ago, 9)
        assert [one.id for one in page] == [new.id, *sorted((fine.id, gone.id, mute.id), reverse=True), old.id]
        assert {one.id: one.words for one in page if one.words} == {
            one.id: f"words of {one.code}" for one in (old, gone, new)
        }
        after = page[1]
        assert await tx.similar.page("m1", (after.opened_at, after.id), ago, 2) == page[2:4]
        assert await tx.similar.page("m1", LAST, clock(), 9) == page[:1]
        assert await tx.similar.lacking("m1", ago) == 3 == await tx.similar.lacking("m1", clock() + timedelta(days=1))
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM case_events WHERE case_id = %s", (gone.id,))
        connection.execute("DELETE FROM cases WHERE id = %s", (gone.id,))
    async with database.transaction() as tx:
        tx.similar.renew(old.id, "words of OLD", vector(0, 1), "m1")
        tx.similar.renew(gone.id, "words of GONE", vector(0, 1), "m1")
        tx.similar.renew(new.id, "other words", vector(0, 1), "m1")
    async with database.transaction() as tx:
        assert [one.id for one in await tx.similar.page("m1", LAST, ago, 9) if one.words] == [new.id]
    with psycopg.connect(database_url) as connection:
        kept = connection.execute("SELECT case_id, model, embedding::text FROM case_embeddings").fetchall()
    assert {(case, model) for case, model, _ in kept} == {(old.id, "m1"), (fine.id, "m1")}
    assert next(numbers for case, _, numbers in kept if case == old.id).startswith("[0,1,")


async def test_long_open_cases_are_found_whatever_their_age(database: Database, clock: Clock) -> None:
    async with database.transaction() as tx:
        await opened(tx, "CLOSED", None, closed_at=clock())
        waits = await opened(tx, "WAITS", None)
    later = clock.advance(timedelta(days=900))
    async with database.transaction() as tx:
        assert await tx.similar.page("m1", LAST, later, 9) == []
        assert [one.id for one in await tx.similar.page("m1", (later, UUID(int=0)), None, 9)] == [waits.id]
        assert await tx.similar.lacking("m1", later) == 1


async def test_who_talks_about_a_case_is_not_held_up_by_its_vector(database: Database) -> None:
    async with database.transaction() as tx:
        case = await opened(tx, "TALK", None)
    async with database.transaction() as talk:
        assert await talk.cases.get(case.id, lock=True)
        async with asyncio.timeout(5), database.transaction() as tx:
            tx.similar.renew(case.id, "words of TALK", vector(1), "m1")


async def test_a_walk_through_many_cases_reads_no_table_whole(database: Database, database_url: str) -> None:
    """A page of 100 costs the same among 4,000 and among a million, with all vectors there and with none."""
    async with database.transaction() as tx:
        like = await opened(tx, "LIKE", vector(1))
    values = {"at": LAST[0], "id": LAST[1], "most": 100, "model": "m1", "since": datetime(2026, 1, 1, tzinfo=UTC)}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO cases SELECT (k).* FROM (
                SELECT jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(), 'code', 'C' || n,
                         'opened_at', c.opened_at + n * interval '1 minute',
                         'closed_at', CASE WHEN n %% 50 > 0 THEN c.opened_at END)) AS k
                  FROM cases c, generate_series(1, 4000) n WHERE c.id = %s) made""",
            (like.id,),
        )
        for full in (False, True):
            if full:
                connection.execute(
                    "INSERT INTO case_embeddings SELECT k.id, e.embedding, e.model, e.created_at"
                    " FROM cases k, case_embeddings e WHERE k.id <> e.case_id"
                )
            connection.execute("ANALYZE cases, case_embeddings")
            for query, index in ((RECENT, "cases_opened"), (OPEN, "cases_open")):
                plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}", values))
                assert index in plan and "Seq Scan on cases" not in plan, plan
                assert not full or "Seq Scan" not in plan, plan  # one vector among none is read in any way


def test_a_backup_comes_back_where_there_is_no_extension(
    database_url: str, bare: str, tmp_path: Path, clock: Clock
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO attempts (id, key, at) VALUES (gen_random_uuid(), 'kept', now())")
    programs = Embedded(tmp_path / "unused", log=logging.getLogger("tests")).bin
    dump(database_url, programs, tmp_path / "files", tmp_path / "backup", version="1", now=clock)
    upgrade(bare)
    restore(tmp_path / "backup", bare, programs, tmp_path / "files")
    upgrade(bare)
    with psycopg.connect(bare) as connection:
        assert connection.execute("SELECT key FROM attempts").fetchall() == [("kept",)]
        assert connection.execute("SELECT to_regclass('case_embeddings')").fetchone() == (None,)
        connection.execute("SELECT keep_case_embedding(gen_random_uuid(), '[1]', 'm', now())")
