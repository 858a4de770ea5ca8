"""An update saves what is there before it changes it; a step back is refused in words."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine
from typer.testing import CliRunner, Result

from main import app
from storage import backup as backups
from storage import migrate
from tests.main.house import CONFIG, House


@pytest.fixture
def migrated(monkeypatch: pytest.MonkeyPatch, server: str, place: Path) -> Callable[[], Result]:
    """`acuse migrate` on a database of this test's own."""
    house = House(place, CONFIG + "database: ${DATABASE_URL}\n", DATABASE_URL=database(server))
    for name in ("ACUSE_DATA", "ACUSE_CONFIG", "PORT", "DATABASE_URL"):
        monkeypatch.setenv(name, house.env[name])
    return lambda: CliRunner().invoke(app, ["migrate"])


def database(server: str) -> str:
    """A new one with nothing in it."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS update_me")
        connection.execute("CREATE DATABASE update_me")
    return server.replace("/acuse?", "/update_me?")


def at_revision(url: str, revision: str) -> None:
    """Bring it as far as an older Acuse did."""
    engine = create_engine(migrate.sqlalchemy_url(url))
    with engine.begin() as connection:
        command.upgrade(migrate._config(connection), revision)
    engine.dispose()


def test_an_older_schema_is_saved_first_and_then_brought_up_to_date(
    migrated: Callable[[], Result], server: str, place: Path
) -> None:
    url = server.replace("/acuse?", "/update_me?")
    at_revision(url, "0001")
    assert migrate.pending(url)
    done = migrated()
    assert done.exit_code == 0, done.output
    assert "it was saved in" in done.output
    assert not migrate.pending(url)
    saved = list((place / "data" / "backups").glob("before-update-*.acuse"))
    assert len(saved) == 1
    assert "database.dump" in backups.verify(saved[0]).members
    assert migrated().output == "The database is up to date.\n"
    assert list((place / "data" / "backups").iterdir()) == saved  # nothing to save the second time


def test_a_newer_database_is_left_alone(migrated: Callable[[], Result], server: str, place: Path) -> None:
    assert migrated().exit_code == 0
    with psycopg.connect(server.replace("/acuse?", "/update_me?")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    told = migrated()
    assert told.exit_code == 2
    assert told.output.startswith("The database was brought up to date by a newer Acuse (revision 9999): update this")
    assert not (place / "data" / "backups").exists()


def test_a_user_who_may_not_make_tables(migrated: Callable[[], Result], server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER DATABASE update_me SET default_transaction_read_only = on")
    told = migrated()
    assert told.exit_code == 2
    assert "and is as it was" in told.output
    assert len(told.output.strip().splitlines()) == 1
