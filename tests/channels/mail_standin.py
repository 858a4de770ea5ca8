"""Small IMAP and SMTP servers that do what they are told, also the wrong thing, and notice ill-mannered clients.

No doubles of the demo's (demo/mail_imap.py, demo/mail_smtp.py): those keep the protocol and hold the contract of all
channels (test_contract.py). These break it, byte by byte where a test asks for that: a command that is never answered,
a connection that dies in the middle of one, answers that real servers give and no RFC knows. What a good server does
is tested at a real one (mailserver.py).
"""

import asyncio
import re
import socket
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import Any

import httpx

from channels.channel import ChannelError, Unavailable, Undeliverable
from channels.email import Email, Settings
from channels.mail_trust import TextRecord

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Server:
    """Listens at once; serves as soon as the event loop runs."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._writers: set[asyncio.StreamWriter] = set()
        self._talks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.ensure_future(asyncio.start_server(self._serve, sock=self._socket))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.talk(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self._writers.discard(writer)
        self._talks.discard(talk)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    def cut(self) -> None:
        """Break every connection without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        server = await self._starting
        server.close()
        self.cut()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await asyncio.sleep(0.01)  # the client's end of the connection closes after ours


class ImapStandIn(_Server):
    """An account. `mails` is its INBOX and may grow at any time; `gone` are numbers that another client removed."""

    def __init__(self, *, capabilities: str = "IMAP4rev1 IDLE", idle: str = "good") -> None:
        super().__init__()
        self.capabilities = capabilities
        self.idle = idle  # good | bye | silent
        self.mails: list[bytes] = []
        self.folders = {"INBOX": self.mails}
        self.uidvalidity = 77
        self.dates: dict[int, str] = {}  # by number, in every folder; "" if the server does not say
        self.gone: set[int] = set()
        self.kept_back: set[int] = set()  # answered with NO
        self.deadly: set[int] = set()  # asking for one of these breaks the connection
        self.silent: set[str] = set()  # commands that are never answered
        self.token: str | None = None  # the one that is good; None: a password is
        self.refused = 0
        self.quota: tuple[int, int] | None = None
        self.commands: list[str] = []
        self.faults: list[str] = []
        self.asked_from = 1  # the lowest number that the last search wanted
        self.idling = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        folder = "INBOX"
        while line := (await reader.readline()).decode().strip():
            tag, _, command = line.partition(" ")
            self.commands.append(command)
            with suppress(TimeoutError):
                early = await asyncio.wait_for(reader.readline(), 0.005)
                self.faults += [f"{early!r} before {command!r} was answered"] if early else []
            name = command.split()[1 if command.startswith("UID") else 0].upper()
            if name in self.silent:
                continue
            if name == "IDLE":
                await self._idle(tag, folder, reader, writer)
                continue
            if name == "AUTHENTICATE":
                await self._authenticate(tag, command, reader, writer)
                continue
            if name == "SELECT":
                wanted = command.split(" ", 1)[1].strip('"')
                if wanted not in self.folders:
                    writer.write(f"{tag} NO [NONEXISTENT] no such mailbox\r\n".encode())
                    continue
                folder = wanted
            if name == "FETCH" and self._wanted(command, folder) & self.deadly:
                return
            if name == "FETCH" and "BODY.PEEK[]" in command and self._wanted(command, folder) & self.kept_back:
                writer.write(f"{tag} NO [SERVERBUG] cannot be handed out\r\n".encode())
                continue
            answer = b"".join(self._answer(name, command, folder))
            writer.write(answer + f"{tag} OK {name} completed (0.001)\r\n".encode())

    async def _authenticate(
        self, tag: str, command: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        said = command.split()
        if len(said) == 2:  # without SASL-IR the token is asked for
            writer.write(b"+ \r\n")
            said.append((await reader.readline()).decode().strip())
        if self.token and b64decode(said[2]) == f"user=intake@test.local\1auth=Bearer {self.token}\1\1".encode():
            writer.write(f"{tag} OK welcome\r\n".encode())
            return
        self.refused += 1
        writer.write(b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n")
        if (await reader.readline()) != b"\r\n":
            self.faults.append("the reason of the refusal was not acknowledged")
        writer.write(f"{tag} NO [AUTHENTICATIONFAILED] Invalid credentials\r\n".encode())

    def _answer(self, name: str, command: str, folder: str) -> list[bytes]:
        if name == "CAPABILITY":
            return [f"* CAPABILITY {self.capabilities}\r\n".encode()]
        if name == "SELECT":
            count = len(self.folders[folder])
            state = f"* OK [UIDVALIDITY {self.uidvalidity}] ok\r\n* OK [UIDNEXT {count + 1}] ok\r\n"
            return [f"* {count} EXISTS\r\n{state}".encode()]
        if name == "SEARCH":
            return [self._search(command, folder)]
        if name == "FETCH":
            return [line for uid in sorted(self._wanted(command, folder)) for line in self._fetch(uid, command, folder)]
        if name == "GETQUOTAROOT" and self.quota:
            used, allowed = self.quota
            return [f'* QUOTAROOT INBOX ""\r\n* QUOTA "" (STORAGE {used} {allowed})\r\n'.encode()]
        return [b"* BYE\r\n"] if name == "LOGOUT" else []

    def _wanted(self, command: str, folder: str) -> set[int]:
        there = set(range(1, len(self.folders[folder]) + 1))
        return {int(one) for one in command.split()[2].split(",")} & there

    def _search(self, command: str, folder: str) -> bytes:
        match = re.search(r"UID (\d+):\*", command.partition("SEARCH")[2])
        self.asked_from = int(match[1]) if match else 1
        there = list(range(1, len(self.folders[folder]) + 1))
        found = [uid for uid in there if uid >= self.asked_from] or there[-1:]  # n:* always names the last
        return b"* SEARCH " + " ".join(map(str, found)).encode() + b"\r\n"

    def _fetch(self, uid: int, command: str, folder: str) -> list[bytes]:
        if uid in self.gone:
            return []
        raw = self.folders[folder][uid - 1]
        date = self.dates.get(uid, "02-Mar-2026 09:30:00 -0500")
        moment = f'INTERNALDATE "{date}" ' if date else ""
        content, part = raw, "BODY[]<0>"
        if "HEADER" in command:
            content, part = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", "BODY[HEADER]"
        if "HEADER.FIELDS" in command:
            lines = [one for one in content.split(b"\r\n") if one.lower().startswith(b"message-id:")]
            content, part = b"\r\n".join([*lines, b"", b""]), "BODY[HEADER.FIELDS (MESSAGE-ID)]"
        return [
            f"* {uid} FETCH (UID {uid} RFC822.SIZE {len(raw)} {moment}".encode(),
            f"{part} {{{len(content)}}}\r\n".encode(),
            content,
            b")\r\n",
            b"* 1 FETCH (FLAGS (\\Seen))\r\n",
        ]

    async def _idle(self, tag: str, folder: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.idle == "silent":
            return
        if self.idle == "bye":
            writer.write(b"* BYE going down\r\n")
            await writer.drain()
            writer.close()
            return
        writer.write(b"+ idling\r\n")
        self.idling += 1
        mails = self.folders[folder]
        known, done = len(mails), asyncio.ensure_future(reader.readline())
        while not done.done():
            await asyncio.wait({done}, timeout=0.01)
            if len(mails) > known:
                known = len(mails)
                writer.write(f"* {known} EXISTS\r\n".encode())
        self.idling -= 1
        if (said := done.result().strip()) != b"DONE":
            self.faults += [f"{said!r} in IDLE"] if said else []
            return
        writer.write(f"{tag} OK done\r\n".encode())


class SmtpStandIn(_Server):
    """Takes mail into `taken`. `says` holds answers for once, by verb: `{"RCPT": ["550 5.1.1 nobody"]}`."""

    def __init__(self, *, auth: bool = True) -> None:
        super().__init__()
        self.auth = auth
        self.token: str | None = None  # the one that is good; None: a password is
        self.refused = 0
        self.says: dict[str, list[str]] = {}
        self.silent: set[str] = set()  # verbs that are never answered; END is the mail itself
        self.deadly: set[str] = set()  # verbs that break the connection
        self.taken: list[bytes] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((self._special("CONNECT") or "220 ready").encode() + b"\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb == "AUTH" and self.token:
                await self._authenticate(line, reader, writer)
                continue
            if verb in self.silent:
                continue
            if verb in self.deadly:
                return
            writer.write((self._special(verb) or self._usual(verb)).encode() + b"\r\n")
            if verb == "DATA":
                raw = await reader.readuntil(b"\r\n.\r\n")
                if "END" in self.silent:
                    continue
                if "END" in self.deadly:
                    return
                answer = self._special("END") or "250 2.0.0 kept"
                self.taken += [raw[:-3]] if answer.startswith("2") else []
                writer.write(answer.encode() + b"\r\n")
            if verb == "QUIT":
                return

    async def _authenticate(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b64decode(line.split()[2]) == f"user=intake@test.local\1auth=Bearer {self.token}\1\1".encode():
            writer.write(b"235 2.7.0 welcome\r\n")
            return
        self.refused += 1
        writer.write(b"334 eyJzdGF0dXMiOiI0MDAifQ==\r\n")
        await reader.readline()
        writer.write(b"535 5.7.8 wrong\r\n")

    def _usual(self, verb: str) -> str:
        if verb == "EHLO":
            return "250-localhost\r\n250-8BITMIME\r\n" + (
                "250 AUTH XOAUTH2" if self.token else "250 AUTH PLAIN" if self.auth else "250 SIZE"
            )
        return {"AUTH": "235 2.7.0 welcome", "DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 2.1.0 good")

    def _special(self, verb: str) -> str | None:
        return self.says[verb].pop(0) if self.says.get(verb) else None


class AtMail:
    """An account of ours between two such servers."""

    person = "ana@test.local"

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        text_record: TextRecord = lambda _: None,
        **settings: Any,
    ) -> None:
        self.imap, self.smtp = ImapStandIn(), SmtpStandIn()
        section: dict[str, Any] = {
            "address": "intake@test.local",
            "password": "s3creto",
            "imap": {"host": "127.0.0.1", "port": self.imap.port, "security": "none"},
            "smtp": {"host": "127.0.0.1", "port": self.smtp.port, "security": "none"},
            "since": "all",
            **{name: one for name, one in settings.items() if name != "imap"},
        }
        section["imap"] |= settings.get("imap", {})
        section = {name: one for name, one in section.items() if one is not None}
        moment = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
        self.channel = Email(
            "email",
            Settings.model_validate(section),
            now=now or (lambda: moment),
            secret=bytes(32),
            transport=transport,
            text_record=text_record,
        )

    async def arrive(self, text: str) -> None:
        number = len(self.imap.mails) + 1
        head = f"From: Ana <{self.person}>\r\nMessage-ID: <m{number}@test.local>\r\nSubject: Hola\r\n\r\n"
        self.imap.mails.append(f"{head}{text}\r\n".encode())

    def confirmed(self) -> int:
        return self.imap.asked_from - 1

    def trouble(self, kind: type[ChannelError]) -> bool:
        answer = {Undeliverable: "550 5.1.1 nobody here", Unavailable: "450 4.2.0 come again"}[kind]
        self.smtp.says.setdefault("RCPT", []).append(answer)
        return True

    def heard(self) -> str:
        mails = [message_from_bytes(raw, policy=default) for raw in self.smtp.taken]
        bodies = [mail.get_body(("plain",)) for mail in mails]
        return "\n".join(str(body.get_content()) for body in bodies if body is not None)

    async def close(self) -> None:
        await self.channel.close()
        await self.imap.close()
        await self.smtp.close()
