"""The vector of a case is that of the words it was opened with, and an agent sees what reads like it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

import psycopg
import pytest

from nlu.understander import read_by_rules
from nlu.understanding import Embedding, Hint, Understanding
from storage.similar import DIMENSIONS
from tests.conftest import Clock
from tests.world import World, a_world

REPORT = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
ALIKE = "La licuadora del pedido 50001 llegó rota y quiero otra"
OTHER = "Me cobraron dos veces la factura FV-889, devuélvanme el dinero"


def turned(seed: str, share: float = 0.0) -> tuple[float, ...]:
    """A direction that belongs to the seed; `share` of another one is mixed in."""

    def direction(word: str) -> list[float]:
        random = Random(sha256(word.encode()).digest())
        return [random.gauss(0, 1) for _ in range(DIMENSIONS)]

    mixed = [a + share * b for a, b in zip(direction(seed), direction("else"), strict=True)]
    length = sum(value * value for value in mixed) ** 0.5
    return tuple(value / length for value in mixed)


class Reading:
    """The rules, with vectors like a model's: what is about a blender lies together."""

    async def understand(self, text: str, hint: Hint) -> Understanding:
        about = turned("licuadora", 0.1 if text == REPORT else 0.0) if "licuadora" in text else turned(text)
        return replace(
            read_by_rules(text, hint).understanding, source="model:small", embedding=Embedding(about, "small")
        )

    space = "small"

    async def embed(self, texts: object) -> None:
        return None


@pytest.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(database_url, clock, tmp_path, understander=Reading()) as made:
        yield made


def kept(url: str) -> list[tuple[str, str]]:
    """Code and model of each vector."""
    query = "SELECT k.code, e.model FROM case_embeddings e JOIN cases k ON k.id = e.case_id ORDER BY k.opened_at, k.id"
    with psycopg.connect(url) as connection:
        return [(str(code), str(model)) for code, model in connection.execute(query).fetchall()]


async def test_a_case_keeps_the_vector_of_the_words_it_was_opened_with(world: World, database_url: str) -> None:
    await world.write("chat", "ana", "hola")
    assert kept(database_url) == []
    await world.write("chat", "ana", REPORT)
    await world.write("chat", "ana", "fue ayer en la sede Centro")
    [case] = await world.cases()
    assert kept(database_url) == [(case.code, "small")]


async def test_the_room_shows_what_reads_like_its_case(world: World) -> None:
    rooms = world.rooms(await world.agent())
    ana = await world.write("chat", "ana", REPORT)
    await world.write("telegram", "ben", ALIKE)
    await world.write("email", "eva@nube.example", OTHER)
    cases = {case.facts["what"][0]: case for case in await world.cases()}
    [shown] = (await rooms.room(ana)).similar
    assert shown.code == cases[ALIKE].code and shown.gist == ALIKE and shown.how == "very"
    assert (shown.type, shown.status, shown.ended) == ("reclamo", "acusado", None)


async def test_rules_leave_no_vector(database_url: str, clock: Callable[[], object], tmp_path: Path) -> None:
    async with a_world(database_url, clock, tmp_path) as world:  # type: ignore[arg-type]  # the fixture's clock
        talk = await world.write("chat", "ana", REPORT)
        assert kept(database_url) == []
        assert (await world.rooms(await world.agent()).room(talk)).similar == []
