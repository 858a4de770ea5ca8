"""The chat inside another site's page: who may frame it, and a cookie that works there."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from console.pages import STATIC
from console.security import POLICY

SCRIPT = STATIC / "embed.js"


def embedded(request: Request) -> bool:
    """Whether this page was asked for by the embedding script."""
    return request.query_params.get("embed") == "1"


def loopback(request: Request) -> bool:
    """Whether the browser is on this machine, where it takes a secure cookie without https: somebody tries it out."""
    return request.url.hostname in ("localhost", "127.0.0.1", "::1")


def script() -> Response:
    """The script that other sites load; it is public and the same for everybody."""
    headers = {"Cross-Origin-Resource-Policy": "cross-origin", "Cache-Control": "public, max-age=3600"}
    return FileResponse(SCRIPT, media_type="text/javascript", headers=headers)


def let_in(response: Response, origins: Sequence[str], *, secure: bool) -> None:
    """Let these sites show the page in a frame.

    In a frame of another site a browser keeps a cookie only if it is SameSite=None, Secure and Partitioned (CHIPS): one
    visitor has one chat for each site, and no site can follow them to another.
    """
    ancestors = " ".join(["'self'", *origins])
    response.headers["Content-Security-Policy"] = POLICY.replace(
        "frame-ancestors 'self'", f"frame-ancestors {ancestors}"
    )
    if not secure:
        return
    cookies = response.headers.getlist("set-cookie")
    del response.headers["set-cookie"]
    for cookie in cookies:
        response.headers.append("set-cookie", cookie.replace("SameSite=lax", "SameSite=None; Partitioned"))
