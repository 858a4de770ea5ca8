"""What `acuse check` says of similar cases, with the remedy."""

import secrets
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg

from bot.older_cases import OlderCases
from bot.staff import Staff
from commands.similar import similar_cases
from machine import Machine
from nlu.understander import Reader, Settings, open_understander
from storage.lease import Lease
from tests.conftest import Clock
from tests.world import a_world


def nobody(name: str) -> Lease:
    raise AssertionError(name)


async def at_once(seconds: float) -> None:
    """No rest."""


async def test_it_says_what_is_missing(database_url: str, clock: Clock, tmp_path: Path) -> None:
    async with a_world(database_url, clock, tmp_path) as world:
        staff = Staff(world.parts, lambda: secrets.token_urlsafe(32), lasts=timedelta(hours=1))

        async def said(reader: Reader) -> tuple[bool | None, str]:
            well, _, words = await similar_cases(Machine(world.parts, world.intake, staff, reader))
            return well, words

        async with await open_understander(Settings()) as reader:
            assert await said(reader) == (True, "are shown beside a case")
            await world.write("chat", "ana", "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra.")
            well, words = await said(reader)  # it was opened by the rules alone
            assert well and "1 case still lacks a vector" in words
            await OlderCases(replace(world.parts, understander=reader), lease=nobody, sleep=at_once).once()
            assert await said(reader) == (True, "are shown beside a case")
            well, words = await said(Reader(None))
            assert well is None and "python -m nlu.likeness_fit" in words
            with psycopg.connect(database_url) as connection:
                connection.execute("DROP EXTENSION vector CASCADE")
            well, words = await said(reader)
            assert well is None and "CREATE EXTENSION vector" in words and "acuse migrate" in words
