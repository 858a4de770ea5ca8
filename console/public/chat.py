"""The chat page and what its script asks for. The same page works as a plain form without a script."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from bot.chat import Chat, Malformed, embedding
from console.pages import Pages
from console.public.bubbles import SHOWABLE
from console.public.chat_page import ChatPage
from console.public.embed import embedded, let_in, loopback, script
from console.public.pace import Pace
from console.public.said import FILES, Refused, Said, keep, read
from console.public.stream import stream
from console.public.visitor import address_of, remember, token_of
from console.security import FILE_POLICY, client_address, same_origin, visitor
from console.site import Site

STREAMS = 12  # open at once for one visitor: so many tabs
PER_MINUTE = 120  # messages from one address
OWN_SCRIPT = "x-acuse"  # a header that another site's script cannot send without being asked about it first


class ChatRoutes:
    """Everything below /chat."""

    def __init__(self, site: Site, pages: Pages, account: str) -> None:
        self._site = site
        self._page = ChatPage(site, pages, account)
        self._origins = embedding(site.parts, account).origins
        self._account = account
        self._pace = Pace(site.parts.now, at_most=PER_MINUTE, within=timedelta(minutes=1))
        self._open: dict[str, int] = {}

    def routes(self) -> APIRouter:
        """The routes."""
        routes = APIRouter(prefix="/chat")
        for path, method, verb in (
            ("", "GET", self.page),
            ("", "POST", self.post),
            ("/messages", "POST", self.say),
            ("/stream", "GET", self.stream),
            ("/history", "GET", self.history),
            ("/seen", "POST", self.seen),
            ("/files/{file_id}", "GET", self.file),
            ("/embed.js", "GET", self.embed),
        ):
            routes.add_api_route(path, verb, methods=[method], response_model=None)
        return routes

    async def embed(self) -> Response:
        """What another site puts into its pages."""
        return script()

    async def page(self, request: Request) -> Response:
        """The page, with everything that was said."""
        return await self._show(request, token_of(request) or self._site.token())

    async def post(self, request: Request) -> Response:
        """What the plain form sends: keep it and show the page again."""
        async with request.form(max_files=FILES + 1, max_fields=20) as form:
            said = await read(form)
        try:
            await self._keep(request, said)
        except Refused as refused:
            token = token_of(request) or self._site.token()
            return await self._show(request, token, refused.status, problem=refused.problem, draft=said.text)
        return RedirectResponse(f"/chat{self._page.query(request)}#end", status_code=303)

    async def say(self, request: Request) -> Response:
        """What the script sends. The answer means that the message is kept, not that it was read."""
        self._must_be_our_script(request)
        async with request.form(max_files=FILES + 1, max_fields=20) as form:
            said = await read(form)
        try:
            await self._keep(request, said)
        except Refused as refused:
            problem = self._page.words(request)[refused.problem]
            return JSONResponse({"problem": problem, "name": refused.problem}, status_code=refused.status)
        return JSONResponse({"kept": True})

    async def history(self, request: Request) -> Response:
        """Everything that was said, drawn."""
        drawn = self._page.drawn(await self._chat(self._known(request)).history(), self._page.language(request))
        return JSONResponse(drawn, headers={"Cache-Control": "no-store"})

    async def stream(self, request: Request) -> Response:
        """What we say from now on, as it is said."""
        token, language = self._known(request), self._page.language(request)
        if self._open.get(token, 0) >= STREAMS:
            raise HTTPException(429)
        after = request.headers.get("last-event-id") or request.query_params.get("after") or None
        events = stream(
            self._chat(token),
            self._site.bell,
            self._site.stopping,
            lambda bubble: self._page.drawn([bubble], language)[0],
            after,
        )
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._counted(token, events), media_type="text/event-stream", headers=headers)

    async def seen(self, request: Request) -> Response:
        """The page shows our messages, or the visitor looks at them."""
        self._must_be_our_script(request)
        try:
            said = json.loads(await request.body())
            ids, state = [UUID(one) for one in said["ids"]], str(said["state"])
            await self._chat(self._known(request)).seen(ids, state)
        except (ValueError, TypeError, KeyError, AttributeError, Malformed):
            raise HTTPException(400) from None
        return Response(status_code=204)

    async def file(self, request: Request, file_id: UUID) -> Response:
        """A file of this chat; a picture may be shown in the page, everything else is only downloaded."""
        found = await self._chat(self._known(request)).file(file_id)
        if found is None:
            raise HTTPException(404)
        row, path = found
        show = "show" in request.query_params and row.type in SHOWABLE
        return FileResponse(
            path,
            media_type=row.type if show else "application/octet-stream",
            filename=row.name,
            content_disposition_type="inline" if show else "attachment",
            headers={"Content-Security-Policy": FILE_POLICY, "Cache-Control": "private, max-age=86400"},
        )

    def _chat(self, token: str) -> Chat:
        return Chat(self._site.parts, self._site.intake, self._account, address_of(token))

    def _known(self, request: Request) -> str:
        """The visitor's secret. Raises HTTPException 403 for whoever never opened the page."""
        token = token_of(request)
        if token is None:
            raise HTTPException(403)
        return token

    def _must_be_our_script(self, request: Request) -> None:
        if OWN_SCRIPT not in request.headers or not same_origin(request, self._site.parts.company.public_url):
            raise HTTPException(403)

    async def _keep(self, request: Request, said: Said) -> None:
        """Keep what was said. Raises Refused, or HTTPException 403 for another site's page."""
        if not same_origin(request, self._site.parts.company.public_url):
            raise HTTPException(403)
        token = token_of(request)
        if token is None:
            raise Refused("no_session", 403)
        if not self._pace.allows(visitor(client_address(request, self._site.settings.trusted_proxies))):
            raise Refused("too_fast", 429)
        await keep(self._chat(token), said, self._page.language(request), self._site.parts.policy.attachment_limit)

    async def _show(
        self, request: Request, token: str, status: int = 200, *, problem: str | None = None, draft: str = ""
    ) -> Response:
        bubbles = await self._chat(token).history()
        response = self._page.page(request, bubbles, status, problem=problem, draft=draft)
        secure = self._site.secure or (embedded(request) and loopback(request))
        remember(response, token, secure=secure)
        if embedded(request):
            let_in(response, self._origins, secure=secure)
        return response

    async def _counted(self, token: str, events: AsyncIterator[str]) -> AsyncIterator[str]:
        self._open[token] = self._open.get(token, 0) + 1
        try:
            async for part in events:
                yield part
        finally:
            self._open[token] -= 1
            if not self._open[token]:
                del self._open[token]
