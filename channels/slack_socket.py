"""Slack's Socket Mode through Bolt: an envelope is confirmed when we are done with it, and not before."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from channels.channel import Unavailable
from channels.slack_errors import named_by_remedy

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 15.0
LOOK_SECONDS = 5.0
LOST_AFTER = 30.0  # the library connects anew by itself; after so long without success the keeper is told
CLOSE_SECONDS = 2.0
_QUIET = logging.getLogger("slack_bolt.socket")
"""The libraries log every failed attempt with its traceback, and in it the address, which is a ticket."""


@dataclass(frozen=True)
class Identity:
    """Who we are to Slack."""

    team: str
    user: str
    bot: str
    name: str = ""


@dataclass(frozen=True)
class Envelope:
    """What Slack brought; it brings it again unless it is confirmed."""

    body: dict[str, Any]
    confirmed: "asyncio.Future[bool]"

    def confirm(self) -> None:
        """It is kept."""
        if not self.confirmed.done():
            self.confirmed.set_result(True)


class Socket:
    """One connection. `next` gives what arrives, in the order of arrival."""

    def __init__(self, client: AsyncWebClient, token: str, me: Identity) -> None:
        self._waiting: asyncio.Queue[Envelope] = asyncio.Queue()
        self._open: set[asyncio.Future[bool]] = set()
        _QUIET.setLevel(logging.CRITICAL)

        async def authorize() -> AuthorizeResult:  # the library takes only plain functions
            return AuthorizeResult(
                enterprise_id=None, team_id=me.team, bot_user_id=me.user, bot_id=me.bot, bot_token=client.token
            )

        app = AsyncApp(
            logger=_QUIET,
            client=client,
            authorize=authorize,
            process_before_response=True,
            request_verification_enabled=False,  # nothing is signed on a socket that we opened
        )
        app.use(self._hand)
        self._handler = AsyncSocketModeHandler(app, token, logger=_QUIET, web_client=client)

    async def connect(self) -> None:
        """Raises Unavailable when Slack does not let us in."""
        socket = self._handler.client
        with named_by_remedy():
            socket.wss_uri = await socket.issue_new_wss_url()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await socket.connect()  # type: ignore[no-untyped-call]  # the library's own omission
        except TimeoutError:
            raise Unavailable("slack: no connection for Socket Mode") from None

    async def next(self) -> Envelope:
        """Wait for what arrives. Raises Unavailable when the connection is lost for long."""
        loop = asyncio.get_running_loop()
        well = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._waiting.get()
            if await self._handler.client.is_connected():
                well = loop.time()
            elif loop.time() - well > LOST_AFTER:
                raise Unavailable("slack: the connection for Socket Mode is lost")

    async def close(self) -> None:
        """End it; what is not confirmed will be brought again."""
        for one in self._open:
            if not one.done():
                one.set_result(False)
        socket = self._handler.client
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await socket.close()  # type: ignore[no-untyped-call]  # the same
        if not socket.aiohttp_client_session.closed:
            await socket.aiohttp_client_session.close()
        tasks = (socket.message_processor, socket.current_session_monitor, socket.message_receiver)
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)

    async def _hand(self, req: AsyncBoltRequest) -> BoltResponse:
        """Bolt answers Slack with what this returns: nothing is confirmed that our caller has not committed."""
        confirmed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._open.add(confirmed)
        try:
            self._waiting.put_nowait(Envelope(dict(req.body), confirmed))
            return BoltResponse(status=200 if await confirmed else 503)
        finally:
            self._open.discard(confirmed)


@asynccontextmanager
async def connected(client: AsyncWebClient, token: str, me: Identity) -> AsyncIterator[Socket]:
    """A connection while the block lasts. Raises Unavailable."""
    socket = Socket(client, token, me)
    try:
        await socket.connect()
        yield socket
    finally:
        await socket.close()
