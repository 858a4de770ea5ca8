"""A workspace of Slack without its Web API: people, rooms, messages, and events that are signed and come again."""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from demo.provider import Failing, Picture, Provider
from demo.slack_blocks import Refusal, button_of
from demo.slack_events import APP, FORM, JSON, TEAM, Events, as_form, as_json, signed
from demo.slack_socket import SocketMode

RETRIES = 3  # how often an event comes again that was not answered well
STEP = 0.5


@dataclass
class Room:
    """A channel, or a direct message with one person."""

    id: str
    name: str
    private: bool = False
    member: bool = True
    shared: bool = False  # with another company (Slack Connect)


@dataclass
class Post:
    """A message. `user`: who wrote it, None: Acuse; `given`: what it is made of; `only`: who sees it, "": all."""

    room: str
    ts: str
    given: Mapping[str, Any]
    user: str | None = None
    files: Sequence[Picture] = ()
    only: str = ""
    taken: bool = False  # Acuse has it

    @property
    def thread(self) -> str:
        """The stamp of the message that it stands below; its own when it stands alone."""
        return str(self.given.get("thread_ts") or self.ts)


@dataclass
class Held:
    """A call that Acuse did not take."""

    raw: bytes
    post: Post | None
    tries: int


class Workspace(Provider):
    """People are `U…`, channels `C…` or `G…`, direct messages `D…`. With a `socket`, events go that way."""

    kind = "slack"

    def __init__(
        self,
        signing_secret: str,
        *,
        now: Callable[[], datetime],
        send: httpx.AsyncClient,
        events_url: str | None = None,
        socket: SocketMode | None = None,
    ) -> None:
        super().__init__(now=now)
        self.signing_secret = signing_secret
        self.events_url = events_url
        self.socket = socket
        self.events = Events(now)
        self.people: dict[str, dict[str, Any]] = {}
        self.rooms: dict[str, Room] = {}
        self.posts: dict[tuple[str, str], Post] = {}
        self.files: dict[str, Picture] = {}
        self.views: list[dict[str, Any]] = []  # forms that are open
        self._elsewhere: dict[str, str] = {}  # where a file is that Slack does not keep itself
        self._send = send
        self._ids = itertools.count(1)
        self._held: list[Held] = []  # not taken by Acuse yet

    # who and what there is

    def person(self, user: str, name: str, *, email: str = "", team: str = TEAM, **more: Any) -> None:
        """Somebody; with another team they are from another company."""
        stranger = {"is_stranger": True} if team != TEAM else {"is_email_confirmed": bool(email)}
        profile = {"real_name": name, "display_name": name.split()[0], "email": email}
        told = {"id": user, "team_id": team, "name": name.split()[0].lower(), "real_name": name, "locale": "es-419"}
        self.people[user] = told | {"profile": profile, "is_bot": False, "deleted": False} | stranger | more

    def channel(self, channel: str, name: str, **more: Any) -> None:
        """A channel that the app is in."""
        self.rooms[channel] = Room(channel, name, **more)

    def keep(self, picture: Picture, file: str = "", elsewhere: str | None = None) -> dict[str, Any]:
        """A file; what Slack tells of it. `elsewhere`: it is not at Slack but at this address."""
        file = file or f"F{next(self._ids):08d}"
        self.files[file] = picture
        if elsewhere is not None:
            self._elsewhere[file] = elsewhere
        return self.told(file)

    def told(self, file: str) -> dict[str, Any]:
        """What Slack tells of a file."""
        picture = self.files[file]
        address = self._elsewhere.get(file, f"{self.url}/files/{file}/{picture.name}")
        told = {"id": file, "name": picture.name, "mimetype": picture.type, "size": len(picture.content)}
        return told | {"url_private": address, "url_private_download": address, "mode": "hosted"}

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        return "https://slack.com"

    def direct(self, user: str) -> str:
        """The room of the direct messages with somebody."""
        return f"D{user[1:]}"

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
        room, pictures = channel or self.direct(user), [Picture(*one) for one in files]
        more: dict[str, Any] = {"thread_ts": thread_ts} if thread_ts else {}
        if pictures:
            more |= {"subtype": "file_share", "files": [self.keep(one) for one in pictures]}
        said = self.events.said(text, user, room, kind=self._kind(room), team=self.people[user]["team_id"], **more)
        post = Post(room, said["ts"], said, user, pictures)
        self.posts[room, post.ts] = post
        self.appeared(post)
        await self._tell(said, post, repeat)
        if f"<@{APP}>" in text and channel:
            await self._tell(self.events.mentioned(said), None, 1)
        return post.ts

    async def press(self, user: str, channel: str, ts: str, action_id: str, value: str) -> int:
        """A button under a message. The status that Acuse answered with."""
        under = self.posts.get((channel, ts))
        label = (button_of(under.given, action_id, value) if under else None) or value
        self.tell("pressed", f"{self.people[user]['real_name']}: {label}")
        body = self.events.pressed(
            action_id,
            value,
            user=self.people[user],
            channel=channel,
            ts=ts,
            label=label,
            text=str(under.given.get("text", "")) if under else "",
            room=self.rooms[channel].name if channel in self.rooms else "directmessage",
        )
        return await self._interact(body)

    async def submit(self, user: str, text: str) -> int:
        """Fill the form that was opened last, and send it."""
        return await self._interact(self.events.submitted(self.views.pop(), text, self.people[user]))

    async def edit(self, user: str, channel: str, ts: str, text: str) -> None:
        """The person changes a message."""
        post = self.posts[channel, ts]
        before, post.given = str(post.given["text"]), {**post.given, "text": text}
        self.changed(post)
        await self._tell(self.events.changed(post.given, before), None, 1)

    async def react(self, user: str, channel: str, ts: str, reaction: str = "+1") -> None:
        """A thumb on a message."""
        await self._tell(self.events.reaction(user, channel, ts, reaction), None, 1)

    async def challenge(self) -> str:
        """What Slack asks when the address of the events is entered; gives back the answer."""
        raw = as_json({"type": "url_verification", "challenge": "c-42", "token": "deprecated"})
        return (await self._send.post(self.events_url or "", content=raw, headers=self._headers(raw, JSON))).text

    async def run(self) -> None:
        """Bring again what was not taken, until cancelled."""
        while True:
            await self.advance()
            await asyncio.sleep(STEP)

    async def advance(self) -> None:
        """Bring once more what was not taken. After some times Slack gives up."""
        for held in list(self._held) if self.failing is not Failing.DOWN else []:
            self._held.remove(held)
            if not await self._deliver(held.raw, held.post, held.tries) and held.tries >= RETRIES:
                self.tell("hook_failed", "", "bad")

    # what the page's half shows of it; the protocol alone shows nothing

    def appeared(self, post: Post) -> None:
        """A message stands there."""

    def changed(self, post: Post) -> None:
        """It says something else now."""

    def took(self, post: Post) -> None:
        """Acuse has a person's message."""

    # events

    def _kind(self, room: str) -> str:
        return "im" if room.startswith("D") else "group" if self.rooms[room].private else "channel"

    async def _tell(self, event: Mapping[str, Any], post: Post | None, repeat: int) -> None:
        room = self.rooms.get(str(event.get("channel")))
        body = self.events.event(shared=bool(room and room.shared), **event)
        if self.socket is not None:
            await self.socket.bring(body)
            return
        raw = as_json(body)
        if self.failing is Failing.DOWN:
            self._held.append(Held(raw, post, 0))
            return
        for tries in range(repeat):
            await self._deliver(raw, post, tries)

    async def _interact(self, body: Mapping[str, Any]) -> int:
        if self.socket is not None:
            await self.socket.bring(body, "interactive")
            return 0
        return await self._post(as_form(body), FORM)

    async def _deliver(self, raw: bytes, post: Post | None, tries: int) -> bool:
        again = {"X-Slack-Retry-Num": str(tries), "X-Slack-Retry-Reason": "http_error"} if tries else {}
        if (await self._post(raw, JSON, again)) // 100 == 2:
            if post and not post.taken:
                post.taken = True
                self.took(post)
            return True
        if tries < RETRIES:
            self._held.append(Held(raw, post, tries + 1))
        return False

    async def _post(self, raw: bytes, kind: str, more: Mapping[str, str] | None = None) -> int:
        if self.events_url is None:
            return 0
        try:
            answer = await self._send.post(
                self.events_url, content=raw, headers={**self._headers(raw, kind), **(more or {})}
            )
        except httpx.HTTPError:
            return 0
        return answer.status_code

    def _headers(self, raw: bytes, kind: str) -> dict[str, str]:
        return signed(raw, self.signing_secret, str(int(self.now().timestamp())), kind)

    def _room(self, given: Mapping[str, Any]) -> str:
        """Where a message of ours goes. Raises Refusal."""
        room = str(given.get("channel", ""))
        if room in self.people:
            return self.direct(room)
        if room.startswith("D") and f"U{room[1:]}" in self.people:
            return room
        if room not in self.rooms:
            raise Refusal("channel_not_found")
        if not self.rooms[room].member:
            raise Refusal("not_in_channel")
        return room
