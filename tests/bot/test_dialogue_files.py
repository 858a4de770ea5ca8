"""The conversations of tests/dialogues, each in each language."""

import re

import pytest

from bot.catalogue import Catalogue
from bot.dialogue.effects import OpenCase, Say
from tests.bot.player import LANGUAGES, Dialogue, Player, all_dialogues, play

ALL = all_dialogues()
# a code that the player puts in, an address, a provider's name; without letters: a number, a sign
_THE_SAME_IN_ALL = re.compile(r"\{\w+\}|\S+@\S+|telegram|ok|[\W\d_]*", re.IGNORECASE).fullmatch


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
    spoken = [line for line in dialogue.lines if line.who == "person" and not _THE_SAME_IN_ALL(line.words["es"])]
    fixed = [line for line in spoken if "lang" in line.reading]  # it is about the language itself
    assert [line.number for line in spoken if language not in line.words and line not in fixed] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_has_at_most_sixty_words_of_ours(language: str) -> None:
    """Facts and the person's own words are not counted (tone rule 4); two notices in a row are two messages."""
    catalogue = Catalogue.load()
    for dialogue in ALL:
        player = Player(language)
        for line in dialogue.lines:
            player.play(line)
            said = [one for one in player.last if isinstance(one, Say) and one.line != "agent_left"]
            names = [catalogue.name_of(one, "legal") for one in said]
            for treatment in ("tu", "usted"):
                texts = [re.sub(r"\{\w+\}|\[\[|\]\]", " ", catalogue.line(name, language, treatment)) for name in names]
                assert len(" ".join(texts).split()) <= 60, (dialogue.name, names)


def test_R004_no_question_before_the_apology_and_none_where_nothing_failed() -> None:
    for dialogue in ALL:
        player = Player("es")
        for line in dialogue.lines:
            player.play(line)
            said = [one.line for one in player.last if isinstance(one, Say)]
            opened = next((one for one in player.last if isinstance(one, OpenCase)), None)
            if opened is None or "receipt" not in said:
                continue
            quiet = player.state.talk.speaker == "waiting" and player.given.get("online") != "no"
            failed = opened.type in ("queja", "reclamo") and not quiet
            assert ("apology" in said) == failed, dialogue.name
            assert not failed or all("ask" not in one for one in said[: said.index("apology")]), dialogue.name


def test_every_line_of_the_dialogue_is_heard_somewhere() -> None:
    """Each question and each special flow has a conversation of its own."""
    heard: set[str] = set()
    for dialogue in ALL:
        for line in dialogue.lines:
            heard |= set(line.words["es"].split()) if line.who in ("bot", "notice") else set()
    wanted = {
        "apology", "receipt", "receipt_short", "ask_type", "summary", "ask_correction", "next_steps", "handover",
        "handover_later", "still_waiting", "harm_safety", "urgent_opener", "anger", "opt_out_done", "status_own",
        "status_public", "status_unknown", "status_limited", "code_sent", "code_wrong", "code_over", "telegram_link",
        "preferred_set", "closing_question", "closing_thanks", "closing_not_yet", "ask_same_case", "silence_kept",
        "file_received", "language_set", "side_question", "corrected",
    }  # fmt: skip
    assert wanted - heard == set()
