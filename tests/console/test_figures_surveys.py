"""The manager's page says how satisfied customers are, and who was not asked and why (P3, I14-I16)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from bot.staff import Staff
from console.desk.numbers import Numbers
from storage.ids import uuid7_source
from storage.listen import Bell
from storage.tables import Conversation, Outgoing, Survey
from tests.conftest import Clock
from tests.console.conftest import a_client, a_site
from tests.console.test_figures import see
from tests.databases import Databases
from tests.figures_rows import Rows
from tests.world import a_world

DAY = datetime(2026, 2, 20, 15, tzinfo=UTC)
PAGE = "/desk/figures?from=2026-02-16&to=2026-03-01"
SCORES = [5] * 6 + [4] * 2 + [3] + [2] * 2 + [1]  # twelve, eight of them good: 66.7 %
NPS = [9, 9, 10, 10, 9, 7, 8, 0, 6, 5, None, None]  # five promoters, three detractors of ten: +20
BEFORE = {0: [3], 1: [2, 8], 2: [4, 9], 5: [6], 7: [1]}  # what some of them had answered about earlier cases
NOT_SENT = ["type"] * 4 + ["harm"] * 2 + ["consent"]


async def _furnish(url: str, files: Path) -> str:
    async with a_world(url, Clock(), files) as world:
        async with world.parts.database.transaction() as tx:
            rows = Rows(tx, uuid7_source(world.clock, Random(3).randbytes))
            surveys: list[Survey | Outgoing] = []

            def one(
                state: str,
                at: datetime = DAY,
                arrived: bool = False,
                talk: Conversation | None = None,
                **values: Any,
            ) -> Conversation:
                talk = talk or rows.conversation("telegram", at)
                case = rows.case(talk, at, "reclamo", "low", solved_at=at, solved_by="customer", status="cerrado")
                surveys.append(Survey(case_id=case.id, state=state, planned_at=at, **values))
                if arrived:
                    sent = rows.left(talk, "survey", at)
                    sent.case_id, sent.state = case.id, "delivered"
                return talk

            for number, (csat, nps) in enumerate(zip(SCORES, NPS, strict=True)):
                talk = one("answered", csat=csat, nps=nps, asked_at=DAY, answered_at=DAY)
                for days, old in enumerate(reversed(BEFORE.get(number, [])), 30):
                    earlier = DAY - timedelta(days=days)
                    one("answered", earlier, talk=talk, nps=old, answered_at=earlier)
            one("asked", arrived=True, asked_at=DAY)
            for state in ("asked", "asked", "unanswered", "unanswered"):
                one(state, asked_at=DAY)
            one("waiting")
            for reason in NOT_SENT:
                one("not_sent", reason=reason)
            one("answered", DAY - timedelta(days=10), csat=1, nps=0)  # solved before the period
            await rows.write()
            for row in surveys:
                tx.session.add(row)
        staff: Staff = a_site(world, Bell(url)).staff
        me = await staff.add("elena", "Elena Gil", "manager", "correct horse battery")
        return await staff.log_in(me.login, "correct horse battery", "test")


@pytest.fixture(scope="module")
def furnished(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, str]]:
    """One for the whole file: nothing here changes it."""
    with databases.one() as url:
        files = tmp_path_factory.mktemp("files")
        yield url, files, asyncio.run(_furnish(url, files))


@pytest.fixture
async def manager(furnished: tuple[str, Path, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A manager's browser."""
    url, files, token = furnished
    async with a_world(url, Clock(), files) as world:
        client = a_client(a_site(world, Bell(url)))
        client.cookies.set("acuse_desk", token)
        yield client


async def test_I14_the_share_of_fours_and_fives_with_its_n(manager: httpx.AsyncClient) -> None:
    page = await see(manager, PAGE)
    assert page.row("CSAT, de 4 o 5") == ["CSAT, de 4 o 5", "8", "66,7\xa0%"]
    assert page.row("5, muy buena") == ["5, muy buena", "6", "50,0\xa0%"]
    assert page.row("1, muy mala") == ["1, muy mala", "1", "8,3\xa0%"]
    assert "El 66,7\xa0% la califica con 4 o 5 (n = 12). NPS +20 (n = 10)." in page.words
    assert "Con menos de 30 respuestas, tómalo con cautela." in page.words


