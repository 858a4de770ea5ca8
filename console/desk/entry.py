"""The door: log in, log out, and the agent's own settings."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from bot.staff import TooManyTries, WrongPassword
from console.desk.gate import COOKIE, PATH, Gate, Visit, given_token, same
from console.desk.pages import Pages
from console.desk.words import LANGUAGES
from console.site import Site

DOOR = "acuse_door"  # a secret of the login form: another site cannot log a browser in


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """/desk/login, /desk/logout, /desk/me."""

    def door(request: Request, *, status: int = 200, fault: str | None = None, login: str = "") -> Response:
        token = request.cookies.get(DOOR) or site.token()
        language = preferred(request.headers.get("accept-language", ""), site.parts.company.languages)
        page = pages.plain(
            "desk/login.html",
            language,
            token=token,
            fault=fault,
            login=login,
            next=local(request.query_params.get("next")),
        )
        answer = HTMLResponse(page, status_code=status, headers={"Cache-Control": "no-store"})
        answer.set_cookie(DOOR, token, httponly=True, samesite="strict", secure=site.secure, path=PATH, max_age=3600)
        return answer

    @routes.get("/login")
    async def show(request: Request) -> Response:
        if await site.staff.who(request.cookies.get(COOKIE)) is not None:
            return RedirectResponse(PATH, status_code=303)
        return door(request)

    @routes.post("/login")
    async def log_in(
        request: Request, login: Annotated[str, Form()] = "", password: Annotated[str, Form()] = ""
    ) -> Response:
        if not same(await given_token(request), request.cookies.get(DOOR, "")):
            return door(request, status=403, fault="login_stale", login=login)
        address = request.client.host if request.client else "unknown"
        try:
            token = await site.staff.log_in(login, password, address)
        except WrongPassword:
            return door(request, status=401, fault="login_wrong", login=login)
        except TooManyTries:
            return door(request, status=429, fault="login_wait", login=login)
        answer = RedirectResponse(local(request.query_params.get("next")), status_code=303)
        lasts = int(site.settings.session_hours * 3600)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=site.secure, path=PATH, max_age=lasts)
        answer.delete_cookie(DOOR, path=PATH)
        return answer

    @routes.post("/logout")
    async def log_out(visit: Visit = Depends(gate)) -> Response:
        await site.staff.log_out(visit.token)
        answer = RedirectResponse(f"{PATH}/login", status_code=303)
        answer.delete_cookie(COOKIE, path=PATH)
        return answer

    @routes.get("/me")
    async def settings(visit: Visit = Depends(gate)) -> Response:
        return HTMLResponse(pages.render("desk/me.html", visit, counts=await visit.rooms.counts(), view="me"))

    @routes.post("/me")
    async def speak(language: Annotated[str, Form()], visit: Visit = Depends(gate)) -> Response:
        if language in LANGUAGES:
            await site.staff.speak(visit.me, language)
        return RedirectResponse(f"{PATH}/me", status_code=303)


def local(target: str | None) -> str:
    """Where to go after the login: only ever into the desk."""
    inside = target is not None and (target == PATH or target.startswith((f"{PATH}/", f"{PATH}?")))
    return target if inside and target and "\\" not in target and "\n" not in target else PATH


def preferred(header: str, company: Sequence[str]) -> str:
    """The language of a browser, if the console speaks it; else the company's."""
    asked = [part.split(";")[0].strip()[:2].lower() for part in header.split(",")]
    return next((one for one in [*asked, *company] if one in LANGUAGES), LANGUAGES[0])
