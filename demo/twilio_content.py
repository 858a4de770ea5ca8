"""The Content API: templates with their approval, and what a person sees of a content."""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_VARIABLE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Shown:
    """What a person sees of a message. `approved`: an approved template."""

    text: str
    buttons: tuple[tuple[str, str], ...] = ()
    approved: bool = False
    name: str = ""


class Worded(Protocol):
    """A template of ours."""

    @property
    def friendly_name(self) -> str:
        """Its name at Twilio."""

    @property
    def language(self) -> str:
        """Of its words."""

    def types(self) -> dict[str, Any]:
        """The content itself."""

    def sample_variables(self) -> dict[str, str]:
        """What stands in its blanks when nothing is given."""


class ContentApi:
    """`approves`: what is submitted is approved at once, which Meta never does."""

    def __init__(self, account_sid: str, note: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._account_sid = account_sid
        self._note = note
        self._ids = itertools.count(1)
        self.contents: dict[str, dict[str, Any]] = {}
        self.approves = False

    def routes(self, known: Callable[[Request], bool]) -> list[Route]:
        """Below /v1."""

        def guarded(verb: Callable[[Request], Any]) -> Callable[[Request], Any]:
            async def handle(request: Request) -> Response:
                return await verb(request) if known(request) else refused(401, 20003, "Authenticate")

            return handle

        return [
            Route("/v1/Content", guarded(self._create), methods=["POST"]),
            Route("/v1/Content", guarded(self._list)),
            Route("/v1/ContentAndApprovals", guarded(self._list)),
            Route("/v1/Content/{sid}", guarded(self._fetch)),
            Route("/v1/Content/{sid}/ApprovalRequests/whatsapp", guarded(self._submit), methods=["POST"]),
            Route("/v1/Content/{sid}/ApprovalRequests", guarded(self._approval)),
        ]

    def adopt(self, templates: Iterable[Worded]) -> None:
        """As if these had been pushed and approved."""
        for one in templates:
            self._keep(
                {
                    "friendly_name": one.friendly_name,
                    "language": one.language,
                    "variables": one.sample_variables(),
                    "types": one.types(),
                }
            )["approval_requests"] = {"status": "approved", "name": one.friendly_name}

    def decide(self, status: str = "approved", reason: str = "") -> None:
        """Meta has looked at all that was submitted."""
        for one in self.contents.values():
            if one["approval_requests"].get("status") in ("received", "pending"):
                one["approval_requests"] |= {"status": status, "rejection_reason": reason}

    def shown(self, one: Mapping[str, str]) -> Shown | Response:
        """What a message that names a content shows."""
        content = self.contents.get(one["ContentSid"])
        if content is None:
            return refused(404, 20404, "The requested Content was not found")
        if "Body" in one or "MediaUrl" in one:
            return refused(400, 21619, "A content cannot go with a body or media")
        try:
            values = {**content.get("variables", {}), **json.loads(one.get("ContentVariables") or "{}")}
        except ValueError:
            return refused(400, 21656, "The ContentVariables parameter is invalid")
        (_, body), *_ = content["types"].items()

        def filled(text: str) -> str:
            return _VARIABLE.sub(lambda found: str(values.get(found[1], "")), text)

        pairs = [(one_["title"], one_.get("id") or one_["title"]) for one_ in body.get("actions", [])]
        pairs += [(one_["item"], one_["id"]) for one_ in body.get("items", [])]
        buttons = tuple((filled(label), filled(payload)) for label, payload in pairs)
        approved = content["approval_requests"].get("status") == "approved"
        return Shown(filled(body["body"]), buttons, approved, content["friendly_name"])

    async def _create(self, request: Request) -> Response:
        given = json.loads(await request.body())
        self._note("Content", given)
        return JSONResponse(_plain(self._keep(given)), status_code=201)

    async def _list(self, request: Request) -> Response:
        both = request.url.path.endswith("Approvals")
        found = [one if both else _plain(one) for one in self.contents.values()]
        meta = {"key": "contents", "page": 0, "page_size": 500, "next_page_url": None, "url": str(request.url)}
        return JSONResponse({"contents": found, "meta": meta | {"first_page_url": str(request.url)}})

    async def _fetch(self, request: Request) -> Response:
        found = self.contents.get(request.path_params["sid"])
        return JSONResponse(_plain(found)) if found else refused(404, 20404, "not found")

    async def _submit(self, request: Request) -> Response:
        found = self.contents.get(request.path_params["sid"])
        given = json.loads(await request.body())
        self._note("Approval", given)
        if found is None:
            return refused(404, 20404, "not found")
        told = {"status": "approved" if self.approves else "received", "rejection_reason": "", **given}
        found["approval_requests"] = told
        return JSONResponse(told | {"content_type": next(iter(found["types"]))}, status_code=201)

    async def _approval(self, request: Request) -> Response:
        found = self.contents.get(request.path_params["sid"])
        if found is None:
            return refused(404, 20404, "not found")
        approval = found["approval_requests"] or {"status": "unsubmitted"}
        sid = request.path_params["sid"]
        return JSONResponse({"sid": sid, "account_sid": self._account_sid, "whatsapp": approval})

    def _keep(self, given: Mapping[str, Any]) -> dict[str, Any]:
        sid = f"HX{next(self._ids):032x}"
        self.contents[sid] = {"sid": sid, "account_sid": self._account_sid, "approval_requests": {}, **given}
        return self.contents[sid]


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != "approval_requests"}


def refused(status: int, code: int, said: str, headers: dict[str, str] | None = None) -> Response:
    """Twilio's way of saying no."""
    body = {"code": code, "message": said, "status": status, "more_info": f"https://www.twilio.com/docs/errors/{code}"}
    return JSONResponse(body, status_code=status, headers=headers)
