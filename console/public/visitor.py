"""Who writes in the chat: a random secret in a cookie, and nothing else."""

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "acuse_chat"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,128}")
_DAYS = 180


def token_of(request: Request) -> str | None:
    """The secret that the browser brought, if it has the shape of one of ours."""
    token = request.cookies.get(COOKIE)
    return token if token and _TOKEN.fullmatch(token) else None


def address_of(token: str) -> str:
    """The chat's address. The tables hold this and not the secret, so that whoever reads them cannot speak for it."""
    return hashlib.sha256(token.encode()).hexdigest()


def remember(response: Response, token: str, *, secure: bool) -> None:
    """Give the browser its secret for half a year more."""
    response.set_cookie(
        COOKIE, token, max_age=_DAYS * 86_400, path="/chat", secure=secure, httponly=True, samesite="lax"
    )
