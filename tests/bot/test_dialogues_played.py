"""The conversations of tests/dialogues through a whole Acuse: what is read here by the rules is answered as written."""

from pathlib import Path

import pytest

from tests.bot.player import Dialogue, all_dialogues
from tests.bot.stage import a_stage, given_of, play

ALL = all_dialogues()


# every conversation in Spanish, every fourth in the two others; all of them under `make soak`
USUAL = [(one, "es") for one in ALL] + [(one, language) for language in ("en", "pt") for one in ALL[::4]]
REST = [(one, language) for language in ("en", "pt") for one in ALL if one not in ALL[::4]]
PLAYS = [pytest.param(one, language, id=f"{one.name}-{language}") for one, language in USUAL] + [
    pytest.param(one, language, id=f"{one.name}-{language}", marks=pytest.mark.soak) for one, language in REST
]


@pytest.mark.parametrize(("dialogue", "language"), PLAYS)
async def test_played(dialogue: Dialogue, language: str, database_url: str, tmp_path: Path) -> None:
    async with a_stage(database_url, tmp_path, given_of(dialogue.lines)) as stage:
        await play(stage, dialogue, language)
