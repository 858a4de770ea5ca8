"""What agents open: everything below /desk."""

from fastapi import APIRouter

from console.desk import accounts, acts, cases, entry, figures, files, lists, merging, rooms, stream
from console.desk.gate import PATH, Gate, guarded
from console.desk.pages import Pages
from console.site import Site


def desk_routes(site: Site) -> APIRouter:
    """The console, below /desk."""
    pages = Pages(site)
    gate = Gate(site, pages)
    routes = APIRouter(prefix=PATH, route_class=guarded(pages), include_in_schema=False)
    for part in (entry, lists, rooms, acts, cases, merging, files, stream, figures, accounts):
        part.add(routes, site, pages, gate)
    return routes
