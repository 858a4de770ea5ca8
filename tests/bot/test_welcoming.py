"""Slack's assistant pane: what stands in a new thread, through the real way in, at the demo's Slack."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.hooks import Hooks
from bot.signs import Signs
from bot.welcoming import SUGGESTIONS
from channels.channel import Opened, Welcomes
from channels.memory import Memory
from channels.slack import PROMPTS, Slack
from demo.slack_api import SlackApi
from tests.bot.rows import messages, outgoing
from tests.channels.at_slack import Events, a_slack, account, now, signed
from tests.world import CHAT, NUBE, World, a_world

THREAD = "1772461800.000100"
TITLES = {
    "es": "Soy Clara, asistente virtual (IA) de Nube. ¿Qué pasó?",
    "en": "I am Clara, a virtual assistant (AI) of Nube. What happened?",
    "pt": "Sou Clara, assistente virtual (IA) da Nube. O que aconteceu?",
}
events = Events()


@pytest.fixture
async def slack() -> AsyncIterator[SlackApi]:
    async with a_slack() as made:
        yield made
        assert made.faults == []


@pytest.fixture
async def channel(slack: SlackApi) -> AsyncIterator[Slack]:
    made = account(slack.url, socket=False)
    yield made
    await made.close()


@pytest.fixture
async def world(database_url: str, tmp_path: Path, channel: Slack) -> AsyncIterator[World]:
    async with a_world(database_url, now, tmp_path, channels={"slack": channel}) as made:
        yield made


async def soon(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


def opened() -> dict[str, Any]:
    return events.event(**events.pane("U0ANA", "D0ANA", THREAD))


def asked(slack: SlackApi, what: str) -> list[dict[str, Any]]:
    return slack.asked(f"assistant.threads.{what}")


@pytest.mark.parametrize(("locale", "language"), [("es-CO", "es"), ("en-US", "en"), ("pt-BR", "pt"), ("fr-FR", "es")])
async def test_a_new_thread_says_who_we_are_and_what_one_may_ask(
    world: World, slack: SlackApi, locale: str, language: str
) -> None:
    """L-5: that it is an AI stands there before the first word; nothing of it is kept."""
    slack.people["U0ANA"]["locale"] = locale
    await Hooks(world.parts, world.intake).take("slack", signed(opened()))
    await soon(lambda: bool(asked(slack, "setSuggestedPrompts")))
    [call] = asked(slack, "setSuggestedPrompts")
    assert (call["channel_id"], call["thread_ts"], call["title"]) == ("D0ANA", THREAD, TITLES[language])
    line = world.parts.catalogue.line
    assert [(one["title"], one["message"]) for one in call["prompts"]] == [
        (line(f"welcome_{one}", language), line(f"welcome_{one}_says", language)) for one in SUGGESTIONS
    ]
    assert len(SUGGESTIONS) <= PROMPTS
    assert await messages(world) == [] and await outgoing(world) == []


async def test_the_language_that_we_know_of_the_person_goes_before_slack_s(world: World, slack: SlackApi) -> None:
    slack.people["U0ANA"]["locale"] = "en-US"
    async with world.parts.database.transaction() as tx:
        await tx.people.ensure("slack", "T0NUBE:U0ANA", name="Ana", language="pt", verified_by="provider")
    body = opened()
    body["team_id"] = "T0NUBE"
    await Hooks(world.parts, world.intake).take("slack", signed(body))
    await soon(lambda: bool(asked(slack, "setSuggestedPrompts")))
    assert asked(slack, "setSuggestedPrompts")[0]["title"] == TITLES["pt"]


async def test_the_thread_is_named_once_after_its_first_words_and_shows_that_we_are_at_it(
    world: World, slack: SlackApi
) -> None:
    slack.people["U0ANA"]["locale"] = "es-CO"
    hooks = Hooks(world.parts, world.intake)
    await hooks.take("slack", signed(opened()))
    await soon(lambda: bool(asked(slack, "setSuggestedPrompts")))
    words = "La licuadora que compré el martes llegó con el vaso roto y nadie me contesta en la tienda"
    for number, text in enumerate((words, "pedido 48213"), start=1):
        await hooks.take(
            "slack", signed(events.event(**events.said(text, "U0ANA", "D0ANA", kind="im", thread_ts=THREAD)))
        )
        await soon(lambda: len(asked(slack, "setStatus")) == number)  # noqa: B023  it is over before the next one
    [title] = asked(slack, "setTitle")
    assert title["title"] == "La licuadora que compré el martes llegó con el vaso roto y…"
    assert {one["status"] for one in asked(slack, "setStatus")} == {"está escribiendo…"}


async def test_a_refusal_of_slack_s_harms_nothing(world: World, slack: SlackApi, channel: Slack) -> None:
    slack.errors += [("assistant.threads.setSuggestedPrompts", "missing_scope")]
    hooks = Hooks(world.parts, world.intake)
    await hooks.take("slack", signed(opened()))
    await hooks.take("slack", signed(events.message("hola")))
    await soon(lambda: not slack.errors)
    assert [one.text for one in await messages(world)] == ["hola"]


async def test_a_thread_without_a_place_is_passed_over(channel: Slack) -> None:
    body = events.event(type="assistant_thread_started", assistant_thread={"user_id": "U0ANA"}, event_ts="1.0")
    assert not [one for one in channel.read(signed(body)) if isinstance(one, Opened)]


async def test_what_each_suggestion_says_is_understood(database_url: str, tmp_path: Path) -> None:
    """Nobody presses a button and hears that it was not understood."""
    chat = Memory("chat", features=CHAT, now=now)
    async with a_world(database_url, now, tmp_path, channels={"chat": chat}) as world:
        for language in NUBE.languages:
            for one in SUGGESTIONS:
                who = f"{language}-{one}"
                await world.write("chat", who, world.parts.catalogue.line(f"welcome_{one}_says", language))
                lines = [line for row in await outgoing(world) if row.address == who for line in row.lines]
                assert any(line.startswith(EXPECTED[one]) for line in lines), (who, lines)


EXPECTED = {"report": "receipt", "status": "status_none", "person": "handover"}


def test_only_what_can_welcome_is_asked_to(channel: Slack) -> None:
    assert isinstance(channel, Welcomes) and not isinstance(Memory("m"), Welcomes)
    assert Signs().busy == 0
