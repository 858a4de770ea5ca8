"""Slack's Socket Mode: envelopes over connections that Acuse opened; they come again until they are confirmed."""

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web


class SocketMode:
    """What `apps.connections.open` leads to: a server of its own on the loopback."""

    def __init__(self, app_token: str) -> None:
        self.app_token = app_token
        self.confirmed: list[str] = []  # ids of envelopes
        self.url = ""
        self._ids = count(1)
        self._unconfirmed: dict[str, dict[str, Any]] = {}
        self._open: list[web.WebSocketResponse] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_get("/socket", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"ws://{host}:{port}/socket"

    async def stop(self) -> None:
        """Close everything."""
        await self.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    async def bring(self, payload: Mapping[str, Any], kind: str = "events_api") -> str:
        """An envelope, now or as soon as somebody is connected; its id."""
        name = f"envelope-{next(self._ids)}"
        self._unconfirmed[name] = {"envelope_id": name, "type": kind, "payload": dict(payload)}
        if self._open:
            await self._open[-1].send_json(self._unconfirmed[name])
        return name

    async def cut(self) -> None:
        """The network lets go of every connection."""
        for socket in self._open:
            await socket.close()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._open.append(socket)
        await socket.send_json({"type": "hello", "num_connections": 1})
        for waiting in list(self._unconfirmed.values()):
            await socket.send_json(waiting)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                name = json.loads(message.data)["envelope_id"]
                if self._unconfirmed.pop(name, None) is not None:
                    self.confirmed.append(name)
        self._open.remove(socket)
        return socket
