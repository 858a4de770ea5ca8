"""The manager's page: what it shows, who may see it, what its numbers open, what it gives out."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import event

from bot.company import Company
from bot.figures import Figures
from bot.staff import Staff
from console.desk.board import Board, Series, all_series, place
from console.desk.mix import as_csv, axis_top, names
from console.desk.numbers import Numbers
from console.desk.words import Dictionary
from storage.ids import uuid7_source
from storage.listen import Bell
from tests.conftest import Clock
from tests.console.conftest import a_client, a_site
from tests.console.figures_house import FIRST, LAST, QUERY, furnish
from tests.databases import Databases
from tests.figures_rows import Rows
from tests.world import NUBE, World, a_world

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "console" / "desk" / "words" / "figures"
PASSWORD = "correct horse battery"
PAGE = f"/desk/figures?{QUERY}"
WHO = ("manager-es", "manager-en", "manager-pt", "admin-es", "agent-es")


@dataclass(frozen=True)
class House:
    """A furnished database that nobody writes to any more, and the sessions of everybody who works there."""

    url: str
    files: Path
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def furnished(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for the whole file: nothing here changes it."""
    with databases.one() as url:
        files = tmp_path_factory.mktemp("files")
        yield House(url, files, asyncio.run(_furnish(url, files)))


async def _furnish(url: str, files: Path) -> dict[str, str]:
    async with a_world(url, Clock(), files) as world:
        async with world.parts.database.transaction() as tx:
            await furnish(Rows(tx, uuid7_source(world.clock, Random(1).randbytes)))
        return {who: await _session(world, *who.split("-")) for who in WHO}


async def _session(world: World, role: str, language: str) -> str:
    staff: Staff = a_site(world, Bell(world.parts.database.url)).staff
    me = await staff.add(f"{role}-{language}", "Elena Gil", role, PASSWORD)
    await staff.speak(me, language)
    return await staff.log_in(me.login, PASSWORD, "test")


@pytest.fixture
async def house(furnished: House) -> AsyncIterator[World]:
    """The furnished house."""
    async with a_world(furnished.url, Clock(), furnished.files) as made:
        yield made


Enter = Callable[..., httpx.AsyncClient]


@pytest.fixture
def enter(furnished: House) -> Enter:
    """Makes clients that are logged in."""

    def client(world: World, who: str = "manager-es") -> httpx.AsyncClient:
        made = a_client(a_site(world, Bell(world.parts.database.url)))
        made.cookies.set("acuse_desk", furnished.tokens[who])
        return made

    return client


