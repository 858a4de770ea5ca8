"""The manager's page: how much comes, where, of what kind, how long people wait; each number opens its list."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from bot.figures import CasesCounted, Figures, Period
from console.desk.board import SCALE, Board, all_series, place
from console.desk.drawings import Drawings, NotDrawn
from console.desk.findings import Findings
from console.desk.gate import Gate, Visit
from console.desk.mix import as_csv, datasets, mix_table, types_table, understood_table, values, waits_table
from console.desk.numbers import Numbers
from console.desk.pages import Pages
from console.desk.surveys import surveys_table
from console.desk.words import Dictionary, Words
from console.site import Site

PRESETS = (7, 14, 30, 90)
COUNTED = ("cases", "messages")
WORDS = Path(__file__).parent / "words" / "figures"


@dataclass(frozen=True)
class Reader:
    """Who reads, in their language, and what of which days."""

    visit: Visit
    words: Words
    numbers: Numbers
    period: Period
    counted: str

    def query(self, **other: str) -> dict[str, str]:
        """This page's address."""
        own = {"from": self.period.first.isoformat(), "to": self.period.last.isoformat(), "counted": self.counted}
        return own | other


class FiguresPages:
    """The handlers, with what they share."""

    def __init__(self, site: Site, pages: Pages) -> None:
        self._parts = site.parts
        self._pages = pages
        self._figures = Figures(site.parts)
        self._words = Dictionary(WORDS)
        self._drawings = Drawings()
        self._library = version("vl-convert-python")  # in the library's address: browsers keep it for a year

    def reader(self, request: Request, visit: Visit) -> Reader:
        """Read the address; a broken date is as if none were given."""
        asked = request.query_params
        counted = asked.get("counted", "")
        return Reader(
            visit=visit,
            words=self._words[visit.me.language],
            numbers=Numbers(visit.me.language),
            period=self._figures.period(_day(asked.get("from")), _day(asked.get("to"))),
            counted=counted if counted in COUNTED else COUNTED[0],
        )

    async def board(self, reader: Reader) -> Board:
        """The numbers. Five queries."""
        overview = await self._figures.overview(reader.period)
        seen = {one.account for one in (*overview.mix, *overview.mix_before)} | {
            one.account for one in overview.waits if one.account is not None
        }
        series = all_series(self._parts.kinds, seen, reader.visit.words)
        return Board(overview, series, reader.counted, reader.numbers)

    async def page(self, reader: Reader) -> Response:
        """The page itself; charts come after it."""
        board = await self.board(reader)
        tell = self._pages.tell(reader.visit.me.language)
        html = self._pages.render(
            "desk/figures.html",
            reader.visit,
            f=reader.words,
            n=reader.numbers,
            reader=reader,
            board=board,
            findings=Findings(board, reader.words, reader.numbers, tell),
            counts=await reader.visit.rooms.counts(),
            presets=[(days, self._figures.period(last=self._parts.today(), days=days)) for days in PRESETS],
            marks=[(name, place(seconds)) for name, seconds in SCALE],
            library=self._library,
        )
        return HTMLResponse(html)

    async def spec(self, reader: Reader) -> dict[str, Any]:
        """The chart's specification with its numbers. Raises NotDrawn."""
        board = await self.board(reader)
        tell = self._pages.tell(reader.visit.me.language)
        peak = Findings(board, reader.words, reader.numbers, tell).peak()
        rows = datasets(board, reader.words, reader.numbers, tell, peak)
        return await self._drawings.mix(reader.visit.me.language, rows, values(board))

    async def picture(self, reader: Reader, scheme: str) -> Response:
        """The chart for a page without script."""
        drawn = await self._drawings.svg(await self.spec(reader), scheme)
        return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": "private, no-cache"})

    async def library(self, request: Request) -> Response:
        """What draws the chart in the browser."""
        packed = await self._drawings.library()
        headers = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            packed = await asyncio.to_thread(gzip.decompress, packed)
        return Response(packed, media_type="text/javascript", headers=headers)

    async def table(self, reader: Reader, name: str) -> Response:
        """One table for another program."""
        board = await self.board(reader)
        match name:
            case "mix":
                rows = mix_table(board, board.mix, reader.words)
            case "types":
                rows = types_table(board, reader.words, reader.visit.words)
            case "waits":
                rows = waits_table(board, reader.words)
            case "understood":
                rows = understood_table(board, reader.words)
            case "surveys":
                rows = surveys_table(board, reader.words)
            case _:
                raise HTTPException(404)
        file = f"acuse-{name}-{reader.period.first}-{reader.period.last}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{file}"'}
        return Response(as_csv(rows, reader.visit.me.language), media_type="text/csv; charset=utf-8", headers=headers)

    async def list(self, reader: Reader, asked: Mapping[str, str]) -> Response:
        """What a number counted. counted: cases | messages | ack | answer | human."""
        kind, account, before = asked.get("counted", "cases"), asked.get("account") or None, asked.get("before")
        found: Any
        if kind == "messages":
            found = await self._figures.messages(reader.period, account, before)
        elif kind in ("ack", "answer", "human"):
            found = await self._figures.waits(kind, reader.period, account, before)
        else:
            kind, found = "cases", await self._figures.cases(self._wanted(reader, asked), before)
        names = {
            one.account: one
            for one in all_series(self._parts.kinds, (r.account for r in found.rows), reader.visit.words)
        }
        now = asked.get("open") == "1"
        html = self._pages.render(
            "desk/figures_list.html",
            reader.visit,
            f=reader.words,
            n=reader.numbers,
            reader=reader,
            kind=kind,
            found=found,
            series=names,
            asked={name: value for name, value in asked.items() if name != "before"},
            now=now,
            counts=await reader.visit.rooms.counts(),
        )
        return HTMLResponse(html)

    def _wanted(self, reader: Reader, asked: Mapping[str, str]) -> CasesCounted:
        """Open and overdue cases are those of now; solved ones are counted by their day, others by their opening."""
        now, solved_by, survey = asked.get("open") == "1", asked.get("solved_by") or None, asked.get("survey") or None
        days = self._figures.bounds(reader.period)
        return CasesCounted(
            account=asked.get("account") or None,
            type=asked.get("type") or None,
            severity=asked.get("severity") or None,
            status=asked.get("status") or None,
            opened=None if now or solved_by or survey else days,
            solved=days if solved_by else None,
            solved_by=None if solved_by == "any" else solved_by,
            open=now,
            due_before=self._parts.today() if asked.get("overdue") == "1" else None,
            survey=survey,
            surveyed=days,
        )


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """/desk/figures and what it draws, lists and gives out."""
    own = FiguresPages(site, pages)

    async def drawn(draw: Callable[[], Awaitable[Response]]) -> Response:
        try:
            return await draw()
        except NotDrawn as fault:
            raise HTTPException(503) from fault

    @routes.get("/figures")
    async def page(request: Request, visit: Visit = Depends(gate.manager)) -> Response:
        return await own.page(own.reader(request, visit))

    @routes.get("/figures/list")
    async def listed(request: Request, visit: Visit = Depends(gate.manager)) -> Response:
        return await own.list(own.reader(request, visit), request.query_params)

    @routes.get("/figures/{name}.csv")
    async def table(request: Request, name: str, visit: Visit = Depends(gate.manager)) -> Response:
        return await own.table(own.reader(request, visit), name)

    @routes.get("/figures/mix.json")
    async def spec(request: Request, visit: Visit = Depends(gate.manager)) -> Response:
        reader = own.reader(request, visit)

        async def draw() -> Response:
            return JSONResponse(await own.spec(reader), headers={"Cache-Control": "no-store"})

        return await drawn(draw)

    @routes.get("/figures/mix.svg")
    async def picture(request: Request, visit: Visit = Depends(gate.manager)) -> Response:
        scheme = request.query_params.get("scheme", "light")
        return await drawn(lambda: own.picture(own.reader(request, visit), scheme))

    @routes.get("/figures/vega.js")
    async def library(request: Request, visit: Visit = Depends(gate.manager)) -> Response:
        return await drawn(lambda: own.library(request))


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None
