"""What an agent does with the case: state, type, severity, who works on it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from bot.refusals import NotPossible
from console.desk.acts import Done
from console.desk.gate import Gate, Visit
from console.desk.pages import Pages
from console.desk.signs import TYPES
from console.site import Site

Text = Annotated[str, Form()]


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """Below /desk/c/<id>."""
    done = Done(pages)

    @routes.post("/c/{conversation_id}/move")
    async def move(
        conversation_id: UUID, request: Request, to: Text = "", note: Text = "", visit: Visit = Depends(gate)
    ) -> Response:
        await visit.desk.move(conversation_id, to, note.strip() or None)
        return await done(request, visit, conversation_id, event="moved", key="toast_moved")

    @routes.post("/c/{conversation_id}/classify")
    async def classify(
        conversation_id: UUID, request: Request, type: Text = "", visit: Visit = Depends(gate)
    ) -> Response:
        if type not in TYPES:
            raise NotPossible("choose one of the types")
        await visit.desk.classify(conversation_id, type)
        return await done(request, visit, conversation_id, key="toast_classified")

    @routes.post("/c/{conversation_id}/grade")
    async def grade(
        conversation_id: UUID, request: Request, severity: Text = "", visit: Visit = Depends(gate)
    ) -> Response:
        await visit.desk.grade(conversation_id, severity)
        return await done(request, visit, conversation_id, key="toast_graded")

    @routes.post("/c/{conversation_id}/survey")
    async def survey(conversation_id: UUID, request: Request, visit: Visit = Depends(gate)) -> Response:
        await visit.desk.approve_survey(conversation_id)
        return await done(request, visit, conversation_id, key="toast_survey")

    @routes.post("/c/{conversation_id}/assign")
    async def assign(
        conversation_id: UUID, request: Request, agent: Text = "", visit: Visit = Depends(gate)
    ) -> Response:
        try:
            colleague = UUID(agent)
        except ValueError:
            raise NotPossible("choose an agent who works here") from None
        await visit.desk.assign(conversation_id, colleague)
        return await done(request, visit, conversation_id, key="toast_assigned")
