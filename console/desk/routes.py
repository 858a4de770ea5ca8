"""What agents open."""

from fastapi import APIRouter

from console.site import Site


def desk_routes(site: Site) -> APIRouter:
    """The console, below /desk."""
    return APIRouter(prefix="/desk")
