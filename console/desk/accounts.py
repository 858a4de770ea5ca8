"""The accounts that we write from: what passes through each, how it is, pause and resume. For managers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from console.desk.gate import PATH, Gate, Visit
from console.desk.pages import Pages
from console.site import Site

HOME = f"{PATH}/accounts"


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """/desk/accounts and what is done with one of them."""

    @routes.get("/accounts")
    async def page(visit: Visit = Depends(gate.manager)) -> Response:
        found, counts = await visit.accounts.all(), await visit.rooms.counts()
        return HTMLResponse(pages.render("desk/accounts.html", visit, accounts=found, counts=counts, view="accounts"))

    @routes.get("/accounts/{account}/health")
    async def health(account: str, visit: Visit = Depends(gate.manager)) -> Response:
        found = await visit.accounts.health(account)
        if found is None:
            raise HTTPException(404)
        return HTMLResponse(pages.render("desk/account_health.html", visit, health=found))

    @routes.post("/accounts/{account}/pause")
    async def pause(account: str, why: Annotated[str, Form()] = "", visit: Visit = Depends(gate.manager)) -> Response:
        await visit.accounts.pause(visit.me, account, why)
        return RedirectResponse(HOME, status_code=303)

    @routes.post("/accounts/{account}/resume")
    async def resume(account: str, visit: Visit = Depends(gate.manager)) -> Response:
        await visit.accounts.resume(visit.me, account)
        return RedirectResponse(HOME, status_code=303)

    @routes.post("/accounts/{account}/mended")
    async def mended(account: str, visit: Visit = Depends(gate.manager)) -> Response:
        await visit.accounts.mended(visit.me, account)
        return RedirectResponse(HOME, status_code=303)
