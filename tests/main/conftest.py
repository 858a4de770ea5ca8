"""Installations for the tests of the whole program; whatever a test leaves running is ended."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.main.house import House


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the database's own user can pass through (pytest's is closed to others), removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="acuse-house-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def a_house(place: Path) -> Iterator[Callable[..., House]]:
    """Make a House in the test's folder; all are closed at the end."""
    with ExitStack() as stack:

        def make(**given: Any) -> House:
            house = House(place, **given)
            stack.callback(house.close)
            return house

        yield make
