"""One SMTP conversation, as far as a submission server of a provider goes."""

import asyncio
import base64
import re
from typing import Protocol

from demo.provider import Failing

SIZE = 25_000_000  # bytes that a mail may have
_PATH = re.compile(r"<([^<>]*)>")


class Outgoing(Protocol):
    """What the conversation needs of its server."""

    address: str
    password: str

    def fault(self) -> Failing:
        """How the next mail goes wrong."""

    @property
    def failing(self) -> Failing:
        """How it misbehaves now."""

    @property
    def slow_seconds(self) -> float:
        """How late it answers when it is slow."""

    def sent(self, receiver: str, raw: bytes) -> None:
        """A mail was taken."""


class SmtpTalk:
    """EHLO, AUTH PLAIN and LOGIN, MAIL, RCPT, DATA, RSET, NOOP, QUIT."""

    def __init__(self, server: Outgoing, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader, self._writer = reader, writer
        self._known = False
        self._receivers: list[str] = []
        self._sender: str | None = None
        self._fault = Failing.NOT

    async def run(self) -> None:
        """Until the client leaves."""
        if self._server.failing is Failing.DOWN:
            self._server.fault()
            await self._say("421 4.3.2 Service not available, closing")
            return
        await self._say("220 mx.simulado ESMTP")
        while line := (await self._reader.readline()).decode("utf-8", "replace").strip():
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                await self._say("221 2.0.0 Bye")
                return
            await self._say(await self._answer(verb.upper(), rest))

    async def _answer(self, verb: str, rest: str) -> str:
        match verb:
            case "EHLO":
                return f"250-mx.simulado\r\n250-SIZE {SIZE}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN"
            case "HELO":
                return "250 mx.simulado"
            case "AUTH":
                return await self._login(rest)
            case "MAIL":
                return self._from(rest)
            case "RCPT":
                return self._to(rest)
            case "DATA":
                return await self._data()
            case "RSET":
                self._sender, self._receivers = None, []
                return "250 2.0.0 Ok"
            case "NOOP":
                return "250 2.0.0 Ok"
        return "502 5.5.2 Command not recognized"

    async def _login(self, rest: str) -> str:
        mechanism, _, first = rest.partition(" ")
        try:
            if mechanism.upper() == "PLAIN":
                _, name, password = base64.b64decode(first or await self._ask("")).decode().split("\0")
            elif mechanism.upper() == "LOGIN":
                name = base64.b64decode(first or await self._ask("VXNlcm5hbWU6")).decode()
                password = base64.b64decode(await self._ask("UGFzc3dvcmQ6")).decode()
            else:
                return "504 5.5.4 Unrecognized authentication type"
        except ValueError:
            return "501 5.5.2 Cannot decode"
        self._known = (name, password) == (self._server.address, self._server.password)
        return "235 2.7.0 Accepted" if self._known else "535 5.7.8 Username and password not accepted"

    def _from(self, rest: str) -> str:
        if not self._known:
            return "530 5.7.0 Authentication required"
        path = _PATH.search(rest)
        size = re.search(r"SIZE=(\d+)", rest, re.IGNORECASE)
        if path is None:
            return "501 5.5.4 Syntax: MAIL FROM:<address>"
        if size and int(size[1]) > SIZE:
            return "552 5.3.4 Message size exceeds fixed limit"
        self._sender, self._receivers = path[1], []
        self._fault = self._server.fault()
        return "250 2.1.0 Ok"

    def _to(self, rest: str) -> str:
        path = _PATH.search(rest)
        if self._sender is None or path is None:
            return "503 5.5.1 Need MAIL before RCPT" if self._sender is None else "501 5.5.4 Syntax: RCPT TO:<address>"
        if self._fault is Failing.REFUSES:
            return "550 5.1.1 The email account that you tried to reach does not exist"
        if self._fault is Failing.BUSY:
            return "451 4.7.1 Try again later"
        if self._fault is Failing.DOWN:
            return "421 4.3.2 Service not available"
        self._receivers.append(path[1].lower())
        return "250 2.1.5 Ok"

    async def _data(self) -> str:
        if not self._receivers:
            return "503 5.5.1 Need RCPT before DATA"
        await self._say("354 End data with <CR><LF>.<CR><LF>")
        raw = (await self._reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
        if len(raw) > SIZE:
            return "552 5.3.4 Message size exceeds fixed limit"
        if self._fault is Failing.SLOW:
            await asyncio.sleep(self._server.slow_seconds)
        for receiver in self._receivers:
            self._server.sent(receiver, raw)
        self._sender, self._receivers = None, []
        return "250 2.0.0 Ok: kept"

    async def _ask(self, what: str) -> str:
        await self._say(f"334 {what}")
        return (await self._reader.readline()).decode().strip()

    async def _say(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())
        await self._writer.drain()
