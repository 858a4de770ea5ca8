"""Slack: customers in direct messages, shared channels and the assistant pane; agents in a channel of their own."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from slack_sdk.signature import Clock, SignatureVerifier

from channels import slack_errors, slack_reading, slack_writing
from channels.channel import (
    Arrival,
    ChannelError,
    Cursor,
    Features,
    Forged,
    Health,
    Ignored,
    Inbound,
    Malformed,
    Media,
    Opened,
    Outbound,
    Rate,
    Reply,
    Request,
    Undeliverable,
    Unsupported,
    Welcome,
)
from channels.recent import Recent
from channels.slack_calls import Calls
from channels.slack_desk import SlackDesk
from channels.slack_errors import NoWayIn, named_by_remedy
from channels.slack_settings import Settings
from channels.slack_socket import Identity, connected

__all__ = ["Settings", "Slack", "SlackSocket", "open_account"]

logger = logging.getLogger(__name__)

SCOPES = frozenset({"chat:write", "im:write", "im:history", "files:read", "files:write", "users:read"})
DESK_SCOPES = frozenset({"groups:history", "users:read.email"})
_INTRODUCE_SECONDS = 1.0
PROMPTS = 4  # more are refused
AT_IT = {"es": "está escribiendo…", "en": "is typing…", "pt": "está escrevendo…"}  # stands behind the app's name


class _Given(Clock):
    """Our clock, for the library."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def now(self) -> float:
        return self._now().timestamp()


