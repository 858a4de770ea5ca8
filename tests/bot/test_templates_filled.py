"""P2: what a provider's template says of a change, days after the last word of the person."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from bot import states
from bot.catalogue import Catalogue
from bot.views import Me
from bot.wording import progress
from channels.channel import Channel, Outbound, Unavailable
from channels.memory import Memory
from channels.whatsapp_templates import Template, candidates, load
from storage.direct import blank
from storage.tables import Case, Outgoing
from tests.conftest import Clock
from tests.world import CHAT, World, a_world

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
DAY = timedelta(hours=24)
CATALOGUE = Catalogue.load()
CASE = blank(Case, code="PQR-7K3M9QX", status="acusado")


@pytest_asyncio.fixture
async def world(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    """A chat with a window of a day, as WhatsApp has it, and nothing else."""
    channels: dict[str, Channel] = {
        "chat": Memory("chat", features=replace(CHAT, free_text_window=DAY, receipts=True), now=clock)
    }
    async with a_world(database_url, clock, tmp_path, channels=channels) as made:
        yield made


async def three_days_later(world: World, clock: Clock, language: str = "es") -> tuple[Me, UUID]:
    talk = await world.write("chat", "ana", BROKEN, name="Ana Gómez")
    async with world.parts.database.transaction() as tx:
        conversation = await tx.conversations.get(talk)
        assert conversation is not None
        (await tx.people.get(conversation.person_id)).language = language
    clock.advance(3 * DAY)
    world.memory("chat").sent.clear()
    return await world.agent(), talk


def as_template(sent: Outbound) -> tuple[str, str]:
    """The template that tells most of those that fit, all being approved, and its text."""
    assert sent.window_open is False
    blanks = {**sent.blanks, "code": sent.code or ""}
    fitting = candidates(load(), sent.kind, sent.language, blanks, len(sent.buttons))
    return fitting[0].name, shown(fitting[0], blanks)


def shown(template: Template, blanks: Mapping[str, str]) -> str:
    text = template.body
    for number, value in template.variables(blanks, []).items():
        if int(number) <= len(template.blanks):
            text = text.replace(f"{{{{{template.blanks[int(number) - 1]}}}}}", value)
    return text


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("es", "Hola Ana, tu caso {} cambió a: en revisión. El próximo paso es preparar la respuesta y te avisaremos."),
        ("en", "Hi Ana, your case {} is now: under review. The next step is to prepare the answer and we will let you"),
        ("pt", "Olá Ana, o seu caso {} mudou para: em análise. O próximo passo é preparar a resposta e avisaremos"),
    ],
)
async def test_P2_a_change_three_days_later_says_the_new_state_and_the_next_step(
    world: World, clock: Clock, language: str, told: str
) -> None:
    me, talk = await three_days_later(world, clock, language)
    await world.desk(me).move(talk, "en_investigacion")
    await world.sending.run(talk)
    [sent] = world.sent("chat")
    name, text = as_template(sent)
    assert name == "caso_avance" and text.startswith(told.format(sent.code))


async def test_P2_it_says_what_its_row_says_though_the_case_went_on(world: World, clock: Clock) -> None:
    """Two moves while the provider was away are two messages, in their order."""
    me, talk = await three_days_later(world, clock)
    await world.desk(me).move(talk, "en_investigacion")
    world.memory("chat").fail(Unavailable("down", retry_after=timedelta(minutes=1)))
    await world.sending.run(talk)
    await world.desk(me).move(talk, "propuesta")
    clock.advance(timedelta(minutes=5))
    await world.sending.run(talk)
    told = [as_template(one)[1].partition("cambió a: ")[2] for one in world.sent("chat")]
    assert told == [
        "en revisión. El próximo paso es preparar la respuesta y te avisaremos.",
        "propuesta en preparación. El próximo paso es enviar la respuesta y te avisaremos.",
    ]


async def test_P2_a_colleague_s_words_beside_a_change_are_not_lost(world: World, clock: Clock) -> None:
    """The more telling template has no room for them."""
    me, talk = await three_days_later(world, clock)
    await world.desk(me).move(talk, "en_investigacion", "El taller la recibe mañana.")
    await world.desk(me).resolve(talk, "Ya salió la nueva, guía 7781.")
    await world.sending.run(talk)
    change, closing = (as_template(one) for one in world.sent("chat"))
    assert change[0] == closing[0] == "caso_mensaje"
    assert "El taller la recibe mañana." in change[1] and "guía 7781" in closing[1]


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("es", "Hola Ana, tenemos una respuesta para tu caso {}: Te la cambiamos sin costo. — Responde aquí si estás"),
        ("en", "Hi Ana, we have an answer for case {}: Te la cambiamos sin costo. — Reply here if you agree or"),
        ("pt", "Olá Ana, temos uma resposta para o seu caso {}: Te la cambiamos sin costo. — Responda aqui se você"),
    ],
)
async def test_P2_the_answer_to_a_case_goes_in_its_own_template(
    world: World, clock: Clock, language: str, told: str
) -> None:
    me, talk = await three_days_later(world, clock, language)
    await world.desk(me).move(talk, "comunicado", "Te la cambiamos sin costo.")
    await world.sending.run(talk)
    [sent] = world.sent("chat")
    name, text = as_template(sent)
    assert name == "caso_propuesta" and text.startswith(told.format(sent.code))


def test_P2_words_beside_other_news_than_the_answer_are_no_answer() -> None:
    for state in states.CaseState:
        blanks = {"code": CASE.code, "status": CATALOGUE.line(f"status_{state}", "es"), "note": "Mañana."}
        row = blank(Outgoing, language="es", lines=["update_note"], text="")
        row.text = CATALOGUE.render("update_note", "es", "usted", blanks)
        found = progress(CATALOGUE, row, CASE)
        assert found == ({"answer": "Mañana."} if state == "comunicado" else {"note": row.text})
    both = blank(Outgoing, text="x", language="es", lines=["closing_note", "closing_question"])
    assert progress(CATALOGUE, both, CASE) == {"note": "x"}


async def test_P2_a_closing_without_words_keeps_its_own_template(world: World, clock: Clock) -> None:
    me, talk = await three_days_later(world, clock)
    await world.desk(me).resolve(talk)
    await world.sending.run(talk)
    [sent] = world.sent("chat")
    assert as_template(sent)[0] == "caso_cierre"


@pytest.mark.parametrize("state", states.CaseState)
@pytest.mark.parametrize("language", ["es", "en", "pt"])
def test_P2_every_state_has_its_words_and_all_but_the_last_a_next_step(state: str, language: str) -> None:
    word = CATALOGUE.line(f"status_{state}", language)
    text = CATALOGUE.render("update", language, "tu", {"code": "PQR-7K3M9QX", "status": word})
    found = progress(CATALOGUE, blank(Outgoing, text=text, language=language, lines=["update"]), CASE)
    assert found["status"] == word and ("next" in found) is (state != "cerrado")


@pytest.mark.parametrize("lines", [[], ["update", "closing_question"], ["receipt.due"], ["status_own.due"]])
def test_what_says_more_than_a_change_is_left_to_its_text(lines: list[str]) -> None:
    assert progress(CATALOGUE, blank(Outgoing, text="x", language="es", lines=lines), CASE) == {}
    assert progress(CATALOGUE, blank(Outgoing, text="x", language="es", lines=["update"]), None) == {}
