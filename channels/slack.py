"""Slack: customers in direct messages, shared channels and the assistant pane; agents in a channel of their own."""

import asyncio
import json
import logging
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, SecretStr, field_validator, model_validator
from slack_sdk.signature import Clock, SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from channels import slack_errors, slack_reading, slack_writing
from channels.channel import (
    Arrival,
    Card,
    ChannelError,
    Colleague,
    Cursor,
    Features,
    File,
    Forged,
    Form,
    Health,
    Ignored,
    Inbound,
    Malformed,
    Media,
    Outbound,
    Rate,
    Reply,
    Request,
    Unavailable,
    Undeliverable,
    Unsupported,
)
from channels.slack_errors import NoWayIn, named_by_remedy
from channels.slack_socket import Identity, connected
from channels.storable import storable

logger = logging.getLogger(__name__)

SCOPES = frozenset({"chat:write", "im:write", "im:history", "files:read", "files:write", "users:read"})
DESK_SCOPES = frozenset({"groups:history", "users:read.email"})
_CALL_SECONDS = 20
_INTRODUCE_SECONDS = 1.0
_KNOWN_FOR = timedelta(minutes=10)
_KNOWN = 5000  # people whose names we remember
_UNFINISHED = 1000  # messages of which parts have left
_LARGEST = 100 * 1024 * 1024
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,}")


class Settings(BaseModel):
    """The section of a Slack app in config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bot_token: SecretStr
    """xoxb-…"""
    app_token: SecretStr | None = None
    """xapp-…: Socket Mode, which needs no public address."""
    signing_secret: SecretStr | None = None
    """Without an app token: Slack calls {public_url}/webhooks/{account}."""
    api_base_url: AnyHttpUrl = AnyHttpUrl("https://slack.com/api/")
    agents_channel: str | None = None
    """The id (C…) of the private channel where agents work."""
    agents: dict[str, str] = {}
    """Slack user id → login, for agents whose login is not their e-mail."""
    open_channels: list[str] = []
    """Ids of channels where every message is meant for us; elsewhere people mention the app."""

    @field_validator("bot_token", "app_token", "signing_secret")
    @classmethod
    def _trimmed(cls, secret: SecretStr | None) -> SecretStr | None:
        return SecretStr(secret.get_secret_value().strip()) if secret and secret.get_secret_value().strip() else None

    @field_validator("agents_channel", "open_channels")
    @classmethod
    def _are_ids(cls, given: str | list[str] | None) -> str | list[str] | None:
        for one in [given] if isinstance(given, str) else given or []:
            if not _CHANNEL.fullmatch(one):
                raise ValueError("is not a channel's id; it stands at the bottom of the channel's details: C0123ABCD")
        return given

    @model_validator(mode="after")
    def _one_way_in(self) -> "Settings":
        if self.bot_token is None or not self.bot_token.get_secret_value().startswith("xoxb-"):
            raise ValueError("bot_token is not a bot token; it looks like xoxb-… (OAuth & Permissions)")
        if self.app_token is not None and not self.app_token.get_secret_value().startswith("xapp-"):
            raise ValueError("app_token is not an app-level token; it looks like xapp-… (Basic Information)")
        if self.app_token is None and self.signing_secret is None:
            raise ValueError("needs app_token (Socket Mode) or signing_secret (Slack calls us)")
        return self


@dataclass(frozen=True)
class _Profile:
    colleague: Colleague
    language: str | None
    until: datetime


class _Given(Clock):
    """Our clock, for the library."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def now(self) -> float:
        return self._now().timestamp()


