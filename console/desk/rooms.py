"""A conversation beside its list, and what keeps both fresh."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from bot.refusals import NoSuchConversation
from bot.views import Room
from console.desk.gate import Gate, Visit
from console.desk.listing import listing, waiting, wanted
from console.desk.pages import Pages
from console.desk.timeline import blocks
from console.site import Site


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """/desk/c/<id> and /desk/live."""

    @routes.get("/c/{conversation_id}")
    async def page(conversation_id: UUID, request: Request, visit: Visit = Depends(gate)) -> Response:
        room = await visit.rooms.room(conversation_id)
        shown = await listing(visit.rooms, wanted(request))
        told = about(pages, visit, room)
        return HTMLResponse(pages.render("desk/room.html", visit, current=conversation_id, **shown.frame, **told))

    @routes.get("/live")
    async def live(request: Request, c: UUID | None = None, visit: Visit = Depends(gate)) -> Response:
        shown = await listing(visit.rooms, wanted(request))
        flags = await waiting(visit.rooms, shown)
        told: dict[str, Any] = {"room": None}
        if c is not None:
            try:
                told = about(pages, visit, await visit.rooms.room(c))
            except NoSuchConversation:
                c = None
        frame = shown.frame
        if page := request.query_params.get("page"):  # a page without a list keeps its own place in the rail
            frame |= {"view": page}
        fresh = pages.render("desk/live.html", visit, flags=flags, current=c, page=page, **frame, **told)
        return HTMLResponse(fresh)


def about(pages: Pages, visit: Visit, room: Room) -> dict[str, Any]:
    """Everything that the parts of a conversation show."""
    parts = pages.site.parts
    line, case = room.line, room.case
    first_name = (line.name or "").split(" ")[0] or None
    return {
        "room": room,
        "reply_key": pages.site.token(),
        "line": line,
        "case": case,
        "blocks": blocks(room.entries, pages.tell(visit.me.language)),
        "features": parts.features(line.account),
        "asks": {slot: asking(pages, slot, room.language) for slot in (case.missing if case else ())},
        "macros": pages.macros.all(
            agent_language=visit.me.language,
            language=room.language,
            treatment=parts.treatment(),
            blanks={
                "name": first_name,
                "code": line.code,
                "company": parts.company.name,
                "agent": visit.me.name,
            },
        ),
    }


def asking(pages: Pages, slot: str, language: str) -> str:
    """The question for a missing fact, as the bot would ask it; empty when it has none."""
    parts = pages.site.parts
    name = f"ask_{slot}"
    return parts.catalogue.line(name, language, parts.treatment()) if name in parts.catalogue.names(language) else ""
