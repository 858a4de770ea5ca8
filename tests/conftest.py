"""What all tests share: one database server for the run, a fresh database for each test, a clock that stands still."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from storage.embedded import DatabaseFault, Embedded
from storage.ids import uuid7_source
from storage.migrate import upgrade

settings.register_profile("acuse", deadline=None)  # a shared machine's pauses are no defect
settings.load_profile("acuse")

_FOLDERS = "acuse-tests-"
_TEMPLATE = "template_acuse"


class Clock:
    """Time that moves only when a test says so. Call it for the moment (aware, UTC)."""

    def __init__(self, moment: datetime = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, by: timedelta) -> datetime:
        """Let that much time pass; gives the new moment."""
        self.moment += by
        return self.moment


@pytest.fixture
def clock() -> Clock:
    """A Monday morning in Colombia (14:30 UTC is 9:30 there)."""
    return Clock()


@pytest.fixture
def ids(clock: Clock) -> Callable[[], UUID]:
    """Identifiers that are the same in every run."""
    return uuid7_source(clock, Random(20260302).randbytes)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a database server, one for each xdist worker. Nothing in it outlives the run: fsync is off."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_FOLDERS))
    quick = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
    embedded = Embedded(folder / "postgres", log=logging.getLogger("tests.server"), settings=quick)
    try:
        folder.chmod(0o711)  # made by us a moment ago; as root the server runs as another user
        yield embedded.start()
    finally:
        embedded.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def database_template(server: str) -> str:
    """The name of a database with all migrations applied; databases are cloned from it, so keep no connection to it."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    upgrade(_at(server, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database_url(server: str, database_template: str) -> Iterator[str]:
    """The address (postgresql://…) of a database of this test's own, with all tables and nothing in them."""
    name = f"test_{os.urandom(6).hex()}"
    with psycopg.connect(server, autocommit=True) as connection:
        clone = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(clone.format(sql.Identifier(name), sql.Identifier(database_template)))
        try:
            yield _at(server, name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under ACUSE_ALL=1 nothing may be skipped: a test that could not run is a test that failed."""
    report = yield
    if report.skipped and _nothing_may_be_skipped() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which ACUSE_ALL=1 forbids: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is read."""
    report = yield
    if report.skipped and _nothing_may_be_skipped():
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, which ACUSE_ALL=1 forbids: {report.longreprtext}"
    return report


def _nothing_may_be_skipped() -> bool:
    return os.environ.get("ACUSE_ALL") == "1"


def _at(server: str, name: str) -> str:
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def _sweep() -> None:
    """Stop and remove the servers of test runs that were killed more than an hour ago."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDERS}*"):
        with suppress(OSError, DatabaseFault):  # still running, or somebody else's
            if folder.stat().st_mtime < time.time() - 3600:
                embedded = Embedded(folder / "postgres", log=logging.getLogger("tests.sweep"))
                embedded.start()
                embedded.stop()
                shutil.rmtree(folder)
