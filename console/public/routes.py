"""What anybody may open."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, RedirectResponse

from bot.accounts import AccountStates
from console.pages import Pages
from console.public.chat import ChatRoutes
from console.public.unsubscribe import UnsubscribeRoutes
from console.public.webhooks import WebhookRoutes
from console.site import Site


def public_routes(site: Site, pages: Pages) -> APIRouter:
    """Health, where providers call, and the way to the chat."""
    routes = APIRouter()
    accounts = AccountStates(site.parts)

    @routes.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> JSONResponse:
        state = dict(site.health())
        if resting := await accounts.now():
            state["accounts"] = dict(resting)
        return JSONResponse(state, status_code=200 if state.get("ok") else 503)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def home() -> RedirectResponse:
        return RedirectResponse("/chat" if site.webchat_account else "/desk", status_code=303)

    routes.include_router(WebhookRoutes(site).routes())
    routes.include_router(UnsubscribeRoutes(site, pages).routes())
    if site.webchat_account is not None:
        routes.include_router(ChatRoutes(site, pages, site.webchat_account).routes())
    return routes
