"""The demo's Slack at the end of our wire: on a real port, in one workspace where Ana writes and Pedro works."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from channels.channel import ChannelError, Request, Unavailable, Undeliverable
from channels.slack import Settings, Slack, SlackSocket, open_account
from demo import slack_events
from demo.provider import Failing
from demo.serving import serving
from demo.slack_api import SlackApi
from demo.slack_events import APP as ME
from demo.slack_events import BOT, FORM, JSON, TEAM, as_form
from demo.slack_socket import SocketMode

__all__ = ["BOT", "DESK", "ME", "SHARED", "TEAM", "AtSlack", "Events", "a_slack", "account", "now", "signed"]

SECRET, TOKEN, APP_TOKEN = "shh-it-signs", "xoxb-1-test", "xapp-1-test"
DESK, SHARED = "G0DESK", "C0SHARED"


def now() -> datetime:
    return datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@asynccontextmanager
async def a_slack(
    *, clock: Callable[[], datetime] = now, pace: timedelta = timedelta(0), burst: int = 1
) -> AsyncIterator[SlackApi]:
    """While the block lasts. The clock of most tests stands, so there is no pace unless one is given."""
    socket = SocketMode(APP_TOKEN)
    await socket.start()
    async with httpx.AsyncClient() as send:
        made = SlackApi(TOKEN, SECRET, now=clock, send=send, socket=socket, pace=pace, burst=burst)
        made.busy_for = timedelta(seconds=7)
        made.person("U0ANA", "Ana Ruiz")
        made.channel(SHARED, "soporte", shared=True)
        made.channel(DESK, "casos", private=True)
        async with serving(made.app):
            yield made
    await socket.stop()


class Events(slack_events.Events):
    """Bodies as the workspace makes them, of people and places that need not be in it."""

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        super().__init__(clock)

    def message(self, text: str, user: str = "U0ANA", channel: str = "D0ANA", **fields: Any) -> dict[str, Any]:
        kind = {"D": "im", "G": "group"}.get(channel[0], "channel")
        return self.event(**self.said(text, user, channel, **{"kind": kind, **fields}))

    def mention(self, text: str, user: str = "U0ANA", channel: str = SHARED, **fields: Any) -> dict[str, Any]:
        return self.event(**self.mentioned(self.said(f"<@{ME}> {text}", user, channel, kind="channel", **fields)))

    def press(
        self, action_id: str, value: str, *, user: str = "U0ANA", channel: str = "D0ANA", ts: str = "1772461800.000001"
    ) -> dict[str, Any]:
        told = {"channel": channel, "ts": ts, "label": "Sí", "text": "¿Quedó resuelto?"}
        return self.pressed(action_id, value, user={"id": user, "name": "ana"}, **told)

    def form(self, verb: str, thread: str, text: str, *, user: str) -> dict[str, Any]:
        box = {"type": "input", "block_id": "words", "element": {"type": "plain_text_input", "action_id": "words"}}
        view = {"id": "V1", "callback_id": f"desk:{verb}", "private_metadata": thread, "blocks": [box]}
        return self.submitted(view, text, {"id": user})


def signed(body: dict[str, Any], *, secret: str = SECRET, at: str | None = None, form: bool = False) -> Request:
    """The call as Slack makes it."""
    return resigned(as_form(body) if form else slack_events.as_json(body), FORM if form else JSON, secret=secret, at=at)


def resigned(raw: bytes, kind: str = JSON, *, secret: str = SECRET, at: str | None = None) -> Request:
    """Any bytes, signed."""
    headers = slack_events.signed(raw, secret, at or str(int(now().timestamp())), kind)
    lower = {name.lower(): value for name, value in headers.items()}
    return Request(method="POST", url="https://nube.example/webhooks/slack", headers=lower, body=raw)


def account(url: str, *, socket: bool, clock: Callable[[], datetime] = now, **settings: Any) -> Slack:
    way = {"app_token": APP_TOKEN} if socket else {"signing_secret": SECRET}
    given = {"bot_token": TOKEN, "api_base_url": f"{url}/api/", **way, **settings}
    return open_account("slack", Settings.model_validate(given), now=clock)


class AtSlack:
    """For the contract of all channels: Socket Mode, which listens."""

    person = f"{TEAM}:U0ANA"

    def __init__(self) -> None:
        self._life = a_slack()
        self.slack: SlackApi  # both made by `open`
        self.socket: SocketMode
        self.channel: SlackSocket

    async def open(self) -> None:
        self.slack = await self._life.__aenter__()
        assert self.slack.socket is not None
        self.socket = self.slack.socket
        made = account(self.slack.url, socket=True)
        assert isinstance(made, SlackSocket)
        self.channel = made

    async def arrive(self, text: str) -> None:
        await self.slack.write("U0ANA", text)

    def confirmed(self) -> int:
        return len(self.socket.confirmed)

    def trouble(self, kind: type[ChannelError]) -> bool:
        if kind is Undeliverable:
            self.slack.errors.append(("chat.postMessage", "user_not_found"))
        elif kind is Unavailable:
            self.slack.fail(Failing.BUSY, times=1)
        return True

    def heard(self) -> str:
        return "\n".join(values["text"] for values in self.slack.asked("chat.postMessage"))

    def faults(self) -> list[str]:
        return self.slack.faults

    async def close(self) -> None:
        await self._life.__aexit__(None, None, None)
