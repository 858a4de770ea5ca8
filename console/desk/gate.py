"""Who may come in: the session of an agent, the token of every form, and what a refusal looks like."""

import json
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.datastructures import UploadFile

from bot.accounts import Accounts
from bot.corrections import Corrections
from bot.desk import Desk
from bot.refusals import (
    AlreadyTaken,
    CannotCorrect,
    CannotMerge,
    Empty,
    NoSuchConversation,
    NotPossible,
    Refusal,
    TooBig,
)
from bot.rooms import Rooms
from bot.states import ForbiddenMove
from bot.views import Me
from console.desk.pages import Pages
from console.desk.words import Words
from console.site import Site

COOKIE = "acuse_desk"
PATH = "/desk"
STATUS = {NoSuchConversation: 404, Empty: 422, TooBig: 413}


class LoginNeeded(Exception):
    """Nobody is logged in here, or the session has ended."""


class StaleForm(Exception):
    """The form does not carry the session's token: an old page, or another site."""


@dataclass(frozen=True)
class Visit:
    """One request of one agent."""

    me: Me
    csrf: str
    token: str
    words: Words
    desk: Desk
    rooms: Rooms
    accounts: Accounts
    corrections: Corrections
    htmx: bool


async def given_token(request: Request) -> str:
    """The token that a request carries: a header (htmx), or a field of the form."""
    if header := request.headers.get("x-csrf-token"):
        return header
    field = (await request.form()).get("csrf", "")
    return "" if isinstance(field, UploadFile) else field


def same(given: str, wanted: str) -> bool:
    """Compare secrets in constant time."""
    return bool(wanted) and secrets.compare_digest(given.encode(), wanted.encode())


class Gate:
    """The dependency of every page behind the login."""

    def __init__(self, site: Site, pages: Pages) -> None:
        self._site = site
        self._pages = pages

    async def __call__(self, request: Request) -> Visit:
        """The visit. Raises LoginNeeded, or StaleForm for a post without the session's token."""
        token = request.cookies.get(COOKIE)
        found = await self._site.staff.who(token)
        if found is None or token is None:
            raise LoginNeeded
        me, csrf = found
        visit = Visit(
            me=me,
            csrf=csrf,
            token=token,
            words=self._pages.words[me.language],
            desk=Desk(self._site.parts, me),
            rooms=Rooms(self._site.parts, me),
            accounts=Accounts(self._site.parts),
            corrections=Corrections(self._site.parts),
            htmx="hx-request" in request.headers,
        )
        request.state.visit = visit
        if request.method not in ("GET", "HEAD") and not same(await given_token(request), csrf):
            raise StaleForm
        return visit

    async def manager(self, request: Request) -> Visit:
        """The same, for managers and administrators only."""
        visit = await self(request)
        if not visit.me.may_manage:
            raise HTTPException(403)
        return visit


Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


def guarded(pages: Pages) -> type[APIRoute]:
    """A route that turns "log in first" and refusals into pages: a redirect, or a bar at the place of the click."""

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def answer(request: Request) -> Response:
                try:
                    return await handle(request)
                except RequestValidationError as fault:  # an address that somebody typed
                    raise HTTPException(404) from fault
                except LoginNeeded:
                    return to_login(request)
                except StaleForm:
                    return refused(pages, request, "refusal_stale", {}, 403)
                except Refusal as refusal:
                    key, blanks = reason(refusal)
                    status = next((code for kind, code in STATUS.items() if isinstance(refusal, kind)), 409)
                    return refused(pages, request, key, blanks, status)

            return answer

    return GuardedRoute


def to_login(request: Request) -> Response:
    """Log in, and come back to the page that was asked for."""
    htmx = "hx-request" in request.headers
    page = urlsplit(request.headers.get("hx-current-url", PATH) if htmx else str(request.url))
    asked = page.path + (f"?{page.query}" if page.query else "") if htmx or request.method == "GET" else PATH
    target = f"{PATH}/login?next={quote(asked)}"
    if htmx:
        return Response(status_code=401, headers={"HX-Redirect": target})
    return RedirectResponse(target, status_code=303)


def reason(refusal: Refusal) -> tuple[str, dict[str, str]]:
    """The line that says what happened and what to do, and its blanks."""
    match refusal:
        case AlreadyTaken():
            return "refusal_AlreadyTaken", {"by": refusal.by}
        case NotPossible() if isinstance(refusal.__cause__, ForbiddenMove):
            return f"refusal_move_{refusal.__cause__.reason}", {}
        case CannotCorrect():
            return f"refusal_correct_{refusal.reason}", {}
        case CannotMerge():
            return f"refusal_merge_{refusal.reason}", dict(refusal.blanks)
        case _:
            return f"refusal_{type(refusal).__name__}", {}


def refused(pages: Pages, request: Request, key: str, blanks: dict[str, str], status: int) -> Response:
    """A bar for htmx, a small page otherwise. What was typed stays where it is: nothing else is replaced."""
    visit: Visit = request.state.visit
    text = visit.words(key, **blanks)
    template = "desk/bar.html" if visit.htmx else "desk/refused.html"
    headers = {"HX-Trigger": json.dumps({"stale": True})} if status == 409 else {}
    return HTMLResponse(pages.render(template, visit, text=text), status_code=status, headers=headers)
