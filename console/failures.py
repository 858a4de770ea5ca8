"""What people see when something went wrong: whose fault it is, what is safe, and a reference to tell us."""

import hashlib
import logging
from collections.abc import Callable
from traceback import extract_tb

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot import dates
from console.pages import Pages
from console.site import Site
from console.words import choose

log = logging.getLogger("console")
_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NAMED = {403: "forbidden", 404: "missing", 405: "missing", 413: "too_big", 429: "too_fast", 503: "away"}


class Failures:
    """Makes the answers to what cannot be answered. A page for people, JSON for scripts."""

    def __init__(self, site: Site, pages: Pages) -> None:
        self._site = site
        self._pages = pages

    async def refused(self, request: Request, fault: Exception) -> Response:
        """A fault that a route named by its status. Redirections and the like pass unchanged."""
        assert isinstance(fault, HTTPException)
        if fault.status_code < 400:
            return Response(status_code=fault.status_code, headers=fault.headers)
        response = self._answer(request, fault.status_code, _NAMED.get(fault.status_code, "malformed"), None)
        response.headers.update(fault.headers or {})
        return response

    def ours(self, request: Request, fault: Exception) -> Response:
        """A fault of our own. The log gets its kind and place, and nothing of what people wrote."""
        reference = self._reference()
        frames = extract_tb(fault.__traceback__)
        place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"
        route = getattr(request.scope.get("route"), "path", "?")
        log.error("%s: %s at %s (%s %s)", reference, type(fault).__name__, place, request.method, route)
        return self._answer(request, 500, "ours", reference)

    def _reference(self) -> str:
        digest = hashlib.sha256(self._site.token().encode()).digest()
        return "E-" + "".join(_SYMBOLS[byte % 32] for byte in digest[:6])

    def _answer(self, request: Request, status: int, name: str, reference: str | None) -> Response:
        company = self._site.parts.company
        asked, accepted = request.query_params.get("lang"), request.headers.get("accept-language")
        language = choose(company.languages, asked, accepted)
        if "text/html" not in request.headers.get("accept", ""):
            problem = self._pages.words(language)["error"][name]
            return JSONResponse({"problem": problem, "reference": reference}, status_code=status)
        return self._pages.page(
            "error.html",
            language,
            status,
            number=status,
            name=name,
            reference=reference,
            path=request.url.path[:120],
            again=request.url.path if request.method == "GET" and status >= 500 else None,
            home="/desk" if request.url.path.startswith("/desk") else "/",
            at=dates.moment(self._site.parts.now(), language, company.timezone),
        )


class CatchFaults:
    """Nothing that a page raises reaches the server's own log, which would print people's words with it."""

    def __init__(self, app: ASGIApp, *, answer: Callable[[Request, Exception], Response]) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noticed(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except Exception as fault:
            response = self._answer(Request(scope), fault)
            if not started:  # else the rest is missing, which the browser notices
                await response(scope, receive, send)
