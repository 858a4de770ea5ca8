"""A whole Acuse for the tests of the bot's verbs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.conftest import Clock
from tests.world import World, a_world


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """Real database and rules, channels in memory, and a clock that stands still."""
    async with a_world(database_url, clock, tmp_path) as made:
        yield made