class Seen(HTMLParser):
    """The words of a page, by table row, and the links inside its tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[tuple[str, str]] = []
        self.words = ""
        self._href: str | None = None
        self._text: list[str] = []
        self._table = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self._table = True
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._text = []
        elif tag == "a" and self._table:
            self._href, self._text = given.get("href"), []

    def handle_endtag(self, tag: str) -> None:
        text = "".join(self._text).strip()
        if tag == "table":
            self._table = False
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append(text)
        elif tag == "a" and self._href is not None:
            self.links.append((text, self._href))
            self._href = None

    def handle_data(self, data: str) -> None:
        self._text.append(data)
        self.words += data

    def row(self, first: str) -> list[str]:
        """The first row that begins with these words."""
        return next(row for row in self.rows if row and row[0] == first)


async def see(client: httpx.AsyncClient, address: str = PAGE) -> Seen:
    answer = await client.get(address)
    assert answer.status_code == 200
    return Seen(answer.text)


async def test_I28_channels_with_share_and_change_and_a_finding(house: World, enter: Enter) -> None:
    seen = await see(enter(house))
    assert seen.row("Telegram") == ["Telegram", "42", "86", "54,5\xa0%", "+54,5 pp, más que antes"]
    assert seen.row("Correo") == ["Correo", "28", "28", "36,4\xa0%", "−63,6 pp, menos que antes"]
    assert seen.row("Chat web") == ["Chat web", "7", "7", "9,1\xa0%", "+9,1 pp, más que antes"]
    assert seen.row("Total") == ["Total", "77", "121", "100,0\xa0%", "+670,0\xa0%"]
    assert "Telegram trae el 54,5\xa0% de los casos." in seen.words
    assert "El día con más fue el martes 17 de febrero, con 6." in seen.words
    assert "Frente a" not in seen.words  # ten cases before are too few to speak of a change


async def test_I28_messages_are_counted_to_the_last_minute_of_the_companys_days(house: World, enter: Enter) -> None:
    seen = await see(enter(house), f"{PAGE}&counted=messages")
    assert "Telegram trae el 71,1\xa0% de los mensajes." in seen.words  # 86 of 121
    assert seen.row("domingo 1 de marzo") == ["domingo 1 de marzo", "2", "1", "7", "10"]  # one of them at 23:30
    assert seen.row("lunes 16 de febrero") == ["lunes 16 de febrero", "2", "0", "7", "9"]  # one of them at 0:00


async def test_I10_types_and_severities(house: World, enter: Enter) -> None:
    seen = await see(enter(house))
    assert seen.row("Reclamo") == ["Reclamo", "0", "14", "14", "7", "35"]
    assert seen.row("Queja") == ["Queja", "14", "0", "0", "0", "14"]
    assert seen.row("Felicitación") == ["Felicitación", "0", "0", "0", "0", "0"]
    assert ["Total", "42", "14", "14", "7", "77"] in seen.rows
    assert "35 reclamos, el 45,5\xa0% de los casos. 7 son críticos." in seen.words


async def test_I17_I29_waits_say_median_P95_and_how_many_were_measured(house: World, enter: Enter) -> None:
    seen = await see(enter(house))
    few = "*, pocas mediciones"
    two = "2:00\xa0min"
    whole = ["", "2,0\xa0s", "30\xa0s", "77", "", "5,0\xa0s", "40\xa0s", "77", "", two, two, f"14{few}"]
    assert seen.row("Todos los canales")[1:] == whole
    mail = ["", "30\xa0s", "30\xa0s", f"28{few}", "", "40\xa0s", "40\xa0s", f"28{few}", "", "–", "–", "–"]
    assert ["Correo", *mail] in seen.rows
    assert "La mitad recibe el acuse en 2,0\xa0s o menos; 95 de cada 100, en 30\xa0s o menos." in seen.words


async def test_I25_what_is_open_overdue_and_flagged_and_who_calls_it_solved(house: World, enter: Enter) -> None:
    seen = await see(enter(house))
    assert seen.row("Casos abiertos") == ["Casos abiertos", "80", "100,0\xa0%"]
    assert seen.row("De ellos, vencidos") == ["De ellos, vencidos", "7", "8,8\xa0%"]
    assert seen.row("Conversaciones marcadas")[1] == "2"
    assert seen.row("El cliente") == ["El cliente", "7", "33,3\xa0%"]
    assert seen.row("Solo un agente") == ["Solo un agente", "14", "66,7\xa0%"]


async def test_nothing_counted_is_zero_nothing_measured_is_a_dash_and_neither_is_a_fault(
    database_url: str, clock: Callable[[], Any], tmp_path: Path
) -> None:
    async with a_world(database_url, clock, tmp_path / "files") as world:
        client = a_client(a_site(world, Bell(database_url)))
        client.cookies.set("acuse_desk", await _session(world, "manager", "es"))
        seen = await see(client)
    assert seen.row("Telegram") == ["Telegram", "0", "0", "–", "–"]
    assert seen.row("Todos los canales") == ["Todos los canales", *["", "–", "–", "–"] * 3]
    assert seen.row("El cliente") == ["El cliente", "0", "–"]
    for words in ("Nadie escribió", "No se abrió ningún caso", "No hubo nada que medir", "No hay casos abiertos"):
        assert words in seen.words
    assert [href for text, href in seen.links if text in ("–", "0")] == []


async def test_each_number_opens_a_list_of_exactly_so_many(house: World, enter: Enter) -> None:
    client = enter(house)
    links: dict[str, str] = {}
    for counted in ("cases", "messages"):
        links |= {href: text for text, href in (await see(client, f"{PAGE}&counted={counted}")).links}
    assert len(links) > 100
    for href, text in links.items():
        if href == "/desk?view=flagged":
            continue  # the queue's own view, by the same condition
        assert href.startswith("/desk/figures/list?")
        assert await length(client, href) == int(text.replace(".", "")), href


async def length(client: httpx.AsyncClient, address: str | None) -> int:
    """The rows of a list, through all its pages."""
    count = 0
    while address:
        html = (await client.get(address)).text
        count += len(re.findall(r"<tr><th scope=\"row\">", html))
        more = re.search(r"class=\"next\"><a class=\"btn\" href=\"([^\"]+)\"", html)
        address = more[1].replace("&amp;", "&") if more else None
    return count


async def test_a_list_says_what_it_holds_and_opens_conversations(house: World, enter: Enter) -> None:
    client = enter(house)
    seen = await see(client, f"/desk/figures/list?counted=cases&type=reclamo&severity=critical&{QUERY}")
    assert "7 casos" in seen.words
    assert seen.rows[0] == ["Código", "Persona", "Tipo", "Gravedad", "Canal", "Estado", "Abierto", "Vence"]
    assert seen.rows[1][2:7] == ["Reclamo", "Crítica", "Chat web", "Cerrado", "1 mar, 10:00"]
    assert all(re.fullmatch(r"/desk/c/[0-9a-f-]{36}\?view=all", href) for _, href in seen.links)
    longest = await see(client, f"/desk/figures/list?counted=answer&{QUERY}")
    assert longest.rows[1][:3] == ["40\xa0s", "Ana Pérez", "Correo"]


@pytest.mark.parametrize(
    "address", ["/desk/figures", "/desk/figures/list", "/desk/figures/mix.csv", "/desk/figures/mix.json"]
)
async def test_agents_see_no_figures_and_strangers_log_in_first(house: World, enter: Enter, address: str) -> None:
    client = enter(house, "agent-es")
    refused = await client.get(address, headers={"accept": "text/html"})
    assert refused.status_code == 403
    assert "77" not in refused.text
    client.cookies.clear()
    assert (await client.get(address)).headers["location"].startswith("/desk/login")


async def test_a_broken_address_shows_the_usual_days(house: World, enter: Enter) -> None:
    client = enter(house, "admin-es")
    for address in ("?from=yesterday&to=2026-99-99&counted=lies", "?from=&to="):
        seen = await see(client, f"/desk/figures{address}")
        assert seen.row("lunes 2 de marzo")[0]  # today is the last of fourteen
    turned = await see(client, f"/desk/figures?from={LAST}&to={FIRST}")
    assert turned.row("Total")[1] == "77"
    assert (await client.get("/desk/figures/lies.csv")).status_code == 404
    assert (await client.get(f"/desk/figures/list?{QUERY}&before=lies|lies")).status_code == 200


@pytest.mark.parametrize(("language", "mark", "first"), [("es", ";", "Día"), ("pt", ";", "Dia"), ("en", ",", "Day")])
async def test_csv_opens_right_in_a_spreadsheet(
    house: World, enter: Enter, language: str, mark: str, first: str
) -> None:
    client = enter(house, f"manager-{language}")
    answer = await client.get(f"/desk/figures/mix.csv?{QUERY}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="acuse-mix-{FIRST}-{LAST}.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbf")
    table = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=mark))
    assert table[0][0] == first
    known = len(house.parts.kinds)
    assert len(table) == 1 + 14 * known
    telegram = [row for row in table if row[1] == "Telegram"]
    assert (sum(int(row[2]) for row in telegram), sum(int(row[3]) for row in telegram)) == (86, 42)


async def test_csv_of_types_and_waits(house: World, enter: Enter) -> None:
    client = enter(house)
    types = (await client.get(f"/desk/figures/types.csv?{QUERY}")).content.decode("utf-8-sig").splitlines()
    assert types[0] == "Tipo;Gravedad;Casos"
    assert "Reclamo;Crítica;7" in types
    waits = (await client.get(f"/desk/figures/waits.csv?{QUERY}")).content.decode("utf-8-sig").splitlines()
    assert waits[0] == "Espera;Canal;n;Mediana (s);P95 (s)"
    assert waits[1] == "El acuse;Todos;77;2,000;30,000"


def test_csv_runs_nothing() -> None:
    assert as_csv([["=1+1", "-2", -2, 1.5, None]], "es") == b"\xef\xbb\xbf'=1+1;'-2;-2;1,500;\r\n"


async def test_the_page_takes_at_most_eight_queries(house: World, enter: Enter) -> None:
    client = enter(house)
    said: list[str] = []

    def count(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement)

    engine = house.parts.database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    await see(client)
    event.remove(engine, "before_cursor_execute", count)
    assert 4 < len(said) <= 8


async def test_the_chart_holds_the_numbers_of_the_table(house: World, enter: Enter) -> None:
    client = enter(house)
    spec = (await client.get(f"/desk/figures/mix.json?{QUERY}")).json()
    bars = spec["datasets"]["bars"]
    assert sum(bar["n"] for bar in bars) == 77
    assert {bar["kind"] for bar in bars if bar["n"]} == {"telegram", "email", "webchat"}
    assert spec["datasets"]["peak"] == [{"day": "2026-02-17", "n": 6, "text": "17 feb: 6"}]
    assert {param["name"]: param["value"] for param in spec["params"]} == {"top": 8, "gap": 1}
    one = next(bar for bar in bars if bar["n"] == 3)
    assert await length(client, one["href"]) == 3
    for scheme, colour in (("light", "#474a51"), ("dark", "#8b8e98")):
        answer = await client.get(f"/desk/figures/mix.svg?{QUERY}&scheme={scheme}")
        assert answer.headers["content-type"] == "image/svg+xml"
        assert colour in answer.text
        assert "var(" not in answer.text


async def test_I28_two_accounts_of_a_kind_stand_apart_and_a_removed_one_stays() -> None:
    words = Dictionary()["es"]
    kinds = {"ventas": "email", "soporte": "email", "webchat": "webchat"}
    assert all_series(kinds, ["webchat", "telegram"], words) == [
        Series("soporte", "email", "Correo (soporte)"),
        Series("ventas", "email", "Correo (ventas)"),
        Series("webchat", "webchat", "Chat web"),
        Series("telegram", "telegram", "Telegram"),
    ]


async def test_the_previous_period_and_a_day_of_23_hours(
    database_url: str, clock: Callable[[], Any], tmp_path: Path
) -> None:
    madrid = Company(**(NUBE.model_dump() | {"country": "ES", "timezone": "Europe/Madrid", "emergency_number": "112"}))
    async with a_world(database_url, clock, tmp_path / "files", company=madrid) as world:
        figures = Figures(world.parts)
        day = figures.period(date(2026, 3, 29), date(2026, 3, 29))
        start, end = figures.bounds(day)
        assert end.timestamp() - start.timestamp() == timedelta(hours=23).total_seconds()
        assert figures.period(date(2026, 3, 1), date(2026, 3, 14)).before().first == date(2026, 2, 15)
        assert len(figures.period(date(2020, 1, 1), date(2026, 3, 1)).days()) == 366


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0,0 s"), (9.94, "9,9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1:00 min"), (144, "2:24 min"),
     (3599.7, "1:00 h"), (11_100, "3:05 h"), (47.9 * 3600, "47:54 h"), (60 * 3600, "2,5 días"), (None, "–")],
)  # fmt: skip
def test_waits_in_words(seconds: float | None, said: str) -> None:
    assert Numbers("es").wait(seconds).replace("\xa0", " ") == said


def test_numbers_in_words() -> None:
    es, en = Numbers("es"), Numbers("en")
    assert (es.count(1284), en.count(1284)) == ("1.284", "1,284")
    assert (es.share(438, 1000), en.share(438, 1000), es.share(0, 0)) == ("43,8\xa0%", "43.8%", "–")
    assert (es.growth(94, 100), es.growth(100, 100), es.growth(3, 0)) == ("−6,0\xa0%", "0,0\xa0%", "–")
    assert (es.points(0.031), es.points(-0.0001), es.points(None)) == ("+3,1", "0,0", "–")
    assert (place(0.2), place(86_400), place(1e9)) == (12, 148, 148)


class Pile:
    """A board of one day, for the drawing alone."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = {f"a{n}": number for n, number in enumerate(numbers)}
        self.period = type("P", (), {"days": lambda self: [FIRST]})()

    def used(self) -> list[Series]:
        return [Series(name, "email", name) for name in self._numbers]

    def number(self, day: Any, account: str) -> int:
        return self._numbers[account]

    def on(self, day: Any) -> int:
        return sum(self._numbers.values())


