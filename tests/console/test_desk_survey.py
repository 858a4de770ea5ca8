"""What the desk shows of a survey: the scores, the words, why nobody was asked; and who allows it after harm."""

from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from bot.staff import Staff
from bot.views import Me
from console.site import Site
from tests.console.conftest import a_client
from tests.world import World

PASSWORD = "correct horse battery"


async def _client(site: Site, language: str = "es") -> tuple[httpx.AsyncClient, Me]:
    staff: Staff = site.staff
    me = await staff.add("marta", "Marta Ríos", "agent", PASSWORD)
    await staff.speak(me, language)
    client = a_client(site)
    client.cookies.set("acuse_desk", await staff.log_in(me.login, PASSWORD, "test"))
    return client, me


async def _solved(world: World, me: Me, words: str) -> UUID:
    talk = await world.write("chat", "ana", words)
    await world.desk(me).resolve(talk)
    await world.settle(talk)
    await world.write("chat", "ana", "sí", pressed="solved:yes")
    await world.ticker.tick()
    await world.settle(talk)
    return talk


async def _csrf(client: httpx.AsyncClient, talk: UUID) -> tuple[str, str]:
    page = (await client.get(f"/desk/c/{talk}")).text
    return page, page.split('name="csrf" value="')[1].split('"')[0]


@pytest.mark.parametrize(
    ("language", "solution", "flag"),
    [
        ("es", "2 de 5", "Mala calificación de la solución"),
        ("en", "2 of 5", "Poor rating of the solution"),
        ("pt", "2 de 5", "Avaliação ruim da solução"),
    ],
)
async def test_I16_the_agents_see_the_score_and_the_words(
    site: Site, world: World, language: str, solution: str, flag: str
) -> None:
    client, me = await _client(site, language)
    talk = await _solved(world, me, "la licuadora del pedido 48213 llegó rota, quiero otra")
    await world.write("chat", "ana", "x", pressed=f"csat:2:{(await world.cases())[0].code}")
    await world.write("chat", "ana", "4, me hicieron esperar tres semanas")
    page, _ = await _csrf(client, talk)
    assert solution in page
    assert page.count("«4, me hicieron esperar tres semanas»") == 2  # when it came, and beside the case
    assert flag in page
    listed = (await client.get("/desk?view=flagged")).text
    assert flag in listed


async def test_R044_a_person_allows_the_survey_after_harm(site: Site, world: World) -> None:
    client, me = await _client(site)
    talk = await _solved(world, me, "el cable de la plancha me quemó la mano y estoy sangrando")
    page, csrf = await _csrf(client, talk)
    assert "Hubo un daño, así que no se le pregunta cómo fue" in page and "Permitir la encuesta" in page
    answer = await client.post(f"/desk/c/{talk}/survey", data={"csrf": csrf})
    assert answer.status_code == 303
    page, csrf = await _csrf(client, talk)
    assert "Se le preguntará cómo fue la solución." in page and "Permitiste la encuesta." in page
    assert "Permitir la encuesta" not in page
    again = await client.post(f"/desk/c/{talk}/survey", data={"csrf": csrf})
    assert again.status_code == 409


async def test_an_alert_can_say_why(world: World) -> None:
    for language in ("es", "en", "pt"):
        assert world.parts.catalogue.line("reason_low_score", language)
    assert timedelta(days=world.parts.policy.survey.remind_days) == timedelta(days=3)
