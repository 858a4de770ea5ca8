"""How we call Slack: one session, the library's client on it, files, and who people are."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from channels.channel import File, Media, Unavailable, Undeliverable
from channels.desk_place import Colleague
from channels.slack_errors import named_by_remedy
from channels.slack_reading import NAME_LIMIT
from channels.slack_settings import Settings
from channels.storable import storable

logger = logging.getLogger(__name__)

_CALL_SECONDS = 20
_KNOWN_FOR = timedelta(minutes=10)
_KNOWN = 5000  # people whose names we remember
_LARGEST = 100 * 1024 * 1024
_SLACKS = (".slack.com", ".slack-files.com", ".slack-edge.com")


@dataclass(frozen=True)
class Profile:
    """Somebody, as Slack knows them."""

    colleague: Colleague
    language: str | None
    until: datetime


class Calls:
    """Everything that goes out. Nothing is repeated here: the outbox does that, and knows what has left."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        self.base = str(settings.api_base_url)
        self._token = settings.bot_token.get_secret_value()
        self._agents = settings.agents
        self._now = now
        self._people: OrderedDict[str, Profile] = OrderedDict()
        self._team: str | None = None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def http(self) -> aiohttp.ClientSession:
        """The session, made at the first use. Raises Unavailable after `close`."""
        if self._closed:
            raise Unavailable("slack: closed")
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_CALL_SECONDS * 3, connect=_CALL_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=True)
        return self._session

    def web(self) -> AsyncWebClient:
        """The library's client."""
        return AsyncWebClient(
            self._token,
            base_url=self.base,
            timeout=_CALL_SECONDS,
            session=self.http(),
            retry_handlers=[],
            logger=logging.getLogger("slack_bolt.web"),
        )

    async def close(self) -> None:
        """Give the session back."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def me(self) -> dict[str, Any]:
        """What Slack says of our token; `scopes` is what it may do."""
        with named_by_remedy():
            answer = await self.web().auth_test()
        scopes = {str(name).lower(): value for name, value in answer.headers.items()}.get("x-oauth-scopes")
        data = answer.data if isinstance(answer.data, dict) else {}
        self._team = str(data.get("team_id") or "") or None
        return {**data, "scopes": scopes}

    async def profile(self, user: str) -> Profile:
        """Name, language and, for a full member of our own workspace, the e-mail that Slack has confirmed."""
        known = self._people.get(user)
        if known is None or known.until < self._now():
            if self._team is None:
                await self.me()
            with named_by_remedy():
                answer = await self.web().users_info(user=user, include_locale=True)
            self._people[user] = known = self._read(user, answer.get("user") or {})
            while len(self._people) > _KNOWN:
                self._people.popitem(last=False)
        return known

    def _read(self, user_id: str, user: dict[str, Any]) -> Profile:
        shown = user.get("profile") or {}
        name = shown.get("real_name") or user.get("real_name") or shown.get("display_name") or user.get("name") or ""
        email = str(shown.get("email") or "").strip().lower() if self._is_member(user) else ""
        language = str(user.get("locale") or "").partition("-")[0] or None
        login = self._agents.get(user_id)
        known = Colleague(storable(str(name))[:NAME_LIMIT], login, email or None)
        return Profile(known, language, self._now() + _KNOWN_FOR)

    def _is_member(self, user: dict[str, Any]) -> bool:
        """A guest, a bot, or somebody from another workspace (Slack Connect) can bear any address."""
        home = {user.get("team_id"), *((user.get("enterprise_user") or {}).get("teams") or ())}
        odd = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")
        return self._team in home and bool(user.get("is_email_confirmed")) and not any(user.get(one) for one in odd)

    async def download(self, media: Media) -> AsyncIterator[bytes]:
        """Stream a file with our token, which goes to Slack and to nobody else."""
        if media.ref is None or (media.size or 0) > _LARGEST:
            raise Undeliverable("slack: a file larger than 100 MB" if media.ref else "slack: no file", "message")
        with named_by_remedy():
            file = (await self.web().files_info(file=media.ref)).get("file") or {}
        address = str(file.get("url_private_download") or file.get("url_private") or "")
        if not self._is_slacks(address):
            raise Undeliverable("slack: the file is not kept at Slack", "message")
        token = {"Authorization": f"Bearer {self._token}"}
        received = 0
        with named_by_remedy():
            async with self.http().get(address, headers=token, allow_redirects=False) as response:
                _refuse(response, str(file.get("mimetype") or ""))
                async for piece in response.content.iter_chunked(65536):
                    received += len(piece)
                    if received > _LARGEST:
                        raise Undeliverable("slack: a file larger than 100 MB", "message")
                    yield piece

    async def upload(self, file: File, channel: str, thread: str | None) -> str:
        """Show a file in a channel; returns its id."""
        try:
            content = await asyncio.to_thread(file.path.read_bytes)
        except OSError as error:
            logger.error("slack: a file to send cannot be read: %s", type(error).__name__)
            raise Undeliverable("slack: the file to send cannot be read", "message") from None
        with named_by_remedy():
            sent = await self.web().files_upload_v2(
                file=content, filename=file.name, title=file.name, channel=channel, thread_ts=thread
            )
        return str((sent.get("file") or {}).get("id") or file.name)

    def _is_slacks(self, address: str) -> bool:
        there, base = urlsplit(address), urlsplit(self.base)
        if (there.scheme, there.netloc) == (base.scheme, base.netloc):
            return True
        return there.scheme == "https" and f".{there.hostname or ''}".endswith(_SLACKS)


def _refuse(response: aiohttp.ClientResponse, mimetype: str) -> None:
    """Without the scope files:read Slack leads to its page for signing in."""
    if response.status in (401, 403, 404, 410):
        raise Undeliverable("slack: the file is gone, or not for us", "message")
    if 300 <= response.status < 400 or (response.content_type == "text/html" and mimetype != "text/html"):
        raise Undeliverable("slack: instead of the file came a page: the scope files:read is missing", "message")
    if response.status != 200:
        raise Unavailable(f"slack: the download was answered with {response.status}")
