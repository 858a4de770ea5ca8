"""Slack as the network sees it: the Web API over a workspace, with its limits, its pace and its ways to say no."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from demo.pace import Throttle
from demo.provider import Failing, Picture
from demo.slack_blocks import Refusal, limits
from demo.slack_events import APP, BOT, TEAM
from demo.slack_workspace import Post, Workspace

SCOPES = (
    "chat:write,im:write,im:history,files:read,files:write,users:read,users:read.email,groups:history,"
    "channels:history,app_mentions:read"
)
_PROMPTS = 4
_AWAY = "<html>Service unavailable</html>"
_SIGN_IN = "<!DOCTYPE html><html><title>Sign in to Slack</title></html>"

Given = dict[str, Any]
Verb = Callable[[Given], Awaitable[dict[str, Any]]]


class SlackApi(Workspace):
    """The protocol, whole; the page's half is in slack.py. `pace`, `burst`: what each channel bears."""

    def __init__(
        self,
        bot_token: str,
        signing_secret: str,
        *,
        pace: timedelta = timedelta(seconds=1),
        burst: int = 3,
        **workspace: Any,
    ) -> None:
        """As Workspace."""
        super().__init__(signing_secret, **workspace)
        self.bot_token = bot_token
        self.scopes = SCOPES
        self.errors: list[tuple[str, str]] = []  # method and error: how one of the next calls is refused
        self.breaks = 0  # so many calls are taken, and the connection breaks instead of an answer
        self.readable = True  # False: instead of a file comes the page for signing in, as without files:read
        self.slowed: list[str] = []  # rooms where we were too fast
        self._throttle = Throttle(self.now, pace, burst)
        self.app = Starlette(
            routes=[
                Route("/api/{method}", self._call, methods=["GET", "POST"]),
                Route("/upload/{file}", self._upload, methods=["POST", "PUT"]),
                Route("/files/{file}/{name}", self._file),
            ]
        )
        self.app.state.url = "https://slack.com"

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        return str(self.app.state.url)

    async def _call(self, request: Request) -> Response:
        method, given = request.path_params["method"], await _parameters(request)
        if request.headers.get("authorization") != f"Bearer {self._token_of(method)}":
            return JSONResponse({"ok": False, "error": "invalid_auth"})
        if refusal := await self._misbehaves(method):
            return refusal
        try:
            answer = {"ok": True, **await self._verb(method)(given)}
        except Refusal as refused:
            answer = {"ok": False, "error": str(refused)}
        except _Slow as slow:
            return _slowly(slow.seconds)
        self.note(method, given)
        if self.breaks:
            self.breaks -= 1
            self.app.state.cut(request.client)
        return JSONResponse(answer, headers={"X-OAuth-Scopes": self.scopes})

    def _token_of(self, method: str) -> str:
        return self.socket.app_token if self.socket and method == "apps.connections.open" else self.bot_token

    def _verb(self, method: str) -> Verb:
        verb: Verb | None = getattr(self, "_do_" + method.replace(".", "_").lower(), None)
        if verb is None:
            raise Refusal("unknown_method")
        return verb

    async def _misbehaves(self, method: str) -> Response | None:
        for number, (where, error) in enumerate(self.errors):
            if where == method:
                del self.errors[number]
                return JSONResponse({"ok": False, "error": error})
        if method != "chat.postMessage":
            return HTMLResponse(_AWAY, status_code=503) if self.failing is Failing.DOWN else None
        match self.fault():
            case Failing.DOWN:
                return HTMLResponse(_AWAY, status_code=503)
            case Failing.BUSY:
                return _slowly(int(self.busy_for.total_seconds()))
            case Failing.REFUSES:
                return JSONResponse({"ok": False, "error": "channel_not_found"})
            case Failing.SLOW:
                await asyncio.sleep(self.slowness.total_seconds())
        return None

    # who, where

    async def _do_auth_test(self, _: Given) -> dict[str, Any]:
        told = {"team": "Nube", "team_id": TEAM, "user": "clara", "user_id": APP, "bot_id": BOT}
        return told | {"url": "https://nube.slack.com/"}

    async def _do_apps_connections_open(self, _: Given) -> dict[str, Any]:
        if self.socket is None:
            raise Refusal("not_allowed_token_type")
        return {"url": self.socket.url}

    async def _do_conversations_open(self, given: Given) -> dict[str, Any]:
        user = str(given.get("users", "")).split(",")[0]
        if user not in self.people:
            raise Refusal("user_not_found")
        return {"channel": {"id": self.direct(user)}}

    async def _do_conversations_info(self, given: Given) -> dict[str, Any]:
        room = self.rooms.get(str(given.get("channel")))
        if room is None:
            raise Refusal("channel_not_found")
        told = {"id": room.id, "name": room.name, "is_member": room.member, "is_private": room.private}
        return {"channel": told | {"is_ext_shared": room.shared, "is_archived": False}}

    async def _do_users_info(self, given: Given) -> dict[str, Any]:
        if (found := self.people.get(str(given.get("user")))) is None:
            raise Refusal("user_not_found")
        return {"user": found}

    async def _do_users_lookupbyemail(self, given: Given) -> dict[str, Any]:
        found = [one for one in self.people.values() if one["profile"]["email"] == given.get("email") != ""]
        if not found:
            raise Refusal("users_not_found")
        return {"user": found[0]}

    # what is said

    async def _do_chat_postmessage(self, given: Given) -> dict[str, Any]:
        room = self._room(given)
        self._fits("chat.postMessage", given)
        if wait := self._throttle.wait(room):
            self.slowed.append(room)
            self.tell("answered_busy", tone="bad")
            raise _Slow(wait)
        ts = self.events.ts()
        self._appear(room, ts, given)
        return {"channel": room, "ts": ts, "message": {"ts": ts, "text": given.get("text", ""), "bot_id": BOT}}

    async def _do_chat_update(self, given: Given) -> dict[str, Any]:
        room = self._room(given)
        self._fits("chat.update", given)
        post = self.posts.get((room, str(given.get("ts"))))
        if post is None or post.user is not None:
            raise Refusal("message_not_found")
        post.given = {**post.given, "blocks": None, **given}
        self.changed(post)
        return {"channel": room, "ts": post.ts, "text": given.get("text", "")}

    async def _do_chat_postephemeral(self, given: Given) -> dict[str, Any]:
        room = self._room(given)
        if given.get("user") not in self.people:
            raise Refusal("user_not_in_channel")
        self._fits("chat.postEphemeral", given)
        self._appear(room, ts := self.events.ts(), given, only=str(given["user"]))
        return {"message_ts": ts}

    async def _do_views_open(self, given: Given) -> dict[str, Any]:
        if not given.get("trigger_id"):
            raise Refusal("invalid_arguments")
        view = _parsed(given["view"]) | {"id": f"V{next(self._ids):08d}"}
        self.views.append(view)
        return {"view": view}

    async def _do_reactions_add(self, _: Given) -> dict[str, Any]:
        return {}

    async def _do_assistant_threads_setstatus(self, given: Given) -> dict[str, Any]:
        self._pane("setStatus", given)
        return {}

    async def _do_assistant_threads_settitle(self, given: Given) -> dict[str, Any]:
        self._pane("setTitle", given)
        if not given.get("title"):
            raise Refusal("invalid_arguments")
        return {}

    async def _do_assistant_threads_setsuggestedprompts(self, given: Given) -> dict[str, Any]:
        self._pane("setSuggestedPrompts", given)
        prompts = _parsed(given.get("prompts"))
        if not 1 <= len(prompts) <= _PROMPTS or not all(one.get("title") and one.get("message") for one in prompts):
            self.faults.append("assistant.threads.setSuggestedPrompts: prompts that Slack refuses")
            raise Refusal("invalid_arguments")
        return {}

    def _pane(self, method: str, given: Given) -> None:
        """Only a direct message has a pane, and a call there names its thread. Raises Refusal."""
        if not str(given.get("channel_id", "")).startswith("D") or not given.get("thread_ts"):
            self.faults.append(f"assistant.threads.{method}: no thread of a pane")
            raise Refusal("channel_not_found")

    def _fits(self, method: str, given: Given) -> None:
        """Raises Refusal; what Slack refuses here is a fault of Acuse's, and so is what a screen reader cannot read."""
        if not given.get("text"):
            self.faults.append(f"{method}: no text as a fallback")
        try:
            limits(given)
        except Refusal as refused:
            self.faults.append(f"{method}: {refused}")
            raise

    def _appear(self, room: str, ts: str, given: Given, *, files: Sequence[Picture] = (), only: str = "") -> None:
        self.posts[room, ts] = post = Post(room, ts, given, files=files, only=only)
        self.appeared(post)

    # files

    async def _do_files_info(self, given: Given) -> dict[str, Any]:
        if (file := str(given.get("file"))) not in self.files:
            raise Refusal("file_not_found")
        return {"file": self.told(file)}

    async def _do_files_getuploadurlexternal(self, given: Given) -> dict[str, Any]:
        if not given.get("filename") or not int(given.get("length") or 0):
            raise Refusal("invalid_arguments")
        file = f"F{next(self._ids):08d}"
        self.files[file] = Picture(str(given["filename"]), "", b"")
        return {"upload_url": f"{self.url}/upload/{file}", "file_id": file}

    async def _do_files_completeuploadexternal(self, given: Given) -> dict[str, Any]:
        files = _parsed(given.get("files") or "[]")
        if any(one["id"] not in self.files for one in files):
            raise Refusal("file_not_found")
        if given.get("channel_id"):
            room = self._room({"channel": given["channel_id"]})
            told = {"text": given.get("initial_comment", ""), "thread_ts": given.get("thread_ts")}
            self._appear(room, self.events.ts(), told, files=[self.files[one["id"]] for one in files])
        return {"files": [{"id": one["id"], "title": one.get("title", "")} for one in files]}

    async def _upload(self, request: Request) -> Response:
        file = request.path_params["file"]
        if file not in self.files:
            return Response(status_code=404)
        content = await request.body()
        if request.headers.get("content-type", "").startswith("multipart/"):
            async with request.form() as form:
                content = await next(iter(form.values())).read()  # type: ignore[union-attr]  # a file, in an upload
        type_ = "image/png" if content.startswith(b"\x89PNG") else "application/octet-stream"
        self.files[file] = Picture(self.files[file].name, type_, content)
        return PlainTextResponse(f"OK - {len(content)}")

    async def _file(self, request: Request) -> Response:
        """Without the token Slack shows its own sign-in page, and calls that a success."""
        if not self.readable or request.headers.get("authorization") != f"Bearer {self.bot_token}":
            return HTMLResponse(_SIGN_IN)
        found = self.files.get(request.path_params["file"])
        return Response(found.content, media_type=found.type) if found else Response(status_code=404)


class _Slow(Exception):
    """429."""

    def __init__(self, seconds: int) -> None:
        super().__init__(str(seconds))
        self.seconds = seconds


def _slowly(seconds: int) -> Response:
    told = {"ok": False, "error": "ratelimited"}
    return JSONResponse(told, status_code=429, headers={"Retry-After": str(seconds)})


async def _parameters(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        return {**given, **json.loads(await request.body() or b"{}")}
    async with request.form() as form:
        return given | {name: str(value) for name, value in form.items()}


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
