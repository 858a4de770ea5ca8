"""A provider on the loopback that keeps a ledger, and the channel that speaks to it: one JSON line each way."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from channels.channel import Features, Health, Outbound, Unavailable


@dataclass(frozen=True)
class Entry:
    """One message that the provider accepted."""

    key: str
    to: str
    text: str
    at: float  # time.monotonic of the machine


@dataclass
class Ledger:
    """What the provider saw, in its own order."""

    port: int = 0
    entries: list[Entry] = field(default_factory=list)

    def to(self, address: str) -> list[Entry]:
        """What one person got."""
        return [entry for entry in self.entries if entry.to == address]


@asynccontextmanager
async def provider() -> AsyncIterator[Ledger]:
    """Serve until the block ends."""
    ledger = Ledger()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (line := await reader.readline()).endswith(b"\n"):  # a part of a line: its sender was killed
                said = json.loads(line)
                ledger.entries.append(Entry(said["key"], said["to"], said["text"], monotonic()))
                writer.write(b"ok\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    ledger.port = server.sockets[0].getsockname()[1]
    try:
        yield ledger
    finally:
        server.close()


class Wire:
    """The channel to that provider; a connection is kept for each message that is under way."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.features = Features(buttons=0, burst=timedelta(0))
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, message: Outbound) -> str:
        """Hand it over and wait for the ok."""
        try:
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            said: dict[str, Any] = {"key": message.key, "to": message.to.value, "text": message.text}
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()
            if await reader.readline() != b"ok\n":
                raise Unavailable("the provider hung up")
        except OSError as error:
            raise Unavailable(str(error)) from error
        self._idle.append((reader, writer))
        return f"wire:{message.key}"

    async def check(self) -> Health:
        """Always well."""
        return Health(ok=True, detail="on the loopback")

    async def close(self) -> None:
        """Hang up."""
        for _, writer in self._idle:
            writer.close()


def moment() -> datetime:
    """The real clock."""
    return datetime.now(UTC)
