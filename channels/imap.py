"""One IMAP connection, read-only in effect: no flag is set or believed, other programs may use the mailbox too.

A defensive wrapper around aioimaplib, which hangs in several ways: every command has a time limit, one runs at a time,
IDLE is ended before any other, and a lost connection ends every wait.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import aioimaplib  # type: ignore[import-untyped]  # it ships no types

from channels.channel import Unavailable

T = TypeVar("T")

COMMAND = 30.0
"""Seconds that one command may take."""
FETCH = 300.0
"""Seconds that one mail may take."""

_UIDS = re.compile(rb"\d+")


class LoginRefused(Unavailable):
    """The server does not take our name and password."""


@dataclass(frozen=True)
class Mail:
    """One mail as the server keeps it. `size` is the whole's; `raw` may be only the beginning."""

    uid: int
    raw: bytes
    size: int
    received_at: datetime


@dataclass(frozen=True)
class Selected:
    """What the server says of a mailbox."""

    uidvalidity: int
    uidnext: int | None


class Imap:
    """A connection. `open` it, `close` it in the end; every method raises Unavailable when it is lost."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, *, time_limit: float = COMMAND) -> None:
        self._where = f"{host}:{port}"
        self._host, self._port, self._tls = host, port, tls
        self._time_limit = time_limit
        self._lost = asyncio.Event()
        self._lock = asyncio.Lock()
        self._client: Any = None

    async def open(self, username: str, password: str) -> None:
        """Connect and log in. Raises LoginRefused."""
        # IMAP4_SSL would not hand on conn_lost_cb; IMAP4 takes the TLS context just as well
        self._client = aioimaplib.IMAP4(
            self._host, self._port, None, self._time_limit, lambda _: self._lost.set(), self._tls
        )
        await self._guard(self._client.wait_hello_from_server(), self._time_limit)
        answer = await self._command(self._client.login(_quoted(username), password))
        if answer.result != "OK":
            raise LoginRefused(f"IMAP {self._where}: the login was refused: {_last(answer)}")

    async def select(self, mailbox: str) -> Selected:
        """Open a mailbox."""
        answer = await self._command(self._client.select(_quoted(_utf7(mailbox))))
        if answer.result != "OK":
            raise Unavailable(f"IMAP {self._where}: no mailbox {mailbox!r}: {_last(answer)}")
        lines = b"\n".join(line for line in answer.lines if isinstance(line, bytes))
        validity = re.search(rb"\[UIDVALIDITY (\d+)", lines)
        following = re.search(rb"\[UIDNEXT (\d+)", lines)
        return Selected(int(validity[1]) if validity else 0, int(following[1]) if following else None)

    async def uids(self, *, after: int = 0, since: date | None = None) -> list[int]:
        """The mails with a higher UID (the server always names its last), received on or after a day, ascending."""
        criteria = [f"UID {after + 1}:*"]
        if since is not None:
            criteria.append(f"SINCE {since.day}-{_MONTHS[since.month - 1]}-{since.year}")
        # only ASCII is asked for: a charset is refused by some servers
        answer = await self._command(self._client.uid_search(*criteria, charset=None))
        if answer.result != "OK":
            raise Unavailable(f"IMAP {self._where}: the search failed: {_last(answer)}")
        found = {int(uid) for line in answer.lines[:-1] for uid in _UIDS.findall(bytes(line))}
        return sorted(uid for uid in found if uid > after)

    async def fetch(self, uid: int, max_bytes: int) -> Mail | None:
        """One mail, or its beginning; None if somebody removed it in the meantime."""
        items = f"(UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<0.{max_bytes}>)"
        answer = await self._command(self._client.uid("fetch", str(uid), items), FETCH)
        if answer.result != "OK":
            raise Unavailable(f"IMAP {self._where}: mail {uid} was not handed out: {_last(answer)}")
        for line, literal in zip(answer.lines, answer.lines[1:], strict=False):
            if isinstance(line, bytes) and isinstance(literal, bytearray):
                around = b" ".join(bytes(one) for one in answer.lines[:-1] if isinstance(one, bytes))
                if re.search(rb"\bUID %d\b" % uid, around):
                    return Mail(uid, bytes(literal), _number(around, rb"RFC822\.SIZE", len(literal)), _moment(around))
        return None

    async def wait(self, seconds: float) -> None:
        """Until the server reports something, at most so long; without IDLE it simply waits."""
        if not self._client.has_capability("IDLE"):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._lost.wait(), seconds)
            self._check()
            return
        async with self._lock:
            self._check()
            idle = await self._guard(self._client.idle_start(seconds + 60), self._time_limit)
            push = asyncio.ensure_future(self._client.protocol.idle_queue.get())
            lost = asyncio.ensure_future(self._lost.wait())
            try:
                await asyncio.wait({push, lost, idle}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                push.cancel()
                lost.cancel()
            self._check()
            if not idle.done():
                self._client.idle_done()
                await self._guard(idle, self._time_limit)

    async def close(self) -> None:
        """Say good-bye if the server listens, and leave nothing running."""
        if self._client is None:
            return
        client, self._client = self._client, None
        protocol = client.protocol
        if not self._lost.is_set() and not client.has_pending_idle() and not self._lock.locked():
            with suppress(Exception):  # whatever it says, we are leaving
                await asyncio.wait_for(client.logout(), 2)
        leftovers = [client._client_task, *client.tasks, *protocol.tasks]
        for task in leftovers:
            task.cancel()
        await asyncio.gather(*leftovers, return_exceptions=True)
        if client._idle_waiter is not None:
            client._idle_waiter.cancel()
        if protocol.transport is not None:
            protocol.transport.abort()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._lost.wait(), 1)  # until it is really gone

    async def _command(self, command: Awaitable[T], seconds: float | None = None) -> T:
        async with self._lock:
            return await self._guard(command, seconds or self._time_limit)

    async def _guard(self, command: Awaitable[T], seconds: float) -> T:
        """Wait for a command, but neither for ever nor on a connection that is gone."""
        running = asyncio.ensure_future(command)
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            done, _ = await asyncio.wait({running, lost}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if running in done:
                return running.result()
            raise Unavailable(f"IMAP {self._where}: " + ("connection lost" if done else "no answer in time"))
        except (TimeoutError, aioimaplib.AioImapException, OSError) as fault:
            raise Unavailable(f"IMAP {self._where}: {fault or type(fault).__name__}") from fault
        finally:
            lost.cancel()
            running.cancel()

    def _check(self) -> None:
        if self._lost.is_set():
            raise Unavailable(f"IMAP {self._where}: connection lost")


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(rb'INTERNALDATE "\s*(\d{1,2})-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})"')


def _moment(around: bytes) -> datetime:
    match = _DATE.search(around)
    if match is None:
        return datetime.fromtimestamp(0, UTC)
    day, month, year, hour, minute, second, zone = (one.decode() for one in match.groups())
    number = _MONTHS.index(month.title()) + 1
    text = f"{year}-{number:02}-{int(day):02}T{hour}:{minute}:{second}{zone[:3]}:{zone[3:]}"
    return datetime.fromisoformat(text).astimezone(UTC)


def _number(around: bytes, name: bytes, default: int) -> int:
    match = re.search(name + rb" (\d+)", around)
    return int(match[1]) if match else default


def _last(answer: Any) -> str:
    return str(bytes(answer.lines[-1]).decode("utf-8", "replace"))[:200] if answer.lines else "no reason given"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _utf7(name: str) -> str:
    """A mailbox's name in the modified UTF-7 of RFC 3501."""
    pieces: list[str] = []
    for plain, other in re.findall(r"([\x20-\x25\x27-\x7e]+)|([^\x20-\x25\x27-\x7e]+)", name):
        for part in re.findall(r"&|[^&]+", other):
            coded = base64.b64encode(part.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
            pieces.append("&-" if part == "&" else f"&{coded}-")
        pieces.append(plain)
    return "".join(pieces)
