"""One IMAP connection, read-only in effect: no flag is set or believed, other programs may use the mailbox too.

A defensive wrapper around aioimaplib, which hangs in several ways: every command has a time limit, one runs at a time,
IDLE is ended before any other, and a lost connection ends every wait.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

import aioimaplib  # type: ignore[import-untyped]  # it ships no types

from channels.channel import Unavailable
from channels.mail_answers import MONTHS, Entry, entry_of, groups, last_line, moment_of, number_of, quoted, utf7

T = TypeVar("T")

COMMAND = 30.0
"""Seconds that one command may take."""
FETCH = 300.0
"""Seconds that one mail may take."""

_UIDS = re.compile(rb"\d+")
_AT_ONCE = 500  # mails in one list


class LoginRefused(Unavailable):
    """The server does not take our name and password, or our token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, account=True)


class NoMailbox(Unavailable):
    """There is no such folder."""


class NotHandedOut(Unavailable):
    """The server has the mail but does not give it; the connection is good."""


@dataclass(frozen=True)
class Mail:
    """One mail as the server keeps it. `size` is the whole's; `raw` may be only the beginning."""

    uid: int
    raw: bytes
    size: int
    received_at: datetime | None  # when the server got it; None if it does not say


class _Authenticate(aioimaplib.Command):  # type: ignore[misc]  # the library ships no types
    """AUTHENTICATE that answers the server's questions, which the library leaves unanswered, so that it would hang."""

    def __init__(self, protocol: Any, mechanism: str, token: bytes) -> None:
        at_once = "SASL-IR" in protocol.capabilities
        words = [mechanism, token.decode()] if at_once else [mechanism]
        super().__init__("AUTHENTICATE", protocol.new_tag(), *words, loop=protocol.loop)
        self._transport = protocol.transport
        self._answers = [] if at_once else [token]

    def append_to_resp(self, line: bytes, result: str = "Pending") -> None:
        """Take a line of the server's; a question is answered at once."""
        super().append_to_resp(line, result)
        if bytes(line).startswith(b"+"):
            # what is asked after the token is an account of why it was refused: an empty line lets the server say so
            self._transport.write((self._answers.pop() if self._answers else b"") + b"\r\n")


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

    async def open(self, username: str, secret: str, *, token: bool = False) -> None:
        """Connect and log in, with a password or with a token of OAuth 2. Raises LoginRefused."""
        # IMAP4_SSL would not hand on conn_lost_cb; IMAP4 takes the TLS context just as well
        self._client = aioimaplib.IMAP4(
            self._host, self._port, None, self._time_limit, lambda _: self._lost.set(), self._tls
        )
        await self._guard(self._client.wait_hello_from_server(), self._time_limit)
        answer = await self._command(
            self._with_token(username, secret) if token else self._client.login(quoted(username), secret)
        )
        if answer.result != "OK":
            raise LoginRefused(f"IMAP {self._where}: the login was refused: {last_line(answer)}")
        await self._command(self._client.protocol.capability())  # some tell more to whom they know

    def has(self, capability: str) -> bool:
        """Whether the server can do this: IDLE, QUOTA."""
        return bool(self._client.has_capability(capability))

    async def select(self, mailbox: str) -> Selected:
        """Open a mailbox."""
        answer = await self._command(self._client.select(quoted(utf7(mailbox))))
        if answer.result != "OK":
            raise NoMailbox(f"IMAP {self._where}: no mailbox {mailbox!r}: {last_line(answer)}")
        lines = b"\n".join(line for line in answer.lines if isinstance(line, bytes))
        validity = re.search(rb"\[UIDVALIDITY (\d+)", lines)
        following = re.search(rb"\[UIDNEXT (\d+)", lines)
        return Selected(int(validity[1]) if validity else 0, int(following[1]) if following else None)

    async def uids(self, *, after: int = 0, since: date | None = None) -> list[int]:
        """The mails with a higher UID (the server always names its last), received on or after a day, ascending."""
        criteria = [f"UID {after + 1}:*"]
        if since is not None:
            criteria.append(f"SINCE {since.day}-{MONTHS[since.month - 1]}-{since.year}")
        # only ASCII is asked for: a charset is refused by some servers
        answer = await self._command(self._client.uid_search(*criteria, charset=None))
        if answer.result != "OK":
            raise Unavailable(f"IMAP {self._where}: the search failed: {last_line(answer)}")
        found = {int(uid) for line in answer.lines[:-1] for uid in _UIDS.findall(bytes(line))}
        return sorted(uid for uid in found if uid > after)

    async def fetch(self, uid: int, max_bytes: int) -> Mail | None:
        """One mail, or its beginning; None if somebody removed it in the meantime. Raises NotHandedOut."""
        return await self._fetch(uid, f"BODY.PEEK[]<0.{max_bytes}>", FETCH)

    async def head(self, uid: int) -> Mail | None:
        """Its headers only, where the whole cannot be had. Raises NotHandedOut."""
        return await self._fetch(uid, "BODY.PEEK[HEADER]", self._time_limit)

    async def entries(self, uids: Sequence[int]) -> list[Entry]:
        """Message id and moment of some mails; of those that are gone nothing."""
        found: list[Entry] = []
        for start in range(0, len(uids), _AT_ONCE):
            wanted = ",".join(map(str, uids[start : start + _AT_ONCE]))
            items = "(UID INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
            answer = await self._command(self._client.uid("fetch", wanted, items), FETCH)
            if answer.result != "OK":
                raise Unavailable(f"IMAP {self._where}: the list was not handed out: {last_line(answer)}")
            found += [entry for group in groups(answer.lines[:-1]) if (entry := entry_of(*group))]
        return found

    async def quota(self) -> tuple[int, int] | None:
        """Kilobytes used and allowed; None if there is no limit or the server does not say."""
        if not self.has("QUOTA"):
            return None
        answer = await self._command(self._client.getquotaroot("INBOX"))
        lines = b" ".join(bytes(line) for line in answer.lines)
        found = re.search(rb"STORAGE (\d+) (\d+)", lines) if answer.result == "OK" else None
        return (int(found[1]), int(found[2])) if found and int(found[2]) else None

    async def _fetch(self, uid: int, part: str, seconds: float) -> Mail | None:
        items = f"(UID RFC822.SIZE INTERNALDATE {part})"
        answer = await self._command(self._client.uid("fetch", str(uid), items), seconds)
        if answer.result != "OK":
            raise NotHandedOut(f"IMAP {self._where}: mail {uid} was not handed out: {last_line(answer)}")
        for around, literal in groups(answer.lines[:-1]):
            if re.search(rb"\bUID %d\b" % uid, around):
                return Mail(uid, literal, number_of(around, rb"RFC822\.SIZE", len(literal)), moment_of(around))
        return None

    async def _with_token(self, username: str, token: str) -> Any:
        said = base64.b64encode(f"user={username}\1auth=Bearer {token}\1\1".encode())
        protocol = self._client.protocol
        answer = await protocol.execute(_Authenticate(protocol, "XOAUTH2", said), scrub=said.decode())
        if answer.result == "OK":
            protocol.state = aioimaplib.AUTH
        return answer

    async def wait(self, seconds: float) -> None:
        """Until the server reports something, at most so long; without IDLE it simply waits."""
        if not self.has("IDLE"):
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
