"""The queue, the search, and what did not arrive."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from bot.case_proof import CaseProofs, as_text, embedded
from console.desk.gate import Gate, Visit
from console.desk.listing import listing, wanted
from console.desk.pages import Pages
from console.site import Site

PALETTE_ROWS = 8


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """/desk, /desk/more, /desk/palette, /desk/failed, /desk/proof, /desk/proof/case."""

    @routes.get("")
    async def queue(request: Request, visit: Visit = Depends(gate)) -> Response:
        shown = await listing(visit.rooms, wanted(request))
        return HTMLResponse(pages.render("desk/queue.html", visit, current=None, **shown.frame))

    @routes.get("/more")
    async def more(request: Request, visit: Visit = Depends(gate)) -> Response:
        shown = await listing(visit.rooms, wanted(request))
        return HTMLResponse(pages.render("desk/more.html", visit, current=None, **shown.frame))

    @routes.get("/palette")
    async def palette(q: str = "", visit: Visit = Depends(gate)) -> Response:
        lines = await visit.rooms.search(q[:200]) if q.strip() else []
        return HTMLResponse(pages.render("desk/found.html", visit, lines=lines[:PALETTE_ROWS], q=q))

    @routes.get("/failed")
    async def failed(visit: Visit = Depends(gate)) -> Response:
        rows = await visit.rooms.undelivered()
        counts = await visit.rooms.counts()
        return HTMLResponse(
            pages.render(
                "desk/failed.html", visit, rows=rows, counts=counts, view="failed", ways=visit.corrections.accounts()
            )
        )

    @routes.get("/proof/{outgoing_id}")
    async def proof(
        outgoing_id: UUID, form: Literal["page", "json"] = "page", visit: Visit = Depends(gate)
    ) -> Response:
        found = await visit.rooms.proof(outgoing_id)
        if found is None:
            raise HTTPException(404)
        if form == "json":
            name = f'attachment; filename="proof-{outgoing_id}.json"'
            return JSONResponse(found.as_json(), headers={"Content-Disposition": name})
        counts = await visit.rooms.counts()
        return HTMLResponse(pages.render("desk/proof.html", visit, proof=found, counts=counts, view="failed"))

    @routes.get("/proof/case/{code}")
    async def case_proof(code: str, form: Literal["page", "json"] = "page", visit: Visit = Depends(gate)) -> Response:
        document = await CaseProofs(site.parts).of(code, actor=f"agent:{visit.me.id}")
        if document is None:
            raise HTTPException(404)
        named = visit.words("case_proof_file", code=document["content"]["case"]["code"])
        headers = {"Cache-Control": "private, no-store"}
        if form == "json":
            headers["Content-Disposition"] = f'attachment; filename="{named}.json"'
            return Response(as_text(document), media_type="application/json", headers=headers)
        headers["Content-Disposition"] = f'attachment; filename="{named}.html"'

        def at(told: str) -> str:
            return f"{datetime.fromisoformat(told).astimezone(site.parts.timezone):%Y-%m-%d %H:%M:%S %z}"

        page = pages.render("desk/case_proof.html", visit, doc=document, data=embedded(document), at=at)
        return HTMLResponse(page, headers=headers)