class Slack:
    """One app in one workspace, called by Slack."""

    def __init__(self, name: str, settings: Settings, *, now: Callable[[], datetime]) -> None:
        self.name = name
        self.desk = settings.agents_channel
        self.features = Features(
            buttons=8,
            text_limit=slack_writing.TEXT_LIMIT,
            threads=True,
            burst=timedelta(seconds=3),
            pace=(Rate(1, timedelta(seconds=1), "recipient"),),
        )
        self._now = now
        self._settings = settings
        self._base = str(settings.api_base_url)
        self._views = slack_reading.Views(name, settings.agents_channel, frozenset(settings.open_channels))
        self._people: OrderedDict[str, _Profile] = OrderedDict()
        self._rooms: dict[str, str] = {}  # direct messages, by user
        self._left: OrderedDict[str, int] = OrderedDict()  # parts of a message that have left, by our key
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

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
                known = await self._profile(user)
        except (ChannelError, TimeoutError):
            return inbound
        return replace(inbound, name=known.colleague.name or inbound.name, language=known.language)

    async def fetch(self, media: Media) -> AsyncIterator[bytes]:
        """Stream a file with our token, which goes to Slack and to nobody else."""
        if media.ref is None:
            raise Undeliverable("slack: no file", "message")
        if (media.size or 0) > _LARGEST:
            raise Undeliverable("slack: a file larger than 100 MB", "message")
        with named_by_remedy():
            file = (await self._web().files_info(file=media.ref)).get("file") or {}
        address = str(file.get("url_private_download") or file.get("url_private") or "")
        if not self._is_slacks(address):
            raise Undeliverable("slack: the file is not kept at Slack", "message")
        token = {"Authorization": f"Bearer {self._settings.bot_token.get_secret_value()}"}
        received = 0
        with named_by_remedy():
            async with self._http().get(address, headers=token, allow_redirects=False) as response:
                _refuse(response, str(file.get("mimetype") or ""))
                async for piece in response.content.iter_chunked(65536):
                    received += len(piece)
                    if received > _LARGEST:
                        raise Undeliverable("slack: a file larger than 100 MB", "message")
                    yield piece

    async def settle(self, inbound: Inbound) -> None:
        """Take the buttons from the message; its text, with the choice, stays."""
        if "message" not in inbound.extra:
            return
        shown = slack_reading.plain(inbound.extra.get("text") or "")
        text = f"{shown}\n✓ {inbound.text}" if inbound.text else shown
        try:
            with named_by_remedy():
                await self._web().chat_update(
                    channel=inbound.extra["channel"],
                    ts=inbound.extra["message"],
                    text=slack_writing.escaped(text),
                    blocks=slack_writing.sections(text),
                )
        except ChannelError as error:
            logger.info("slack: a button was not settled: %s", error)

    async def notice(self, inbound: Inbound) -> None:
        """In the assistant pane: say that we are at it."""
        if not inbound.extra.get("pane"):
            return
        try:
            with named_by_remedy():
                await self._web().assistant_threads_setStatus(
                    channel_id=inbound.extra["channel"], thread_ts=inbound.extra["thread"], status="…"
                )
        except ChannelError as error:
            logger.info("slack: no status was shown: %s", error)

    # ---- what leaves

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
        number, last = self._left.get(message.key, 0), ""
        for index, file in enumerate(message.files):
            if index >= number:
                last = await self._upload(file, channel, thread)
                self._left[message.key] = index + 1
        if text := message.text.strip():
            values = slack_writing.message(text, message.buttons)
            last = await self._post(channel, thread, values)
        self._left.pop(message.key, None)
        while len(self._left) > _UNFINISHED:
            self._left.popitem(last=False)
        return last

    async def _post(self, channel: str, thread: str | None, values: dict[str, Any]) -> str:
        with named_by_remedy():
            sent = await self._web().chat_postMessage(channel=channel, thread_ts=thread, **values)
        return slack_reading.provider_id(str(sent.get("channel") or channel), str(sent["ts"]), thread)

    async def _upload(self, file: File, channel: str, thread: str | None) -> str:
        try:
            content = await asyncio.to_thread(file.path.read_bytes)
        except OSError as error:
            logger.error("slack: a file to send cannot be read: %s", type(error).__name__)
            raise Undeliverable("slack: the file to send cannot be read", "message") from None
        with named_by_remedy():
            sent = await self._web().files_upload_v2(
                file=content, filename=file.name, title=file.name, channel=channel, thread_ts=thread
            )
        return f"{channel}:{(sent.get('file') or {}).get('id') or file.name}"

    async def _room(self, user: str) -> str:
        if user not in self._rooms:
            with named_by_remedy():
                opened = await self._web().conversations_open(users=user)
            self._rooms[user] = str(opened["channel"]["id"])
        return self._rooms[user]

    # ---- agents

    async def put(self, card: Card) -> str:
        """Show a new card in the agents' channel."""
        with named_by_remedy():
            sent = await self._web().chat_postMessage(channel=self.desk or "", **slack_writing.card(card))
        return f"{sent['channel']}:{sent['ts']}"

    async def change(self, thread: str, card: Card) -> None:
        """Show the card anew."""
        channel, _, ts = thread.partition(":")
        values = slack_writing.card(card)
        with named_by_remedy():
            await self._web().chat_update(channel=channel, ts=ts, text=values["text"], blocks=values["blocks"])

    async def tell(self, thread: str, text: str, *, loud: bool = False) -> None:
        """Write below the card."""
        channel, _, ts = thread.partition(":")
        values = slack_writing.message(text, ())
        with named_by_remedy():
            await self._web().chat_postMessage(channel=channel, thread_ts=ts, reply_broadcast=loud, **values)

    async def whisper(self, thread: str, who: str, text: str) -> None:
        """Write below the card what only one of them sees."""
        channel, _, ts = thread.partition(":")
        with named_by_remedy():
            await self._web().chat_postEphemeral(
                channel=channel, user=who, thread_ts=ts, text=slack_writing.escaped(text)
            )

    async def ask(self, handle: str, thread: str, form: Form) -> None:
        """Open a form; the handle is good for three seconds."""
        with named_by_remedy():
            await self._web().views_open(trigger_id=handle, view=slack_writing.form(form, thread))

    async def colleague(self, who: str) -> Colleague:
        """By the configuration, else by the e-mail of a full member of our own workspace that Slack has confirmed."""
        known = (await self._profile(who)).colleague
        return replace(known, login=self._settings.agents.get(who))

    # ---- the rest

    async def check(self) -> Health:
        """Ask who we are, what we may do, and whether we are in the agents' channel."""
        try:
            me = await self._asked()
            await self._look_at_the_desk()
        except ChannelError as error:
            code = str(error).removeprefix("slack: ").partition(" ")[0]
            remedy = slack_errors.REMEDIES.get(code, f"Check channels.{self.name} and the network to {self._base}.")
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

    async def _asked(self) -> dict[str, Any]:
        with named_by_remedy():
            answer = await self._web().auth_test()
        scopes = {str(name).lower(): value for name, value in answer.headers.items()}.get("x-oauth-scopes")
        return {**answer.data, "scopes": scopes} if isinstance(answer.data, dict) else {}

    def _missing(self, me: dict[str, Any]) -> frozenset[str]:
        if not me.get("scopes"):
            return frozenset()  # it was not said
        granted = {one.strip() for one in str(me["scopes"]).split(",")}
        return (SCOPES | (DESK_SCOPES if self.desk else frozenset())) - granted

    async def _look_at_the_desk(self) -> None:
        if self.desk is None:
            return
        with named_by_remedy():
            found = (await self._web().conversations_info(channel=self.desk)).get("channel") or {}
        if not found.get("is_member"):
            raise Undeliverable("slack: not_in_channel (agents_channel)")

    async def close(self) -> None:
        """Give connections back."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _profile(self, user: str) -> _Profile:
        known = self._people.get(user)
        if known is None or known.until < self._now():
            with named_by_remedy():
                answer = await self._web().users_info(user=user, include_locale=True)
            self._people[user] = known = self._read_profile(answer.get("user") or {})
            while len(self._people) > _KNOWN:
                self._people.popitem(last=False)
        return known

    def _read_profile(self, user: dict[str, Any]) -> _Profile:
        profile = user.get("profile") or {}
        name = (
            profile.get("real_name") or user.get("real_name") or profile.get("display_name") or user.get("name") or ""
        )
        # a guest, a stranger from another workspace or a bot can have any address
        full = not any(
            user.get(flag) for flag in ("deleted", "is_bot", "is_restricted", "is_stranger", "is_ultra_restricted")
        )
        confirmed = full and user.get("is_email_confirmed", False)
        email = str(profile.get("email") or "").strip().lower() if confirmed else ""
        language = str(user.get("locale") or "").partition("-")[0] or None
        name = storable(str(name))[: slack_reading.NAME_LIMIT]
        return _Profile(Colleague(name, email=email or None), language, self._now() + _KNOWN_FOR)

    def _is_slacks(self, address: str) -> bool:
        there, base = urlsplit(address), urlsplit(self._base)
        if (there.scheme, there.netloc) == (base.scheme, base.netloc):
            return True
        host = there.hostname or ""
        return there.scheme == "https" and (host == "slack.com" or host.endswith((".slack.com", ".slack-files.com")))

    def _http(self) -> aiohttp.ClientSession:
        if self._closed:
            raise Unavailable("slack: closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_CALL_SECONDS * 3, connect=_CALL_SECONDS), trust_env=True
            )
        return self._session

    def _web(self) -> AsyncWebClient:
        """The library's client on our session. It repeats nothing: the outbox does, and knows what has left."""
        return AsyncWebClient(
            self._settings.bot_token.get_secret_value(),
            base_url=self._base,
            timeout=_CALL_SECONDS,
            session=self._http(),
            retry_handlers=[],
            logger=logging.getLogger("slack_bolt.web"),
        )


class SlackSocket(Slack):
    """One app that calls Slack, so that nobody has to reach us: Socket Mode."""

    async def listen(self, since: Cursor | None) -> AsyncIterator[Arrival]:
        """Yield what arrives. Slack keeps the place, so there is no cursor: what is not confirmed comes again."""
        me = await self._asked()
        identity = Identity(str(me.get("team_id")), str(me.get("user_id")), str(me.get("bot_id")))
        self._views = replace(self._views, me=identity.user)
        token = self._settings.app_token
        async with connected(self._web(), token.get_secret_value() if token else "", identity) as socket:
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


def _refuse(response: aiohttp.ClientResponse, mimetype: str) -> None:
    """Without the scope files:read Slack leads to its page for signing in."""
    if response.status in (401, 403, 404, 410):
        raise Undeliverable("slack: the file is gone, or not for us", "message")
    if 300 <= response.status < 400 or (response.content_type == "text/html" and mimetype != "text/html"):
        raise Undeliverable("slack: instead of the file came a page: the scope files:read is missing", "message")
    if response.status != 200:
        raise Unavailable(f"slack: the download was answered with {response.status}")
