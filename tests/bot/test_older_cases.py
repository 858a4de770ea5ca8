"""Cases of another model, or of a time without pgvector, get their vector afterwards, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from bot import older_cases
from bot.older_cases import LOOK, LOOKS_BACK, REST, SETTLE, OlderCases
from nlu.understander import read_by_rules
from nlu.understanding import Embedding, Hint, Understanding
from storage.lease import Lease, _key
from tests.bot.test_similar import ALIKE, OTHER, REPORT, kept, turned
from tests.conftest import Clock
from tests.world import World, a_world


class Reading:
    """The rules, with vectors of a model that a test exchanges."""

    def __init__(self) -> None:
        self.space: str | None = None
        self.asked: list[str] = []
        self.fails: Callable[[str], bool] = lambda text: False
        self.meanwhile: Callable[[str], None] = lambda text: None

    async def understand(self, text: str, hint: Hint) -> Understanding:
        read = read_by_rules(text, hint).understanding
        if self.space is None:
            return read
        return replace(read, embedding=Embedding(turned(self.space + text), self.space))

    async def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        [text] = texts  # never more than one at a time
        self.asked.append(text)
        self.meanwhile(text)
        return None if self.space is None or self.fails(text) else [list(turned(self.space + text))]


class Rests:
    """Sleeps no moment; counts how long it should have."""

    def __init__(self, most: int = 10_000) -> None:
        self.slept: list[float] = []
        self._most = most

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) >= self._most:
            raise Enough
        await asyncio.sleep(0)


class Enough(Exception):
    """The test has seen enough."""


@pytest.fixture
def reading() -> Reading:
    return Reading()


@pytest.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path, reading: Reading) -> AsyncIterator[World]:
    """Three cases, opened a minute apart when there was no model."""
    async with a_world(database_url, clock, tmp_path, understander=reading) as made:
        for sender, words in (("ana", REPORT), ("ben", ALIKE), ("eva", OTHER)):
            await made.write("chat", sender, words)
            clock.advance(timedelta(minutes=1))
        yield made


def walk(world: World, rests: Rests | None = None) -> OlderCases:
    return OlderCases(world.parts, lease=lambda name: Lease(world.parts.database.url, name), sleep=rests or Rests())


def vectors(url: str) -> dict[UUID, str]:
    with psycopg.connect(url) as connection:
        return {row[0]: row[1] for row in connection.execute("SELECT case_id, embedding::text FROM case_embeddings")}


async def test_an_exchanged_model_reads_the_older_cases_as_it_would_have_at_their_opening(
    world: World, reading: Reading, database_url: str
) -> None:
    assert kept(database_url) == []
    codes = [case.code for case in await world.cases()]
    for name in ("first", "second"):
        reading.space, reading.asked = name, []
        assert await walk(world).once() == 3
        assert reading.asked == [OTHER, ALIKE, REPORT]  # the newest first
        assert sorted(kept(database_url)) == sorted((code, name) for code in codes)
    before = vectors(database_url)
    await world.write("chat", "zoe", REPORT)
    [fresh] = vectors(database_url).keys() - before.keys()
    with psycopg.connect(database_url) as connection:
        alike = connection.execute("SELECT code FROM similar_cases(%s, 0.99, 3)", (fresh,)).fetchall()
    assert alike == [(codes[0],)]
    reading.asked.clear()
    assert await walk(world).once() == 0 and reading.asked == []


async def test_it_rests_after_each_text_and_then_sleeps_long(world: World, reading: Reading, database_url: str) -> None:
    reading.space = "new"
    rests = Rests(most=6)
    with pytest.raises(Enough):
        await walk(world, rests).run()
    assert rests.slept[0] == SETTLE and rests.slept.count(REST) == 3
    assert rests.slept[-1] == LOOK >= 600 and len(kept(database_url)) == 3


async def test_where_nothing_can_be_compared_nothing_is_read(world: World, reading: Reading, database_url: str) -> None:
    leases: list[str] = []

    def lease(name: str) -> Lease:
        leases.append(name)
        return Lease(database_url, name)

    async def look() -> None:
        rests = Rests(most=3)
        with pytest.raises(Enough):
            await OlderCases(world.parts, lease=lease, sleep=rests).run()
        assert rests.slept == [SETTLE, LOOK, LOOK]

    await look()  # no model
    reading.space = "new"
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP EXTENSION vector CASCADE")
    await look()  # no pgvector
    assert await walk(world).once() == 0
    assert leases == [] == reading.asked


async def test_one_text_that_fails_stops_not_the_others_and_a_broken_model_stops_the_walk(
    world: World, reading: Reading, database_url: str
) -> None:
    reading.space, reading.fails = "new", lambda text: text == ALIKE
    assert await walk(world).once() == 2
    await world.write("chat", "zoe", "Me llegó mal la factura FV-1 y quiero que la corrijan")
    reading.asked.clear()
    reading.space, reading.fails = "newer", lambda text: True
    assert await walk(world).once() == 0 and len(reading.asked) == older_cases.FAILURES
    assert [space for _, space in kept(database_url)] == ["new"] * 3  # what was there is left alone


async def test_vectors_of_another_length_are_not_kept(
    world: World, reading: Reading, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.space = "short"

    async def short(texts: Sequence[str]) -> list[list[float]]:
        return [[0.6, 0.8]]

    monkeypatch.setattr(reading, "embed", short)
    assert await walk(world).once() == 0 and kept(database_url) == []


async def test_after_a_kill_it_goes_on_where_it_stood(
    world: World, reading: Reading, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(older_cases, "PAGE", 1)
    reading.space = "new"
    rests = Rests(most=4)  # twice after a text, twice after a page
    with pytest.raises(Enough):
        await walk(world, rests).once()
    assert reading.asked == [OTHER, ALIKE] and len(kept(database_url)) == 2
    assert await walk(world).once() == 1
    assert reading.asked == [OTHER, ALIKE, REPORT]


async def test_a_case_that_goes_while_it_is_read_gets_no_vector(
    world: World, reading: Reading, database_url: str
) -> None:
    def gone(text: str) -> None:
        if text == ALIKE:
            with psycopg.connect(database_url) as connection:
                connection.execute("SET session_replication_role = replica")  # whoever erases sees to what hangs on it
                connection.execute("DELETE FROM cases WHERE facts->'what'->>0 = %s", (ALIKE,))

    reading.space, reading.meanwhile = "new", gone
    await walk(world).once()
    assert len(vectors(database_url)) == 2 and {one.id for one in await world.cases()} == set(vectors(database_url))


async def test_closed_cases_of_long_ago_are_left_and_open_ones_are_not(
    world: World, reading: Reading, database_url: str, clock: Clock
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE cases SET closed_at = now() WHERE facts->'what'->>0 <> %s", (REPORT,))
    clock.advance(LOOKS_BACK)
    await world.write("chat", "zoe", "La nevera del pedido 50002 no enfría, quiero el cambio")
    reading.space = "new"
    assert await walk(world).once() == 2 and REPORT in reading.asked and OTHER not in reading.asked


async def test_one_process_at_a_time_walks(world: World, reading: Reading, database_url: str) -> None:
    free: list[bool] = []

    def ask(text: str) -> None:
        with psycopg.connect(database_url) as connection:
            [(found,)] = connection.execute("SELECT pg_try_advisory_lock(%s)", (_key("older cases"),)).fetchall()
        free.append(found)

    reading.space, reading.meanwhile = "new", ask
    with pytest.raises(Enough):
        await walk(world, Rests(most=6)).run()
    assert free == [False] * 3
    ask("")
    assert free[-1]  # while it sleeps, another one may
