"""A real HTTP receiver on this machine that does as it is told: answers, fails, is slow, or is not there."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.webhooks import signing

KEY = bytes(range(32))
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_KEY = bytes(range(100, 130))
OTHER_SECRET = "whsec_ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CB"


@dataclass(frozen=True)
class Call:
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """Its JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def id(self) -> str:
        """Of the event."""
        return self.headers["webhook-id"]

    @property
    def code(self) -> str:
        """Of the case."""
        return str(self.told["data"]["case"]["code"])

    def signed_by(self, key: bytes) -> bool:
        """Whether one of its signatures was made with this key."""
        made = signing.signature(key, self.id, int(self.headers["webhook-timestamp"]), self.body)
        return made in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """`answer`: the status that it gives (0: it hangs up). `calls` came; `taken` got a 2xx."""

    port: int
    answer: int = 200
    seconds: float = 0.0
    extra: str = ""
    words: bytes = b""
    calls: list[Call] = field(default_factory=list)
    taken: list[Call] = field(default_factory=list)
    _serving: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/acuse"

    @asynccontextmanager
    async def up(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        """Listen while the block lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        try:
            yield
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other side hung up, or the test is over
        finally:
            writer.close()
            self._serving.discard(task)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        call = Call(head[0].split(" ")[1], headers, body)
        self.calls.append(call)
        answer = self.answer
        await asyncio.sleep(self.seconds)
        if answer == 0:
            return False
        if 200 <= answer < 300:
            self.taken.append(call)
        lines = f"HTTP/1.1 {answer} Said\r\nContent-Length: {len(self.words)}\r\n{self.extra}\r\n"
        writer.write(lines.encode() + self.words)
        await writer.drain()
        return True


def a_receiver() -> Receiver:
    """At a port of its own; nobody listens there yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Receiver(int(probe.getsockname()[1]))
