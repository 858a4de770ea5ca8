"""Where providers call us, and where they fetch the files that we send."""

import logging
from datetime import timedelta

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from bot import hooks
from bot.hooks import Hooks
from console.public.pace import Pace
from console.security import FILE_POLICY, client_address, visitor
from console.site import Site

logger = logging.getLogger(__name__)
BODY_LIMIT = 1024 * 1024  # bytes; providers send words and references to files, not files
FORGED = 30  # calls with a wrong signature that one address gets an answer to, in a minute


class WebhookRoutes:
    """POST /webhooks/{account}, with or without something behind it; GET /f/{token}/{name}."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._hooks = Hooks(site.parts, site.intake)
        self._forged = Pace(site.parts.now, at_most=FORGED, within=timedelta(minutes=1))

    def routes(self) -> APIRouter:
        """The routes, to be included."""
        routes = APIRouter()
        routes.add_api_route("/webhooks/{account}", self.called, methods=["POST"])
        routes.add_api_route("/webhooks/{account}/{about:path}", self.called, methods=["POST"])
        routes.add_api_route(hooks.FILES + "/{token}/{name}", self.file, methods=["GET", "HEAD"])
        return routes

    async def called(self, request: Request) -> Response:
        """2xx only once everything is committed. 403 not signed by the provider, 400 nothing that it sends."""
        account = request.path_params["account"]
        call = hooks.Request(
            method=request.method,
            url=self._url(request),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await self._body(request),
        )
        try:
            reply = await self._hooks.take(account, call)
        except hooks.NoSuchAccount:
            raise HTTPException(404) from None
        except hooks.Forged as fault:
            return self._refused(request, account, fault)
        except hooks.Malformed as fault:
            logger.warning("webhook %s: %s", account, fault)
            return Response(status_code=400)
        return Response(reply.body, status_code=reply.status, media_type=reply.type if reply.body else None)

    def _url(self, request: Request) -> str:
        """As the provider knows it: by our public address, not by what a proxy made of it."""
        path = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1").partition("?")[0]
        query = request.scope["query_string"].decode("latin-1")
        base = (self._site.parts.company.public_url or str(request.base_url)).rstrip("/")
        return f"{base}{path}?{query}" if query else f"{base}{path}"

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > BODY_LIMIT:
                raise HTTPException(413)
        return bytes(body)

    def _refused(self, request: Request, account: str, fault: Exception) -> Response:
        address = client_address(request, self._site.settings.trusted_proxies)
        if not self._forged.allows(visitor(address)):
            return Response(status_code=429, headers={"Retry-After": "60"})
        logger.warning("webhook %s: %s", account, fault)
        return Response(status_code=403)

    async def file(self, request: Request) -> Response:
        """A file of an answer, for whoever holds its link: the provider, which shows it to the person."""
        name = request.path_params["name"]
        handed = await self._hooks.handed(request.path_params["token"], name)
        if handed is None:
            raise HTTPException(404)
        headers = {"Cache-Control": "private, no-store", "Content-Security-Policy": FILE_POLICY}
        return FileResponse(
            handed.path,
            media_type=handed.type,
            filename=name,
            headers={**headers, "Cross-Origin-Resource-Policy": "cross-origin"},
        )