async def test_I15_the_nps_is_promoters_less_detractors(manager: httpx.AsyncClient) -> None:
    page = await see(manager, PAGE)
    assert page.row("NPS") == ["NPS", "10", "+20"]
    assert page.row("De 9 o 10")[1:] == ["5", "50,0\xa0%"]
    assert page.row("De 0 a 6")[1:] == ["3", "30,0\xa0%"]


async def test_I16_detractors_who_are_promoters_after_a_case_that_was_mended(manager: httpx.AsyncClient) -> None:
    """Whoever had turned before is not counted again, and a 7 or 8 in between changes nothing."""
    page = await see(manager, PAGE)
    assert page.row("Respondieron otra vez") == ["Respondieron otra vez", "4", "100,0\xa0%"]
    assert page.row("Ahora dan 9 o 10") == ["Ahora dan 9 o 10", "2", "50,0\xa0%"]
    assert "De 4 clientes que antes dieron de 0 a 6 y respondieron otra vez, 2 dan ahora 9 o 10." in page.words
    nobody = await see(manager, "/desk/figures?from=2026-02-01&to=2026-02-02")
    assert nobody.row("Ahora dan 9 o 10") == ["Ahora dan 9 o 10", "0", "–"]


async def test_P3_who_was_asked_and_why_not(manager: httpx.AsyncClient) -> None:
    page = await see(manager, PAGE)
    assert "De 25 casos resueltos se preguntó en 17, y respondió el 70,6\xa0%." in page.words
    shown = {row[0]: row[1] for row in page.rows if len(row) == 3}
    assert {name: shown[name] for name in ("Preguntados", "De ellos, entregados", "De ellos, respondieron")} == {
        "Preguntados": "17",
        "De ellos, entregados": "13",
        "De ellos, respondieron": "12",
    }
    assert (shown["Todavía pueden responder"], shown["No respondieron"], shown["Se preguntará después"]) == (
        "3",
        "2",
        "1",
    )
    assert shown["De este tipo no se pregunta"] == "4"
    assert shown["Hubo un daño y nadie lo aprobó"] == "2" and shown["No quieren encuestas"] == "1"


async def test_each_number_opens_just_the_cases_that_it_counted(manager: httpx.AsyncClient) -> None:
    page = await see(manager, PAGE)
    links = [(text, href) for text, href in page.links if "survey=" in href]
    assert len(links) == 5 + 1 + 3 + 2 + 6 + 3
    for text, href in links:
        listed = await see(manager, href)
        assert len([row for row in listed.rows if row and row[0].startswith("PQR-")]) == int(text), href
        assert "Encuesta: survey" not in listed.words and "Encuesta: not" not in listed.words, href


async def test_a_broken_address_lists_nothing_and_breaks_nothing(manager: httpx.AsyncClient) -> None:
    for broken in ("x", "not:", "not:'; drop table surveys", "1 OR true"):
        answer = await manager.get(
            "/desk/figures/list",
            params={"counted": "cases", "survey": broken, "from": "2026-02-16", "to": "2026-03-01"},
        )
        assert answer.status_code == 200 and "PQR-" not in answer.text


async def test_csv_of_the_surveys(manager: httpx.AsyncClient) -> None:
    answer = await manager.get(f"/desk/figures/surveys.csv?{PAGE.partition('?')[2]}")
    table = answer.content.decode("utf-8-sig").splitlines()
    assert table[0].startswith("Encuesta;")
    assert "Clientes que antes dieron de 0 a 6;Ahora dan 9 o 10;2" in table
    assert "Calificación;5, muy buena;6" in table and "No preguntados;No quieren encuestas;1" in table


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0.0, "0"), (41.4, "+41"), (-33.3, "−33"), (100.0, "+100"), (-0.2, "0")]
)
def test_I15_an_nps_is_a_whole_number_with_its_sign(value: float | None, shown: str) -> None:
    assert Numbers("es").score(value) == shown