class Slack(SlackDesk):
    """One app in one workspace, called by Slack."""

    def __init__(self, name: str, settings: Settings, *, now: Callable[[], datetime]) -> None:
        super().__init__(Calls(settings, now), settings.agents_channel)
        self.name = name
        self.features = Features(
            buttons=8,
            text_limit=slack_writing.TEXT_LIMIT,
            threads=True,
            burst=timedelta(seconds=3),
            pace=(Rate(1, timedelta(seconds=1), "recipient"),),
        )
        self._now = now
        self._settings = settings
        self._views = slack_reading.Views(name, settings.agents_channel, frozenset(settings.open_channels))
        self._rooms: Recent[str] = Recent()  # direct messages, by user
        self._untitled: Recent[bool] = Recent()  # threads of the pane in which nothing was said yet
        self._left: Recent[int] = Recent()  # parts of a message that have left, by our key

    # ---- what arrives

    def read(self, request: Request) -> list[Arrival]:
        """Check the signature on the untouched body and the age of the call, then translate."""
        secret = self._settings.signing_secret
        if secret is None:
            raise Forged("slack: this account uses Socket Mode")
        try:
            verifier = SignatureVerifier(secret.get_secret_value(), _Given(self._now))
            genuine = verifier.is_valid_request(request.body, dict(request.headers))
        except (ValueError, OverflowError):  # a time stamp that is no number, a body that is no text
            genuine = False
        if not genuine:
            raise Forged("slack: the signature does not fit")
        body = _body(request)
        if body.get("type") == "url_verification":
            return []
        return list(self._understood(body))

    def reply(self, request: Request) -> Reply | None:
        """Slack's challenge is given back; to all else 200 without a word, which also closes a form."""
        try:
            body = _body(request)
        except (Malformed, Unsupported):
            return Reply(200)
        if body.get("type") == "url_verification":
            return Reply(200, body=str(body.get("challenge") or "").encode())
        return Reply(200)

    def _understood(self, body: dict[str, Any]) -> Iterator[Arrival]:
        try:
            found = list(slack_reading.read(body, self._views, self._now()))
        except Exception as error:  # one odd event must not stop those behind it
            logger.error("slack: an event was not understood: %s", type(error).__name__)
            found = [Ignored(why="slack: not understood")]
        yield from found

    async def introduce(self, inbound: Inbound) -> Inbound:
        """Add name and language, if Slack tells them within a second."""
        user = inbound.sender.value.rpartition(":")[2]
        try:
            async with asyncio.timeout(_INTRODUCE_SECONDS):
                known = await self._calls.profile(user)
        except (ChannelError, TimeoutError):
            return inbound
        return replace(inbound, name=known.colleague.name or inbound.name, language=known.language)

    def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """Stream a file. Raises Undeliverable when it is gone, too large or not for us."""
        return self._calls.download(media)

    async def settle(self, inbound: Inbound) -> None:
        """Take the buttons from the message; its text, with the choice, stays."""
        if "message" not in inbound.extra:
            return
        shown = slack_reading.plain(inbound.extra.get("text") or "")
        text = f"{shown}\n✓ {inbound.text}" if inbound.text else shown
        try:
            with named_by_remedy():
                await self._calls.web().chat_update(
                    channel=inbound.extra["channel"],
                    ts=inbound.extra["message"],
                    text=slack_writing.escaped(text),
                    blocks=slack_writing.sections(text),
                )
        except ChannelError as error:
            logger.info("slack: a button was not settled: %s", error)

    async def welcome(self, opened: Opened, words: Mapping[str, Welcome]) -> None:
        """In a new thread of the assistant pane: what one may say to us, to be pressed."""
        where = {"channel_id": opened.extra["channel"], "thread_ts": opened.extra["thread"]}
        self._untitled.keep(where["thread_ts"], True)
        spoken = await self._spoken(opened.extra["user"]) if len(words) > 1 else None
        shown = words.get(spoken or "") or next(iter(words.values()))
        prompts = [{"title": title, "message": message} for title, message in shown.suggestions[:PROMPTS]]
        try:
            with named_by_remedy():
                await self._calls.web().assistant_threads_setSuggestedPrompts(
                    **where, title=shown.title, prompts=prompts
                )
        except ChannelError as error:
            logger.info("slack: no welcome was shown: %s", error)

    async def _spoken(self, user: str) -> str | None:
        try:
            async with asyncio.timeout(_INTRODUCE_SECONDS):
                return (await self._calls.profile(user)).language
        except (ChannelError, TimeoutError):
            return None

    async def notice(self, inbound: Inbound) -> None:
        """In the assistant pane: say that we are at it, and name a new thread after its first words."""
        if not inbound.extra.get("pane"):
            return
        where = {"channel_id": inbound.extra["channel"], "thread_ts": str(inbound.extra["thread"])}
        status = AT_IT.get(inbound.language or "", "…")
        try:
            if (title := slack_writing.title(inbound.text)) and self._untitled.get(where["thread_ts"]):
                self._untitled.drop(where["thread_ts"])
                with named_by_remedy():
                    await self._calls.web().assistant_threads_setTitle(**where, title=title)
            with named_by_remedy():
                await self._calls.web().assistant_threads_setStatus(**where, status=status)
        except ChannelError as error:
            logger.info("slack: no status was shown: %s", error)

    # ---- what leaves

    def place_of(self, thread: str) -> str | None:
        """A channel, for which Slack counts our messages, whoever they are for; a direct message is one person's."""
        channel = thread.partition(":")[0]
        return None if channel.startswith("D") else channel

    async def send(self, message: Outbound) -> str:
        """Where the person wrote, in the same thread; where that is closed to us by now, in a direct message."""
        user = message.to.value.rpartition(":")[2]
        if not message.text.strip() and not message.files:
            raise Undeliverable("slack: nothing to send", "message")
        if message.replies_to:
            channel, thread = slack_reading.place(message.replies_to[-1])
            try:
                return await self._send(message, channel, thread)
            except NoWayIn:
                logger.info("slack: a channel is closed to us, the person is written to directly")
        try:
            return await self._send(message, await self._room(user), None)
        except NoWayIn as error:
            raise Undeliverable(str(error)) from None

    async def _send(self, message: Outbound, channel: str, thread: str | None) -> str:
        """The files, then the text. A second attempt goes on after the parts that have left."""
        number, last = self._left.get(message.key) or 0, ""
        for index, file in enumerate(message.files):
            if index >= number:
                last = f"{channel}:{await self._calls.upload(file, channel, thread)}"
                self._left.keep(message.key, index + 1)
        if text := message.text.strip():
            values = slack_writing.message(text, message.buttons)
            last = await self._post(channel, thread, values)
        self._left.drop(message.key)
        return last

    async def _post(self, channel: str, thread: str | None, values: dict[str, Any]) -> str:
        with named_by_remedy():
            sent = await self._calls.web().chat_postMessage(channel=channel, thread_ts=thread, **values)
        return slack_reading.provider_id(str(sent.get("channel") or channel), str(sent["ts"]), thread)

    async def _room(self, user: str) -> str:
        room = self._rooms.get(user)
        if room is None:
            with named_by_remedy(shows=False):
                opened = await self._calls.web().conversations_open(users=user)
            room = str(opened["channel"]["id"])
        self._rooms.keep(user, room)
        return room

    # ---- the rest

    async def check(self) -> Health:
        """Ask who we are, what we may do, and whether we are in the agents' channel."""
        try:
            me = await self._calls.me()
            await self._look_at_the_desk()
            await self._look_at_the_way_in()
        except ChannelError as error:
            code = str(error).removeprefix("slack: ").partition(" ")[0]
            remedy = slack_errors.REMEDIES.get(
                code, f"Check channels.{self.name} and the network to {self._calls.base}."
            )
            if code in ("invalid_auth", "not_authed", "token_revoked"):
                remedy = f"Copy the token from the app's page to channels.{self.name}."
            return Health(False, str(error), remedy)
        except Exception as error:  # a check tells, it never raises
            return Health(False, type(error).__name__, f"Is channels.{self.name}.api_base_url Slack?")
        if missing := self._missing(me):
            return Health(
                False, f"the app may not {', '.join(sorted(missing))}", slack_errors.REMEDIES["missing_scope"]
            )
        return Health(True, f"@{me['user']} in {me.get('team') or me.get('team_id')}")

    def _missing(self, me: dict[str, Any]) -> frozenset[str]:
        if not me.get("scopes"):
            return frozenset()  # it was not said
        granted = {one.strip() for one in str(me["scopes"]).split(",")}
        return (SCOPES | (DESK_SCOPES if self.desk else frozenset())) - granted

    async def _look_at_the_desk(self) -> None:
        if self.desk is None:
            return
        with named_by_remedy():
            found = (await self._calls.web().conversations_info(channel=self.desk)).get("channel") or {}
        if not found.get("is_member"):
            raise Undeliverable("slack: not_in_channel (agents_channel)")

    async def _look_at_the_way_in(self) -> None:
        """Whether we can be called is seen when Slack calls."""

    async def close(self) -> None:
        """Give connections back."""
        await self._calls.close()


