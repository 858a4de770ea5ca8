"""What an agent does in a conversation: take it, write, note, give it back."""

import json
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from bot.desk import Upload
from bot.refusals import TooBig
from console.desk.gate import PATH, Gate, Visit
from console.desk.listing import listing, wanted
from console.desk.pages import Pages
from console.desk.rooms import about
from console.site import Site

Text = Annotated[str, Form()]
MOST_FILES = 10


class Done:
    """The answer after an act: fresh parts for htmx, the page otherwise."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def __call__(
        self, request: Request, visit: Visit, conversation_id: UUID, *, event: str | None = None, **toast: object
    ) -> Response:
        """Show the conversation as it is now. `event` tells the page's script; `toast` fills the toast's line."""
        if not visit.htmx:
            return RedirectResponse(f"{PATH}/c/{conversation_id}", status_code=303)
        room = await visit.rooms.room(conversation_id)
        shown = await listing(visit.rooms, wanted(request))
        page = self._pages.render(
            "desk/done.html",
            visit,
            current=conversation_id,
            toast=toast,
            page=None,
            **shown.frame,
            **about(self._pages, visit, room),
        )
        return HTMLResponse(page, headers={"HX-Trigger-After-Swap": json.dumps({event: True})} if event else {})


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """Below /desk/c/<id>, and what is done with one message of ours."""
    done = Done(pages)
    add_corrections(routes, pages, gate)

    @routes.post("/c/{conversation_id}/take")
    async def take(
        conversation_id: UUID, request: Request, over: bool = False, visit: Visit = Depends(gate)
    ) -> Response:
        await visit.desk.take(conversation_id, over=over)
        return await done(request, visit, conversation_id, event="taken")

    @routes.post("/c/{conversation_id}/back")
    async def give_back(conversation_id: UUID, request: Request, visit: Visit = Depends(gate)) -> Response:
        await visit.desk.give_back(conversation_id)
        return await done(request, visit, conversation_id, event="given", key="toast_given_back")

    @routes.post("/c/{conversation_id}/reply")
    async def reply(
        conversation_id: UUID,
        request: Request,
        text: Text = "",
        key: Text = "",
        files: Annotated[Sequence[UploadFile], File()] = (),
        visit: Visit = Depends(gate),
    ) -> Response:
        uploads = await read(files, site.parts.policy.attachment_limit)
        sent = await visit.desk.reply(conversation_id, text, key=key or site.token(), files=uploads)
        return await done(request, visit, conversation_id, event="sent", key="toast_sent", undo=sent)

    @routes.post("/c/{conversation_id}/note")
    async def note(conversation_id: UUID, request: Request, text: Text = "", visit: Visit = Depends(gate)) -> Response:
        await visit.desk.note(conversation_id, text)
        return await done(request, visit, conversation_id, event="noted")

    @routes.post("/c/{conversation_id}/draft")
    async def draft(
        conversation_id: UUID, mode: Text = "reply", text: Text = "", visit: Visit = Depends(gate)
    ) -> Response:
        await visit.desk.save_draft(conversation_id, "note" if mode == "note" else "reply", text)
        return Response(status_code=204)

    @routes.post("/sent/{outgoing_id}/undo")
    async def undo(outgoing_id: UUID, visit: Visit = Depends(gate)) -> Response:
        text = await visit.desk.undo(outgoing_id)
        page = pages.render("desk/toast.html", visit, toast={"key": "toast_undone"})
        return HTMLResponse(page, headers={"HX-Trigger": json.dumps({"putback": {"text": text}, "stale": True})})

    @routes.post("/sent/{outgoing_id}/resend")
    async def resend(outgoing_id: UUID, visit: Visit = Depends(gate)) -> Response:
        await visit.desk.resend(outgoing_id)
        if not visit.htmx:
            return RedirectResponse(f"{PATH}/failed", status_code=303)
        page = pages.render("desk/toast.html", visit, toast={"key": "toast_resent"})
        return HTMLResponse(
            page, headers={"HX-Trigger-After-Swap": json.dumps({"stale": True, "resent": str(outgoing_id)})}
        )


def add_corrections(routes: APIRouter, pages: Pages, gate: Gate) -> None:
    """Below /desk/sent/<id>: the same to another address."""

    @routes.post("/sent/{outgoing_id}/correct")
    async def correct(
        outgoing_id: UUID, account: Text = "", address: Text = "", visit: Visit = Depends(gate)
    ) -> Response:
        sent = await visit.corrections.resend_to(visit.me, outgoing_id, account, address)
        if not visit.htmx:
            return RedirectResponse(f"{PATH}/proof/{sent}", status_code=303)
        page = pages.render("desk/toast.html", visit, toast={"key": "toast_readdressed"})
        return HTMLResponse(
            page, headers={"HX-Trigger-After-Swap": json.dumps({"stale": True, "resent": str(outgoing_id)})}
        )


async def read(files: Sequence[UploadFile], limit: int) -> list[Upload]:
    """The files of a form; an empty field is no file. Raises TooBig before a large one is read whole."""
    if len(files) > MOST_FILES:
        raise TooBig(f"at most {MOST_FILES} files at once")
    found = []
    for file in files:
        if file.size is not None and file.size > limit:
            raise TooBig(file.filename or "file")
        content = await file.read()
        if content or file.filename:
            found.append(Upload(file.filename or "file", content))
    return found
