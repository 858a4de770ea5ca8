"""Cases that are one matter and people who are one person: how an agent merges the first, and parts both again."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from bot.joins import part
from bot.merging import Merging
from bot.refusals import NoSuchConversation
from console.desk.acts import Done
from console.desk.gate import PATH, Gate, Visit
from console.desk.pages import Pages
from console.site import Site

Text = Annotated[str, Form()]


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """Below /desk/c/<id>."""
    done = Done(pages)

    @routes.post("/c/{conversation_id}/merge")
    async def merge(
        conversation_id: UUID,
        request: Request,
        code: Text = "",
        into: Text = "",
        reason: Text = "",
        visit: Visit = Depends(gate),
    ) -> Response:
        goes_on = await Merging(site.parts, visit.me).merge(code, into, reason, here=conversation_id)
        if goes_on == conversation_id:
            return await done(request, visit, conversation_id, event="moved", key="toast_merged")
        place = f"{PATH}/c/{goes_on}"
        if visit.htmx:
            return Response(status_code=204, headers={"HX-Redirect": place})
        return RedirectResponse(place, status_code=303)

    @routes.post("/c/{conversation_id}/unmerge")
    async def unmerge(
        conversation_id: UUID, request: Request, merge: Text = "", visit: Visit = Depends(gate)
    ) -> Response:
        await Merging(site.parts, visit.me).undo(_id(merge))
        return await done(request, visit, conversation_id, event="moved", key="toast_parted")

    @routes.post("/c/{conversation_id}/unjoin")
    async def unjoin(
        conversation_id: UUID, request: Request, join: Text = "", visit: Visit = Depends(gate.manager)
    ) -> Response:
        await part(site.parts, visit.me, _id(join))
        return await done(request, visit, conversation_id, event="moved", key="toast_unjoined")


def _id(typed: str) -> UUID:
    try:
        return UUID(typed)
    except ValueError:
        raise NoSuchConversation("there is no such thing") from None
