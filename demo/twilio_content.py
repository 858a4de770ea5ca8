"""Twilio's Content API: templates with their approval, what a person sees of a content, and what Meta bears."""

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
BODY, TITLE, ITEM, DESCRIPTION, PAYLOAD, BUTTONS, ITEMS = 1024, 20, 24, 72, 200, 10, 10  # what WhatsApp shows at most


@dataclass(frozen=True)
class Shown:
    """What a person sees of a message. `approved`: an approved template."""

    text: str
    buttons: tuple[tuple[str, str], ...] = ()  # label, payload
    items: tuple[tuple[str, str, str], ...] = ()  # of a list: label, payload, description
    approved: bool = False
    name: str = ""

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Label and payload of all that can be pressed."""
        return [*self.buttons, *(one[:2] for one in self.items)]

    def whole(self) -> str:
        """All of it as lines: the text, [buttons], (items of a list)."""
        pressed = [f"[{label}|{payload}]" for label, payload in self.buttons]
        return "\n".join([self.text, *pressed, *(f"({'|'.join(one)})" for one in self.items)])

    def faults(self) -> list[str]:
        """What is longer than WhatsApp shows."""
        parts = [("a body", self.text, BODY)]
        for label, payload in self.buttons:
            parts += [("a button", label, TITLE), ("a payload", payload, PAYLOAD)]
        for label, payload, description in self.items:
            parts += [("an item", label, ITEM), ("a payload", payload, PAYLOAD), ("a detail", description, DESCRIPTION)]
        found = [f"{what} of {len(text)} characters" for what, text, most in parts if len(text) > most]
        many = len(self.buttons) > BUTTONS or len(self.items) > ITEMS
        return [*found, "too many choices"] if many else found


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
        self.away = 0  # so many calls are answered with 503

    def routes(self, guarded: Callable[[Callable[[Request], Any]], Callable[[Request], Any]]) -> list[Route]:
        """Below /v1."""
        return [
            Route("/v1/Content", guarded(self._there(self._create)), methods=["POST"]),
            Route("/v1/Content", guarded(self._there(self._list))),
            Route("/v1/ContentAndApprovals", guarded(self._there(self._list))),
            Route("/v1/Content/{sid}", guarded(self._there(self._fetch))),
            Route("/v1/Content/{sid}/ApprovalRequests/whatsapp", guarded(self._there(self._submit)), methods=["POST"]),
            Route("/v1/Content/{sid}/ApprovalRequests", guarded(self._there(self._approval))),
        ]

    def _there(self, verb: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            if self.away:
                self.away -= 1
                return refused(503, 20500, "Service unavailable")
            return await verb(request)  # type: ignore[no-any-return]  # each verb answers

        return handle

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
            return refused(400, 21655, "The ContentSid is invalid")
        if "Body" in one or "MediaUrl" in one:
            return refused(400, 21619, "A content cannot go with a body or media")
        try:
            values = {**content.get("variables", {}), **json.loads(one.get("ContentVariables") or "{}")}
            return _shown(content, lambda text: _VARIABLE.sub(lambda found: str(values[found[1]]), text))
        except (ValueError, KeyError):
            return refused(400, 21656, "The ContentVariables parameter is invalid")

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


def _shown(content: Mapping[str, Any], filled: Callable[[str], str]) -> Shown:
    (_, body), *_ = content["types"].items()
    buttons = [(one["title"], one.get("id") or one["title"]) for one in body.get("actions", [])]
    items = [(one["item"], one["id"], one.get("description") or "") for one in body.get("items", [])]
    return Shown(
        filled(body["body"]),
        tuple((filled(label), filled(payload)) for label, payload in buttons),
        tuple((filled(label), filled(payload), filled(detail)) for label, payload, detail in items),
        content["approval_requests"].get("status") == "approved",
        content["friendly_name"],
    )


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != "approval_requests"}


def refused(status: int, code: int, said: str, headers: dict[str, str] | None = None) -> Response:
    """Twilio's way of saying no."""
    body = {"code": code, "message": said, "status": status, "more_info": f"https://www.twilio.com/docs/errors/{code}"}
    return JSONResponse(body, status_code=status, headers=headers)
