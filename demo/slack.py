"""A stand-in of Slack: one workspace with its app, the Web API, and events that are signed and come again."""

import asyncio
import hashlib
import hmac
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from demo.pace import Throttle
from demo.provider import Failing, Picture
from demo.slack_blocks import Refusal, buttons_of, limits, shown
from demo.standin import Bubble, Diary, StandIn, State

APP, BOT, TEAM = "U0ACUSE", "B0ACUSE", "T0NUBE"
SCOPES = (
    "chat:write,im:write,im:history,files:read,files:write,users:read,users:read.email,groups:history,"
    "channels:history,app_mentions:read"
)
RETRIES = 3  # how often an event comes again that was not answered well
STEP = 0.5
ACTION = "|"  # between action id and value in the payload of a button
_AWAY = "<html>Service unavailable</html>"


@dataclass
class Room:
    """A channel, or a direct message with one person."""

    id: str
    name: str
    private: bool = False
    member: bool = True
    shared: bool = False  # with another company (Slack Connect)


class SlackStandIn(StandIn):
    """People are `U…`, channels `C…` or `G…`, direct messages `D…`; a phone is what stands in one of the latter two."""

    kind = "slack"

    def __init__(
        self,
        bot_token: str,
        signing_secret: str,
        *,
        now: Callable[[], datetime],
        send: httpx.AsyncClient,
        events_url: str | None = None,
        diary: Diary | None = None,
        pace: timedelta = timedelta(seconds=1),
        burst: int = 3,
    ) -> None:
        super().__init__(now=now, diary=diary)
        self.bot_token, self.signing_secret = bot_token, signing_secret
        self.events_url = events_url
        self.people: dict[str, dict[str, Any]] = {}
        self.rooms: dict[str, Room] = {}
        self.scopes = SCOPES
        self.views: list[dict[str, Any]] = []  # forms that are open
        self._send = send
        self._throttle = Throttle(now, pace, burst)
        self._files: dict[str, Picture] = {}
        self._ids = itertools.count(1)
        self._held: list[tuple[bytes, str, Bubble | None, int]] = []  # not taken by Acuse yet
        self.app = Starlette(
            routes=[
                Route("/api/{method}", self._call, methods=["GET", "POST"]),
                Route("/upload/{file}", self._upload, methods=["POST", "PUT"]),
                Route("/files/{file}/{name}", self._file),
            ]
        )
        self.app.state.url = "https://slack.com"

    # who there is

    def person(self, user: str, name: str, *, email: str = "", team: str = TEAM, **more: Any) -> None:
        """Somebody; with another team they are from another company."""
        stranger = {"is_stranger": True} if team != TEAM else {"is_email_confirmed": bool(email)}
        profile = {"real_name": name, "display_name": name.split()[0], "email": email}
        told = {"id": user, "team_id": team, "name": name.split()[0].lower(), "real_name": name, "locale": "es-419"}
        self.people[user] = told | {"profile": profile, "is_bot": False, "deleted": False} | stranger | more

    def channel(self, channel: str, name: str, **more: Any) -> None:
        """A channel that the app is in."""
        self.rooms[channel] = Room(channel, name, **more)
        self.phone(channel, name)

    # what a person does

    async def write(
        self,
        user: str,
        text: str,
        *,
        channel: str | None = None,
        thread_ts: str | None = None,
        files: Sequence[tuple[str, str, bytes]] = (),
        repeat: int = 1,
    ) -> str:
        """In a channel, a thread of it, or directly to the app. The message's time stamp."""
        room = channel or self._direct(user)
        ts = self._ts()
        pictures = [Picture(*one) for one in files]
        event: dict[str, Any] = self._event("message", user, room, ts, text)
        if thread_ts:
            event["thread_ts"] = thread_ts
        if pictures:
            event |= {"subtype": "file_share", "files": [self._kept(one) for one in pictures]}
        name = self.people[user]["real_name"]
        extra = {"thread": thread_ts or ts, "user": user}
        bubble = Bubble(id=ts, mine=True, text=text, at=self.now(), files=pictures, heading=name, extra=extra)
        self.show(self.phone(room, "" if channel else name), bubble)
        await self._tell(event, bubble, repeat)
        if f"<@{APP}>" in text and channel:
            await self._tell({**event, "type": "app_mention"}, None, 1)
        return ts

    async def press(self, user: str, channel: str, ts: str, action_id: str, value: str) -> int:
        """A button under a message. The status that Acuse answered with."""
        under = self.phone(channel).bubble(ts)
        pair = next((one for one in under.buttons if one[1] == action_id + ACTION + value), None) if under else None
        label = pair[0] if pair else value
        self.diary.write(self.kind, "pressed", f"{self.people[user]['real_name']}: {label}")
        moment = self._ts()
        action = {"action_id": action_id, "value": value, "type": "button", "action_ts": moment}
        body = self._interaction("block_actions", user) | {
            "trigger_id": f"{moment}.{next(self._ids)}",
            "container": {"type": "message", "message_ts": ts, "channel_id": channel},
            "channel": {"id": channel, "name": self.rooms[channel].name if channel in self.rooms else "directmessage"},
            "message": {"ts": ts, "text": under.text if under else "", "user": APP, "bot_id": BOT, "type": "message"},
            "actions": [action | {"text": {"type": "plain_text", "text": label}}],
        }
        return await self._post(urlencode({"payload": json.dumps(body)}).encode(), "application/x-www-form-urlencoded")

    async def submit(self, user: str, text: str) -> int:
        """Fill the form that was opened last, and send it."""
        view = self.views.pop()
        block = next(one for one in view["blocks"] if one["type"] == "input")
        value = {block["element"]["action_id"]: {"type": "plain_text_input", "value": text}}
        state = {"values": {block["block_id"]: value}}
        body = self._interaction("view_submission", user) | {"view": view | {"state": state}}
        return await self._post(urlencode({"payload": json.dumps(body)}).encode(), "application/x-www-form-urlencoded")

    async def edit(self, user: str, channel: str, ts: str, text: str) -> None:
        """The person changes a message."""
        bubble = self.phone(channel).bubble(ts)
        before = bubble.text if bubble else ""
        if bubble:
            bubble.text = text
        moment = self._ts()
        message = self._event("message", user, channel, ts, text) | {"edited": {"user": user, "ts": moment}}
        event = {"type": "message", "subtype": "message_changed", "channel": channel, "ts": moment, "event_ts": moment}
        await self._tell(event | {"message": message, "previous_message": {"ts": ts, "text": before}}, None, 1)

    async def react(self, user: str, channel: str, ts: str, reaction: str = "+1") -> None:
        """A thumb on a message."""
        item = {"type": "message", "channel": channel, "ts": ts}
        event = {"type": "reaction_added", "user": user, "reaction": reaction, "item": item, "item_user": APP}
        await self._tell(event | {"event_ts": self._ts()}, None, 1)

    async def run(self) -> None:
        """Bring again what was not taken, until cancelled."""
        while True:
            await self.advance()
            await asyncio.sleep(STEP)

    async def advance(self) -> None:
        """Bring once more what was not taken. After some times Slack gives up."""
        for held in list(self._held) if self.failing is not Failing.DOWN else []:
            raw, kind, bubble, tries = held
            self._held.remove(held)
            if not await self._deliver(raw, kind, bubble, tries) and tries >= RETRIES:
                self.diary.write(self.kind, "hook_failed", "", "bad")

    # events

    def _event(self, type_: str, user: str, channel: str, ts: str, text: str) -> dict[str, Any]:
        kind = "im" if channel.startswith("D") else "group" if self.rooms[channel].private else "channel"
        team = self.people[user]["team_id"]
        event = {"type": type_, "channel": channel, "channel_type": kind, "user": user, "text": text, "ts": ts}
        foreign = {"user_team": team, "source_team": team} if team != TEAM else {}
        return event | {"event_ts": ts, "team": team, "client_msg_id": f"{next(self._ids):032x}"} | foreign

    async def _tell(self, event: Mapping[str, Any], bubble: Bubble | None, repeat: int) -> None:
        body = {
            "token": "deprecated",
            "team_id": TEAM,
            "api_app_id": "A0ACUSE",
            "type": "event_callback",
            "event_id": f"Ev{next(self._ids):010d}",
            "event_time": int(self.now().timestamp()),
            "authorizations": [{"team_id": TEAM, "user_id": APP, "is_bot": True, "enterprise_id": None}],
            "is_ext_shared_channel": bool((room := self.rooms.get(str(event.get("channel")))) and room.shared),
            "event": dict(event),
        }
        raw = json.dumps(body).encode()
        if self.failing is Failing.DOWN:
            self._held.append((raw, "application/json", bubble, 0))
            return
        for tries in range(repeat):
            await self._deliver(raw, "application/json", bubble, tries)

    async def _deliver(self, raw: bytes, kind: str, bubble: Bubble | None, tries: int) -> bool:
        headers = {"X-Slack-Retry-Num": str(tries), "X-Slack-Retry-Reason": "http_error"} if tries else {}
        if (await self._post(raw, kind, headers)) // 100 == 2:
            if bubble and bubble.state is State.SENT:
                bubble.state = State.DELIVERED
                self.diary.write(self.kind, "taken")
            return True
        if tries < RETRIES:
            self._held.append((raw, kind, bubble, tries + 1))
        return False

    async def _post(self, raw: bytes, kind: str, headers: Mapping[str, str] | None = None) -> int:
        if self.events_url is None:
            return 0
        stamp = str(int(self.now().timestamp()))
        made = hmac.new(self.signing_secret.encode(), b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
        signed = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={made}", "Content-Type": kind}
        try:
            answer = await self._send.post(self.events_url, content=raw, headers={**signed, **(headers or {})})
        except httpx.HTTPError:
            return 0
        return answer.status_code

    async def challenge(self) -> str:
        """What Slack asks when the address of the events is entered; gives back the answer."""
        raw = json.dumps({"type": "url_verification", "challenge": "c-42", "token": "deprecated"}).encode()
        stamp = str(int(self.now().timestamp()))
        made = hmac.new(self.signing_secret.encode(), b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
        signed = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={made}"}
        headers = {**signed, "Content-Type": "application/json"}
        return (await self._send.post(self.events_url or "", content=raw, headers=headers)).text

    def _interaction(self, kind: str, user: str) -> dict[str, Any]:
        team = {"id": TEAM, "domain": "nube"}
        who = {"id": user, "username": self.people[user]["name"], "team_id": self.people[user]["team_id"]}
        return {"type": kind, "user": who, "team": team, "api_app_id": "A0ACUSE", "token": "deprecated"}

    # what Acuse calls

    async def _call(self, request: Request) -> Response:
        method = request.path_params["method"]
        given = await _parameters(request)
        if request.headers.get("authorization") != f"Bearer {self.bot_token}":
            return JSONResponse({"ok": False, "error": "invalid_auth"})
        self.note(method, given)
        if refusal := await self._misbehaves(method):
            return refusal
        verb: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] | None
        verb = getattr(self, "_do_" + method.replace(".", "_").lower(), None)
        try:
            if verb is None:
                raise Refusal("unknown_method")
            answer = {"ok": True, **await verb(given)}
        except Refusal as refused:
            answer = {"ok": False, "error": str(refused)}
        except _Slow as slow:
            wait = {"Retry-After": str(slow.seconds)}
            return JSONResponse({"ok": False, "error": "ratelimited"}, status_code=429, headers=wait)
        return JSONResponse(answer, headers={"X-OAuth-Scopes": self.scopes})

    async def _misbehaves(self, method: str) -> Response | None:
        if method != "chat.postMessage":
            return HTMLResponse(_AWAY, status_code=503) if self.failing is Failing.DOWN else None
        match self.fault():
            case Failing.DOWN:
                return HTMLResponse(_AWAY, status_code=503)
            case Failing.BUSY:
                told = {"ok": False, "error": "ratelimited"}
                return JSONResponse(told, status_code=429, headers={"Retry-After": "3"})
            case Failing.REFUSES:
                return JSONResponse({"ok": False, "error": "channel_not_found"})
            case Failing.SLOW:
                await asyncio.sleep(self.slowness.total_seconds())
        return None

    async def _do_auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        told = {"team": "Nube", "team_id": TEAM, "user": "clara", "user_id": APP, "bot_id": BOT}
        return told | {"url": "https://nube.slack.com/"}

    async def _do_chat_postmessage(self, given: dict[str, Any]) -> dict[str, Any]:
        room = self._room(given)
        limits(given)
        if wait := self._throttle.wait(room):
            self.diary.write(self.kind, "answered_busy", tone="bad")
            raise _Slow(wait)
        ts = self._ts()
        self._appear(room, ts, given)
        return {"channel": room, "ts": ts, "message": {"ts": ts, "text": given.get("text", ""), "bot_id": BOT}}

    async def _do_chat_update(self, given: dict[str, Any]) -> dict[str, Any]:
        room = self._room(given)
        limits(given)
        bubble = self.phone(room).bubble(str(given.get("ts")))
        if bubble is None or bubble.mine:
            raise Refusal("message_not_found")
        bubble.heading, bubble.text = shown(given)
        bubble.buttons = buttons_of(given, ACTION)
        self.diary.changed(self.kind)
        return {"channel": room, "ts": bubble.id, "text": given.get("text", "")}

    async def _do_chat_postephemeral(self, given: dict[str, Any]) -> dict[str, Any]:
        room = self._room(given)
        if given.get("user") not in self.people:
            raise Refusal("user_not_in_channel")
        limits(given)
        self._appear(room, ts := self._ts(), given, only=str(given["user"]))
        return {"message_ts": ts}

    async def _do_conversations_open(self, given: dict[str, Any]) -> dict[str, Any]:
        user = str(given.get("users", "")).split(",")[0]
        if user not in self.people:
            raise Refusal("user_not_found")
        return {"channel": {"id": self._direct(user)}}

    async def _do_conversations_info(self, given: dict[str, Any]) -> dict[str, Any]:
        room = self.rooms.get(str(given.get("channel")))
        if room is None:
            raise Refusal("channel_not_found")
        told = {"id": room.id, "name": room.name, "is_member": room.member, "is_private": room.private}
        return {"channel": told | {"is_ext_shared": room.shared, "is_archived": False}}

    async def _do_users_info(self, given: dict[str, Any]) -> dict[str, Any]:
        if (found := self.people.get(str(given.get("user")))) is None:
            raise Refusal("user_not_found")
        return {"user": found}

    async def _do_users_lookupbyemail(self, given: dict[str, Any]) -> dict[str, Any]:
        found = [one for one in self.people.values() if one["profile"]["email"] == given.get("email") != ""]
        if not found:
            raise Refusal("users_not_found")
        return {"user": found[0]}

    async def _do_files_info(self, given: dict[str, Any]) -> dict[str, Any]:
        if (file := str(given.get("file"))) not in self._files:
            raise Refusal("file_not_found")
        return {"file": self._told(file)}

    async def _do_files_getuploadurlexternal(self, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("filename") or not int(given.get("length") or 0):
            raise Refusal("invalid_arguments")
        file = f"F{next(self._ids):08d}"
        self._files[file] = Picture(str(given["filename"]), "", b"")
        return {"upload_url": f"{self.app.state.url}/upload/{file}", "file_id": file}

    async def _do_files_completeuploadexternal(self, given: dict[str, Any]) -> dict[str, Any]:
        files = _parsed(given.get("files") or "[]")
        if any(one["id"] not in self._files for one in files):
            raise Refusal("file_not_found")
        if given.get("channel_id"):
            room = self._room({"channel": given["channel_id"]})
            told = {"text": given.get("initial_comment", ""), "thread_ts": given.get("thread_ts")}
            self._appear(room, self._ts(), told, files=[self._files[one["id"]] for one in files])
        return {"files": [{"id": one["id"], "title": one.get("title", "")} for one in files]}

    async def _do_views_open(self, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("trigger_id"):
            raise Refusal("invalid_arguments")
        view = _parsed(given["view"]) | {"id": f"V{next(self._ids):08d}"}
        self.views.append(view)
        return {"view": view}

    async def _do_reactions_add(self, _: dict[str, Any]) -> dict[str, Any]:
        return {}

    async def _do_assistant_threads_setstatus(self, _: dict[str, Any]) -> dict[str, Any]:
        return {}

    async def _upload(self, request: Request) -> Response:
        file = request.path_params["file"]
        if file not in self._files:
            return Response(status_code=404)
        content = await request.body()
        if request.headers.get("content-type", "").startswith("multipart/"):
            async with request.form() as form:
                content = await next(iter(form.values())).read()  # type: ignore[union-attr]  # a file, in an upload
        type_ = "image/png" if content.startswith(b"\x89PNG") else "application/octet-stream"
        self._files[file] = Picture(self._files[file].name, type_, content)
        return PlainTextResponse(f"OK - {len(content)}")

    async def _file(self, request: Request) -> Response:
        """Without the token Slack shows its own sign-in page, and calls that a success."""
        if request.headers.get("authorization") != f"Bearer {self.bot_token}":
            return HTMLResponse("<!DOCTYPE html><html><title>Sign in to Slack</title></html>")
        found = self._files.get(request.path_params["file"])
        return Response(found.content, media_type=found.type) if found else Response(status_code=404)

    def _appear(
        self, room: str, ts: str, given: Mapping[str, Any], *, files: Sequence[Picture] = (), only: str = ""
    ) -> None:
        heading, text = shown(given)
        bubble = Bubble(
            id=ts,
            mine=False,
            text=text,
            at=self.now(),
            buttons=buttons_of(given, ACTION),
            files=list(files),
            heading=heading,
            extra={"thread": given.get("thread_ts") or ts, "only": only},
        )
        inside = room in self.rooms and self.rooms[room].private
        self.show(self.phone(room), bubble, tell=not inside)
        if inside and not only and not given.get("thread_ts"):
            self.diary.write(self.kind, "carded", f"{heading or ''}: {' '.join(text.split())[:80]}")
        else:
            self.diary.changed(self.kind)

    def _room(self, given: Mapping[str, Any]) -> str:
        """Raises Refusal."""
        room = str(given.get("channel", ""))
        if room in self.people:
            return self._direct(room)
        if room.startswith("D") and f"U{room[1:]}" in self.people:
            return room
        if room not in self.rooms:
            raise Refusal("channel_not_found")
        if not self.rooms[room].member:
            raise Refusal("not_in_channel")
        return room

    def _direct(self, user: str) -> str:
        return f"D{user[1:]}"

    def _kept(self, picture: Picture) -> dict[str, Any]:
        file = f"F{next(self._ids):08d}"
        self._files[file] = picture
        return self._told(file)

    def _told(self, file: str) -> dict[str, Any]:
        picture = self._files[file]
        address = f"{self.app.state.url}/files/{file}/{picture.name}"
        told = {"id": file, "name": picture.name, "mimetype": picture.type, "size": len(picture.content)}
        return told | {"url_private": address, "url_private_download": address, "mode": "hosted"}

    def _ts(self) -> str:
        return f"{int(self.now().timestamp())}.{next(self._ids):06d}"


class _Slow(Exception):
    """429."""

    def __init__(self, seconds: int) -> None:
        super().__init__(str(seconds))
        self.seconds = seconds


async def _parameters(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        return {**given, **json.loads(await request.body() or b"{}")}
    async with request.form() as form:
        return given | {name: str(value) for name, value in form.items()}


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
