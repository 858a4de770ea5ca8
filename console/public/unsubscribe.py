"""Where a person ends surveys or news with one click, theirs or their mail program's (RFC 8058)."""

from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bot import unsubscribing
from bot.unsubscribing import Ending
from console.pages import Pages
from console.public.pace import Pace
from console.security import client_address, visitor
from console.site import Site
from console.words import choose

GUESSES = 20  # links that are not ours, which one address gets an answer to in a minute
CLICKS = 10  # on one link, in a minute
ONE_CLICK = ("List-Unsubscribe", "One-Click")


class UnsubscribeRoutes:
    """GET shows a page with one button and changes nothing, since programs follow links to look at them. POST ends it.

    Whoever holds the link may: no cookie and no token of a page, for it is the mail's provider who calls. Its machines
    do so for many people from one address, so what is limited by address is guesses only.
    """

    def __init__(self, site: Site, pages: Pages) -> None:
        self._site = site
        self._pages = pages
        within = timedelta(minutes=1)
        self._guesses = Pace(site.parts.now, at_most=GUESSES, within=within)
        self._clicks = Pace(site.parts.now, at_most=CLICKS, within=within)

    def routes(self) -> APIRouter:
        """The routes, to be included."""
        routes = APIRouter()
        where = unsubscribing.PATH + "/{token}"
        routes.add_api_route(where, self.asked, methods=["GET", "HEAD"])
        routes.add_api_route(where, self.clicked, methods=["POST"])
        return routes

    async def asked(self, request: Request) -> HTMLResponse:
        """The page that asks."""
        return self._page(request, self._ending(request), done=False)

    async def clicked(self, request: Request) -> HTMLResponse:
        """200 once it is kept, never a redirection. 400 without the words that RFC 8058 wants."""
        ending = self._ending(request)
        if not self._clicks.allows(request.path_params["token"]):
            raise HTTPException(429, headers={"Retry-After": "60"})
        async with request.form(max_files=0, max_fields=4, max_part_size=1024) as form:
            if form.get(ONE_CLICK[0]) != ONE_CLICK[1]:
                raise HTTPException(400)
        await unsubscribing.end(self._site.parts, ending)
        return self._page(request, ending, done=True)

    def _ending(self, request: Request) -> Ending:
        ending = unsubscribing.opened(self._site.parts.secret, request.path_params["token"])
        if ending is not None:
            return ending
        address = client_address(request, self._site.settings.trusted_proxies)
        if not self._guesses.allows(visitor(address)):
            raise HTTPException(429, headers={"Retry-After": "60"})
        raise HTTPException(404)

    def _page(self, request: Request, ending: Ending, *, done: bool) -> HTMLResponse:
        asked, accepted = request.query_params.get("lang"), request.headers.get("accept-language")
        language = choose(self._site.parts.company.languages, asked, accepted)
        words = self._pages.words(language)["unsubscribe"]
        company = self._site.parts.company.name
        said = {name: words[f"{name}_{ending.purpose}"].format(company=company) for name in ("title", "done")}
        return self._pages.page(
            "public/unsubscribe.html",
            language,
            u={**words, **said},
            done=done,
            field=ONE_CLICK,
            action=f"{request.url.path}?lang={language}",
        )
