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
from uuid import UUID

import pytest
from hypothesis import settings

from storage.embedded import DatabaseFault, Embedded
from storage.ids import uuid7_source
from tests.databases import Databases

settings.register_profile("acuse", deadline=None)  # a shared machine's pauses are no defect
settings.load_profile("acuse")

_FOLDERS = "acuse-tests-"


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
    quick = dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes", "autovacuum"), "off")
    embedded = Embedded(
        folder / "postgres", log=logging.getLogger("tests.server"), settings={**quick, "max_connections": "200"}
    )
    try:
        folder.chmod(0o711)  # made by us a moment ago; as root the server runs as another user
        yield embedded.start()
    finally:
        embedded.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def databases(server: str) -> Databases:
    """Databases with all migrations applied and nothing in them."""
    return Databases(server)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The address (postgresql://…) of a database of this test's own, with all tables and nothing in them."""
    with databases.one() as url:
        yield url


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


def _sweep() -> None:
    """Stop and remove the servers of test runs that were killed more than an hour ago."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDERS}*"):
        with suppress(OSError, DatabaseFault):  # still running, or somebody else's
            if folder.stat().st_mtime < time.time() - 3600:
                embedded = Embedded(folder / "postgres", log=logging.getLogger("tests.sweep"))
                embedded.start()
                embedded.stop()
                shutil.rmtree(folder)