@pytest.mark.parametrize("numbers", [(1, 1, 1, 1, 1, 95), (0, 0, 0, 0, 0, 0), (95, 1, 1, 1, 1, 1), (3,), (9, 0, 9)])
def test_names_beside_the_columns_never_lie_on_each_other_nor_outside(numbers: tuple[int, ...]) -> None:
    pile: Any = Pile(*numbers)
    board: Board = pile
    top = axis_top(board)
    assert top >= max(4, sum(numbers))
    at = [row["at"] for row in names(board, FIRST, top)]
    assert all(0 <= one <= top for one in at)
    assert all(b - a > top * 0.085 for a, b in pairwise(at))


@pytest.mark.parametrize("language", ["en", "pt"])
def test_every_word_exists_in_every_language_with_the_same_blanks(language: str) -> None:
    spanish, other = (yaml.safe_load((FOLDER / f"{one}.yaml").read_text()) for one in ("es", language))
    assert list(other) == list(spanish)
    for key, text in spanish.items():
        if not key.endswith("_one"):
            assert set(re.findall(r"\{\w+\}", other[key])) == set(re.findall(r"\{\w+\}", text)), key


@pytest.mark.parametrize("language", ["en", "pt"])
async def test_the_page_speaks_its_readers_language(house: World, enter: Enter, language: str) -> None:
    seen = await see(enter(house, f"manager-{language}"))
    assert ("Figures" if language == "en" else "Indicadores") in seen.words
    assert ("54.5%" if language == "en" else "54,5%") in seen.words
    await see(enter(house, f"manager-{language}"), f"/desk/figures/list?counted=ack&{QUERY}")
