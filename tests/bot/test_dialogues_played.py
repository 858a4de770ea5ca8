"""The conversations of tests/dialogues through a whole Acuse: what is read here by the rules is answered as written."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.bot.player import Dialogue, all_dialogues
from tests.bot.stage import a_stage, given_of, play

ALL = all_dialogues()


@pytest.fixture(scope="module")
def one_database(server: str, database_template: str) -> Iterator[str]:
    """One database for all plays of this module; emptied before each, which is quicker than a clone."""
    name = "played"
    with psycopg.connect(server, autocommit=True) as connection:
        clone = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(clone.format(sql.Identifier(name), sql.Identifier(database_template)))
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def emptied(one_database: str) -> str:
    """The same database with nothing in it."""
    with psycopg.connect(one_database, autocommit=True) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        tables = [sql.Identifier(name) for (name,) in found if name != "alembic_version"]
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(sql.SQL(", ").join(tables)))
    return one_database


# every conversation in Spanish, every fourth in the two others; all of them under `make soak`
USUAL = [(one, "es") for one in ALL] + [(one, language) for language in ("en", "pt") for one in ALL[::4]]
REST = [(one, language) for language in ("en", "pt") for one in ALL if one not in ALL[::4]]
PLAYS = [pytest.param(one, language, id=f"{one.name}-{language}") for one, language in USUAL] + [
    pytest.param(one, language, id=f"{one.name}-{language}", marks=pytest.mark.soak) for one, language in REST
]


@pytest.mark.parametrize(("dialogue", "language"), PLAYS)
async def test_played(dialogue: Dialogue, language: str, emptied: str, tmp_path: Path) -> None:
    async with a_stage(emptied, tmp_path, given_of(dialogue.lines)) as stage:
        await play(stage, dialogue, language)
