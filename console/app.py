"""All pages of one installation."""

from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from console.desk.routes import desk_routes
from console.failures import CatchFaults, Failures
from console.pages import STATIC, Pages
from console.public.routes import public_routes
from console.security import BodyLimit, SecurityHeaders
from console.site import Site

BODY_SLACK = 256 * 1024  # words and borders around the files of a form
YEAR = "public, max-age=31536000, immutable"


class VersionedFiles(StaticFiles):
    """Static files; one that is asked for by its version never changes, so the browser need not ask again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file; without a version the browser asks each time whether it changed."""
        response = await super().get_response(path, scope)
        versioned = scope["query_string"].startswith(b"v=") and response.status_code in (200, 304)
        response.headers["Cache-Control"] = YEAR if versioned else "no-cache"
        return response


def create_app(site: Site) -> FastAPI:
    """The whole web edge: public pages, the desk, static files."""
    pages = Pages(site)
    failures = Failures(site, pages)
    app = FastAPI(title="Acuse", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(HTTPException, failures.refused)
    # the last one added is the outermost
    app.add_middleware(BodyLimit, limit=site.parts.policy.attachment_limit + BODY_SLACK)
    app.add_middleware(CatchFaults, answer=failures.ours)
    app.add_middleware(SecurityHeaders, secure=site.secure)
    # only what is the same for everybody is compressed: a page's secrets cannot be guessed from its length
    app.mount("/static/htmx", _compressed(packages=[("js_lib_htmx", "static/htmx")]), name="htmx")
    app.mount("/static", _compressed(directory=STATIC), name="static")
    app.include_router(public_routes(site, pages))
    app.include_router(desk_routes(site))
    return app


def _compressed(**where: Any) -> GZipMiddleware:
    return GZipMiddleware(VersionedFiles(**where))
