"""Files as downloads, and the original of a mail where it can do no harm."""

import asyncio
import email
import email.policy
import html
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, Response

from console.desk.gate import Gate, Visit
from console.desk.pages import Pages
from console.site import Site

# nothing runs, nothing is fetched, nothing is sent, and no link leads away: only letters and their styles
SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
FRAMED = f"{SANDBOX}; frame-ancestors 'self'"


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """/desk/files/<id>, /desk/mail/<id>."""

    @routes.get("/files/{attachment_id}")
    async def file(attachment_id: UUID, visit: Visit = Depends(gate)) -> Response:
        found = await visit.rooms.file(attachment_id)
        if found is None or not await asyncio.to_thread(Path(found[1]).exists):
            raise HTTPException(404)
        view, path = found
        # never its own type: a browser that believed it could run what a stranger sent
        return FileResponse(
            path,
            media_type="application/octet-stream",
            filename=view.name,
            content_disposition_type="attachment",
            headers={"Content-Security-Policy": SANDBOX, "Cache-Control": "private, no-store"},
        )

    @routes.get("/mail/{message_id}")
    async def original(message_id: UUID, visit: Visit = Depends(gate)) -> Response:
        path = await visit.rooms.original(message_id)
        if path is None or not await asyncio.to_thread(Path(path).exists):
            raise HTTPException(404)
        raw = await asyncio.to_thread(Path(path).read_bytes)
        page = await asyncio.to_thread(shown, raw)
        return HTMLResponse(page, headers={"Content-Security-Policy": FRAMED, "Cache-Control": "private, no-store"})


def shown(raw: bytes) -> str:
    """A mail's body as it was written: its HTML, else its text. For a sandbox only."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    try:
        part = message.get_body(("html", "plain"))
        text = str(part.get_content()) if part is not None else ""
    except (LookupError, KeyError, ValueError, AttributeError):  # charsets and structures that do not exist
        return f"<pre>{html.escape(raw.decode('utf-8', 'replace'))}</pre>"
    if part is not None and part.get_content_subtype() == "html":
        return text
    return f'<!doctype html><meta charset="utf-8"><pre style="white-space:pre-wrap">{html.escape(text)}</pre>'
