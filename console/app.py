"""All pages of one installation."""

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from console.desk.routes import desk_routes
from console.public.routes import public_routes
from console.security import SecurityHeaders
from console.site import Site

HERE = Path(__file__).parent


def create_app(site: Site) -> FastAPI:
    """The whole web edge: public pages, the desk, static files."""
    app = FastAPI(title="Acuse", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SecurityHeaders, secure=site.secure)
    app.mount("/static/htmx", StaticFiles(packages=[("js_lib_htmx", "static/htmx")]), name="htmx")
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.include_router(public_routes(site))
    app.include_router(desk_routes(site))
    return app
