"""Bring the database up to date: Alembic revisions under an advisory lock, so that two starts at once do it once.

Alembic is loaded only where there is something to do: every other start is a third of a second quicker.
"""

import importlib
import re
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from storage.similar import prepare

LOCK = 0x41435553  # "ACUS"
_HERE = Path(__file__).parent / "migrations"
_NAMED = re.compile(r'^(revision|down_revision) = "(\w+)"$', re.MULTILINE)


class Unreachable(Exception):
    """The database does not answer; the text says why."""


class Newer(Exception):
    """The database was changed by a newer program than this one; the text is its revision."""


def sqlalchemy_url(url: str) -> str:
    """The same address with the driver that we use."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url


def _config(connection: Connection) -> Any:
    config = importlib.import_module("alembic.config").Config()
    # a blank or a percent sign in the path must not be read as an interpolation
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    return config


def revisions() -> tuple[frozenset[str], str]:
    """All that this program knows, and the last of them. Raises ValueError when there is not one last."""
    named = [dict(_NAMED.findall(path.read_text(encoding="utf-8"))) for path in (_HERE / "versions").glob("*.py")]
    known = frozenset(one["revision"] for one in named)
    [last] = known - {one["down_revision"] for one in named if "down_revision" in one}
    return known, last


def _current(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return str(found) if found else None


def pending(url: str) -> bool:
    """Whether the database is behind this program (a new one is not: it has nothing to lose).

    Raises Unreachable; Newer when this program does not know the database's revision.
    """
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool, connect_args={"connect_timeout": 10})
    try:
        with engine.connect() as connection:
            current = _current(connection)
            if current is None:
                return False
            known, last = revisions()
            if current not in known:
                raise Newer(current)
            return current != last
    except OperationalError as error:
        raise Unreachable(str(error.orig).strip().splitlines()[0]) from error
    finally:
        engine.dispose()


def upgrade(url: str) -> None:
    """Apply what is missing. Waits while another process does the same."""
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            if _current(connection) != revisions()[1]:
                importlib.import_module("alembic.command").upgrade(_config(connection), "head")
            prepare(connection)  # what the database did not let us make may be allowed by now
    finally:
        engine.dispose()
