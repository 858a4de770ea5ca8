"""A small Slack at the network's edge: Web API and Socket Mode on one real port, with state and manners."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import urlencode

from aiohttp import WSMsgType, web

from channels.channel import ChannelError, Request, Unavailable, Undeliverable
from channels.slack import Settings, Slack, SlackSocket, open_account

ME, BOT, TEAM, SECRET, TOKEN = "U0BOT", "B0BOT", "T0NUBE", "shh-it-signs", "xoxb-1-test"
DESK, SHARED = "G0DESK", "C0SHARED"
SCOPES = "chat:write,im:write,im:history,files:read,files:write,users:read,groups:history,users:read.email"
LIMITS = {"text": 40_000, "section": 3000, "label": 75, "value": 2000, "action_id": 255, "header": 150}


def now() -> datetime:
    return datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Call:
    method: str
    values: dict[str, Any]


class FakeSlack:
    """What it was told stands in `calls`; `faults` are calls that Slack would have refused."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.faults: list[str] = []
        self.errors: list[tuple[str, str]] = []  # (method or "", error): for the next calls
        self.busy = 0  # 429 for so many calls
        self.down = 0  # 503 for so many calls
        self.deadly = 0  # so many calls are taken, and the connection breaks instead of an answer
        self.people: dict[str, dict[str, Any]] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, tuple[bytes, str]] = {}
        self.confirmed: list[str] = []
        self.scopes = SCOPES
        self.member = True
        self.url = ""
        self._numbers = count(1)
        self._unconfirmed: dict[str, dict[str, Any]] = {}
        self._sockets: list[web.WebSocketResponse] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        app = web.Application(client_max_size=50_000_000)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_post("/upload/{id}", self._upload)
        app.router.add_get("/files/{id}", self._file)
        app.router.add_get("/socket", self._socket)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self.url

    async def stop(self) -> None:
        for socket in self._sockets:
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def person(self, user: str, name: str = "Ana Ruiz", **fields: Any) -> None:
        profile = {"real_name": name, "email": fields.pop("email", "")}
        self.people[user] = {"id": user, "team_id": TEAM, "profile": profile, "is_email_confirmed": True, **fields}

    def said(self, method: str = "chat.postMessage") -> list[dict[str, Any]]:
        return [call.values for call in self.calls if call.method == method]

    async def envelope(self, payload: dict[str, Any], kind: str = "events_api", **fields: Any) -> str:
        """Deliver over the socket; it comes again with each new connection until it is confirmed."""
        name = f"envelope-{next(self._numbers)}"
        self._unconfirmed[name] = {"envelope_id": name, "type": kind, "payload": payload, **fields}
        if self._sockets:
            await self._sockets[-1].send_json(self._unconfirmed[name])
        return name

    async def cut(self) -> None:
        """The network lets go of every connection."""
        for socket in self._sockets:
            await socket.close()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        await socket.send_json({"type": "hello", "num_connections": 1})
        for waiting in list(self._unconfirmed.values()):
            await socket.send_json(waiting)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                name = json.loads(message.data)["envelope_id"]
                if self._unconfirmed.pop(name, None) is not None:
                    self.confirmed.append(name)
        self._sockets.remove(socket)
        return socket

    async def _api(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        values = await _values(request)
        if request.headers.get("Authorization") not in (f"Bearer {TOKEN}", "Bearer xapp-1-test"):
            return web.json_response({"ok": False, "error": "not_authed"})
        if method == "chat.postMessage" and self.busy:
            self.busy -= 1
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "7"})
        if self.down:
            self.down -= 1
            return web.Response(status=503, text="<html>away</html>", content_type="text/html")
        for at, (where, error) in enumerate(self.errors):
            if where in ("", method):
                del self.errors[at]
                return web.json_response({"ok": False, "error": error})
        self.calls.append(Call(method, values))
        self.faults += [f"{method}: {fault}" for fault in _judged(method, values)]
        answer = self._answer(method, values)
        if self.deadly and request.transport is not None:
            self.deadly -= 1
            request.transport.abort()
        return web.json_response({"ok": "error" not in answer, **answer}, headers={"X-OAuth-Scopes": self.scopes})

    def _answer(self, method: str, values: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "auth.test":
                return {"team_id": TEAM, "team": "Nube", "user_id": ME, "bot_id": BOT, "user": "clara"}
            case "apps.connections.open":
                return {"url": f"{self.url.replace('http', 'ws')}/socket"}
            case "conversations.open":
                return {"channel": {"id": f"D{values['users'][1:]}"}}
            case "conversations.info":
                return {"channel": {"id": values["channel"], "is_member": self.member}}
            case "users.info":
                known = self.people.get(values["user"])
                return {"user": known} if known else {"error": "user_not_found"}
            case "files.info":
                return {"file": self.files.get(values["file"], {})}
            case "chat.postMessage" | "chat.update":
                ts = values.get("ts") or f"1772461800.{next(self._numbers):06d}"
                return {"channel": values["channel"], "ts": ts}
            case "files.getUploadURLExternal":
                name = f"F{next(self._numbers)}"
                return {"upload_url": f"{self.url}/upload/{name}", "file_id": name}
            case "files.completeUploadExternal":
                return {"files": [{"id": one["id"]} for one in _parsed(values["files"])]}
            case "chat.postEphemeral" | "views.open" | "assistant.threads.setStatus":
                return {}
        return {"error": "unknown_method"}

    async def _upload(self, request: web.Request) -> web.Response:
        self.contents[request.match_info["id"]] = (await request.read(), "")
        return web.Response(text="OK")

    async def _file(self, request: web.Request) -> web.Response:
        content, kind = self.contents[request.match_info["id"]]
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        return web.Response(body=content, content_type=kind)


async def _values(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        return dict(await request.json())
    given = {**request.query, **(await request.post())}
    return {name: str(value) for name, value in given.items()}


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _judged(method: str, values: dict[str, Any]) -> list[str]:
    """Slack's published limits of Block Kit and messages."""
    faults = []
    if method in ("chat.postMessage", "chat.update", "chat.postEphemeral"):
        if not values.get("text"):
            faults.append("no text as a fallback")
        if len(values.get("text", "")) > LIMITS["text"]:
            faults.append("msg_too_long")
    blocks = _parsed(values.get("blocks") or [])
    if len(blocks) > 50:
        faults.append("more than 50 blocks")
    for block in blocks:
        faults += _judged_block(block)
    return faults


def _judged_block(block: dict[str, Any]) -> list[str]:
    faults, kind = [], block["type"]
    if kind == "section":
        texts = [block["text"]] if "text" in block else []
        if any(not 1 <= len(one["text"]) <= LIMITS["section"] for one in texts):
            faults.append("a section's text")
        if len(block.get("fields", ())) > 10 or any(len(one["text"]) > 2000 for one in block.get("fields", ())):
            faults.append("a section's fields")
    if kind == "header" and len(block["text"]["text"]) > LIMITS["header"]:
        faults.append("a header's text")
    if kind == "actions":
        ids = [one["action_id"] for one in block["elements"]]
        if len(ids) > 25 or len(set(ids)) < len(ids) or any(len(one) > LIMITS["action_id"] for one in ids):
            faults.append("action ids")
        if any(not 1 <= len(one["text"]["text"]) <= LIMITS["label"] for one in block["elements"]):
            faults.append("a button's label")
        if any(len(one["value"]) > LIMITS["value"] for one in block["elements"]):
            faults.append("a button's value")
    return faults


class Events:
    """What Slack sends, as it really looks."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def ts(self) -> str:
        return f"1772461900.{next(self._numbers):06d}"

    def event(self, **event: Any) -> dict[str, Any]:
        return {
            "token": "deprecated",
            "team_id": TEAM,
            "api_app_id": "A0",
            "type": "event_callback",
            "event_id": f"Ev{next(self._numbers)}",
            "event_time": 1772461800,
            "authorizations": [{"team_id": TEAM, "user_id": ME, "is_bot": True, "enterprise_id": None}],
            "event": {"event_ts": "1772461800.000100", **event},
        }

    def message(self, text: str, user: str = "U0ANA", channel: str = "D0ANA", **fields: Any) -> dict[str, Any]:
        kind = "im" if channel.startswith("D") else "channel"
        given = {"type": "message", "channel": channel, "channel_type": kind, "user": user, "text": text, "team": TEAM}
        return self.event(**{**given, "ts": self.ts(), **fields})

    def mention(self, text: str, user: str = "U0ANA", channel: str = SHARED, **fields: Any) -> dict[str, Any]:
        given = {"type": "app_mention", "channel": channel, "user": user, "text": f"<@{ME}> {text}", "team": TEAM}
        return self.event(**{**given, "ts": self.ts(), **fields})

    def press(
        self, action_id: str, value: str, *, user: str = "U0ANA", channel: str = "D0ANA", ts: str = "1772461800.000001"
    ) -> dict[str, Any]:
        label = {"type": "plain_text", "text": "Sí"}
        return {
            "type": "block_actions",
            "user": {"id": user, "team_id": TEAM, "name": "ana"},
            "team": {"id": TEAM},
            "trigger_id": f"t.{next(self._numbers)}",
            "container": {"type": "message", "message_ts": ts, "channel_id": channel},
            "message": {"ts": ts, "text": "¿Quedó resuelto?", "user": ME, "bot_id": BOT},
            "actions": [{"action_id": action_id, "value": value, "text": label, "action_ts": self.ts()}],
        }

    def form(self, verb: str, thread: str, text: str, *, user: str) -> dict[str, Any]:
        words = {"words": {"words": {"type": "plain_text_input", "value": text}}}
        view = {"id": f"V{next(self._numbers)}", "callback_id": f"desk:{verb}", "private_metadata": thread}
        return {
            "type": "view_submission",
            "user": {"id": user, "team_id": TEAM},
            "team": {"id": TEAM},
            "view": {**view, "state": {"values": words}},
        }


def signed(body: dict[str, Any], *, secret: str = SECRET, at: str | None = None, form: bool = False) -> Request:
    """The call as Slack makes it."""
    raw = (urlencode({"payload": json.dumps(body)}) if form else json.dumps(body)).encode()
    stamp = at or str(int(now().timestamp()))
    made = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    headers = {"content-type": kind, "x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={made}"}
    return Request(method="POST", url="https://nube.example/webhooks/slack", headers=headers, body=raw)


def account(url: str, *, socket: bool, clock: Callable[[], datetime] = now, **settings: Any) -> Slack:
    way = {"app_token": "xapp-1-test"} if socket else {"signing_secret": SECRET}
    given = {"bot_token": TOKEN, "api_base_url": f"{url}/api/", **way, **settings}
    return open_account("slack", Settings.model_validate(given), now=clock)


class AtSlack:
    """For the contract of all channels: Socket Mode, which listens."""

    person = f"{TEAM}:U0ANA"

    def __init__(self) -> None:
        self.slack = FakeSlack()
        self.channel: SlackSocket  # made by `open`
        self._events = Events()

    async def open(self) -> None:
        made = account(await self.slack.start(), socket=True)
        assert isinstance(made, SlackSocket)
        self.channel = made

    async def arrive(self, text: str) -> None:
        await self.slack.envelope(self._events.message(text))

    def confirmed(self) -> int:
        return len(self.slack.confirmed)

    def trouble(self, kind: type[ChannelError]) -> bool:
        if kind is Undeliverable:
            self.slack.errors.append(("chat.postMessage", "user_not_found"))
        elif kind is Unavailable:
            self.slack.busy = 1
        return True

    def heard(self) -> str:
        return "\n".join(values["text"] for values in self.slack.said())

    async def close(self) -> None:
        await self.slack.stop()
        await asyncio.sleep(0)
