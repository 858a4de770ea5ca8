"""The conversations of tests/dialogues, each in each language."""

import pytest

from tests.bot.player import LANGUAGES, Dialogue, all_dialogues, play

ALL = all_dialogues()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("dialogue", ALL, ids=lambda dialogue: dialogue.name)
def test_dialogue(dialogue: Dialogue, language: str) -> None:
    play(dialogue, language)


def test_there_are_enough_and_long_enough() -> None:
    assert len(ALL) >= 25
    assert [one.name for one in ALL if one.turns < 6] == []
    assert [one.name for one in ALL if not one.database] == []


@pytest.mark.parametrize("language", ["en", "pt"])
@pytest.mark.parametrize("dialogue", ALL, ids=lambda dialogue: dialogue.name)
def test_the_persons_words_exist_in_each_language(dialogue: Dialogue, language: str) -> None:
    spoken = [line for line in dialogue.lines if line.who == "person" and len(line.words["es"].split()) > 2]
    assert [line.number for line in spoken if language not in line.words] == []
