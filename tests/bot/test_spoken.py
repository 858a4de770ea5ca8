"""P23: a person is answered in their own language, and no single doubtful message changes it."""

from datetime import UTC, datetime, timedelta

import pytest

from storage.tables import Person
from tests.bot.rows import outgoing, rows
from tests.conftest import Clock
from tests.world import World

REPORT = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
PORTUGUESE = ("quero saber quando vocês vão me mandar outro", "ainda não recebi nada de vocês, estou esperando")


async def _language_of(world: World) -> list[str]:
    """Of each Answer, and last what is known of the person."""
    answers = [one.language for one in await outgoing(world) if one.kind != "ack"]
    return [*answers, str((await rows(world, Person))[0].language)]


async def test_P23_a_name_and_a_number_are_no_portuguese(world: World) -> None:
    """Answered in Portuguese for good, a Spanish customer was."""
    for words in (REPORT, "a nombre mío, documento 1019123456", "va a nombre de João da Conceição, el vecino"):
        await world.write("chat", "ana", words)
    assert set(await _language_of(world)) == {"es"}


async def test_P23_one_message_in_another_language_changes_nothing_and_the_second_does(world: World) -> None:
    await world.write("chat", "ana", REPORT)
    await world.write("chat", "ana", PORTUGUESE[0])
    assert set(await _language_of(world)) == {"es"}
    await world.write("chat", "ana", PORTUGUESE[1])
    assert (await _language_of(world))[-2:] == ["pt", "pt"]


async def test_P23_messages_in_ones_own_language_between_them_start_the_count_anew(world: World) -> None:
    for words in (REPORT, PORTUGUESE[0], "fue ayer por la tarde en la tienda del centro", PORTUGUESE[1]):
        await world.write("chat", "ana", words)
    assert set(await _language_of(world)) == {"es"}


async def test_P23_who_asks_for_a_language_gets_it_at_once_and_keeps_it(world: World) -> None:
    await world.write("chat", "ana", REPORT)
    await world.write("chat", "ana", "in English please")
    await world.write("chat", "ana", "fue ayer por la tarde en la tienda del centro")
    assert (await _language_of(world))[-2:] == ["en", "en"]


async def test_P23_what_the_provider_says_of_its_user_yields_to_the_first_words(world: World) -> None:
    """A telephone that is set to English is no customer who speaks it."""
    await world.write("chat", "ana", "hola", language="en")
    await world.write("chat", "ana", REPORT)
    assert (await _language_of(world))[-2:] == ["es", "es"]


async def test_P23_an_acknowledgement_does_not_follow_one_message_either(world: World, clock: Clock) -> None:
    await world.write("chat", "ana", REPORT)
    clock.advance(timedelta(days=2))
    await world.write("chat", "ana", PORTUGUESE[0])
    assert [one.language for one in await outgoing(world) if one.kind == "ack"] == ["es", "es"]


@pytest.mark.parametrize(
    ("words", "back"),
    [
        ("quero falar com uma pessoa da equipe, por favor", "amanhã às 08:00"),
        ("quiero hablar con una persona del equipo, por favor", "mañana a las 8"),
        ("I want to talk to a person of your team", "tomorrow at 8"),
    ],
)
async def test_P23_when_people_are_back_is_said_in_the_language_of_the_answer(
    world: World, clock: Clock, words: str, back: str
) -> None:
    """ "elas escrevem tomorrow at 8 am" """
    clock.moment = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)  # nine in the evening of a Wednesday in Bogotá
    other = "es" if "tomorrow" in back else "en"
    await world.write("chat", "ana", words, language=other)
    assert back in (await outgoing(world))[-1].text