class SlackSocket(Slack):
    """One app that calls Slack, so that nobody has to reach us: Socket Mode."""

    @property
    def _app_token(self) -> str:
        token = self._settings.app_token
        return token.get_secret_value() if token else ""

    async def _look_at_the_way_in(self) -> None:
        with named_by_remedy():
            await self._calls.web().apps_connections_open(app_token=self._app_token)

    async def listen(self, since: Cursor | None) -> AsyncIterator[Arrival]:
        """Yield what arrives. Slack keeps the place, so there is no cursor: what is not confirmed comes again."""
        me = await self._calls.me()
        identity = Identity(str(me.get("team_id")), str(me.get("user_id")), str(me.get("bot_id")))
        self._views = replace(self._views, me=identity.user)
        async with connected(self._calls.web(), self._app_token, identity) as socket:
            while True:
                envelope = await socket.next()
                for arrival in self._understood(envelope.body):
                    yield await self.introduce(arrival) if isinstance(arrival, Inbound) else arrival
                envelope.confirm()


def open_account(name: str, settings: Settings, *, now: Callable[[], datetime]) -> Slack:
    """The account in the mode that its tokens allow."""
    return (SlackSocket if settings.app_token is not None else Slack)(name, settings, now=now)


def _body(request: Request) -> dict[str, Any]:
    """Events are JSON; presses and forms are JSON in a form. Raises Malformed, Unsupported."""
    try:
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            given = parse_qs(request.body.decode()).get("payload")
            if not given:  # a slash command, or Slack's look at our certificate
                raise Unsupported("slack: a form without payload")
            body = json.loads(given[0])
        else:
            body = json.loads(request.body)
    except ValueError:
        raise Malformed("slack: not JSON") from None
    if not isinstance(body, dict):
        raise Malformed("slack: not an object")
    return body
