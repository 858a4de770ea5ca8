"""Hand one mail to the outgoing server, and say what must be done when it does not take it."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.message import EmailMessage
from types import MappingProxyType
from typing import Any

import aiosmtplib

from channels.channel import Unavailable, Undeliverable
from channels.mail_oauth import LOGIN_AGAIN, Tokens
from channels.mail_status import judge, status_in

TIME_LIMIT = 30.0
"""Seconds that one step may take."""

_RELAY = re.compile(
    r"(?<![\w.-])relay(?:ing|ed)?\b(?![.-]\w)|\bauthenticated?\b|"
    r"(?<![/#])\bauthentication\b(?! (?:checks|information|results))|"
    r"\bunauthenticated senders? not allowed|\blog ?in\b|\bnot permitted to send\b",
    re.IGNORECASE,
)
_SENDER_POLICY = frozenset(f"5.7.{detail}" for detail in range(20, 31))
"""SPF, DKIM and the like failed (RFC 7372): what is asked for there is no login."""
_ADDRESS = re.compile(r"<[^<>]*>|[^\s<>()\[\]:;,\"']+@[^\s<>()\[\]:;,\"']+")
REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "login": "Check username and password. Gmail and Microsoft 365 want an app password or OAuth instead of it.",
        "sender": "The server does not let this account send from `address`. Use the account's own address.",
        "relay": "The server wants a login before it sends mail to others. Set smtp.username and smtp.password.",
        "tls": "The server's certificate is not trusted, or port and security do not fit: tls is 465, starttls 587. "
        "For a certificate authority of your own set ca_file.",
        "host": "Check host and port, and that this machine may reach them.",
    }
)


class SmtpFault(Unavailable):
    """The server cannot be used as it is configured; `remedy` says what to change."""

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        asks_operator = remedy is not None and remedy != REMEDIES["host"]  # a server that is away comes back by itself
        super().__init__(f"{reason} {remedy}" if remedy else reason, account=asks_operator)
        self.reason = reason
        self.remedy = remedy


class _Client(aiosmtplib.SMTP):
    """Knows whether the server may hold a mail that it has not answered for: `in_doubt`."""

    in_doubt = False

    async def data(self, message: str | bytes, /, **more: Any) -> aiosmtplib.SMTPResponse:
        """Every answer, also a refusal, ends the doubt."""
        self.in_doubt = True
        try:
            answer = await super().data(message, **more)
        except aiosmtplib.SMTPDataError:
            self.in_doubt = False
            raise
        self.in_doubt = False
        return answer


class Smtp:
    """The outgoing server of one account. Each mail takes a connection of its own."""

    def __init__(
        self,
        host: str,
        port: int,
        security: str,
        tls: ssl.SSLContext | None,
        username: str,
        password: str | None,
        tokens: Tokens | None = None,
    ) -> None:
        self._where = f"SMTP {host}:{port}"
        self._tokens = tokens if username else None
        self._client: dict[str, Any] = {
            "hostname": host,
            "port": port,
            "use_tls": security == "tls",
            "start_tls": security == "starttls",
            "tls_context": tls,
            "username": username or None,
            "password": password if username and tokens is None else None,
            "local_hostname": "localhost",
            "timeout": TIME_LIMIT,
        }

    async def send(self, mail: EmailMessage, sender: str, receiver: str) -> None:
        """Send it. Raises Undeliverable for a refused receiver or mail, Unavailable for what may work later."""
        client: _Client | None = None
        plain = sender.isascii() and receiver.isascii()
        try:
            # written out here: the library would fold anew and encode long message ids beyond recognition
            raw = await asyncio.to_thread(mail.as_bytes) if plain else b""
            async with self._connected() as client:
                if plain:
                    await client.sendmail(sender, [receiver], raw)
                else:
                    await client.send_message(mail, sender=sender, recipients=[receiver])
        except aiosmtplib.SMTPRecipientsRefused as fault:
            refused = fault.recipients[0]
            raise self._refused(refused.code, refused.message) from fault
        except aiosmtplib.SMTPNotSupported as fault:
            raise Undeliverable(f"{self._where}: {fault}", "message") from fault
        except (aiosmtplib.SMTPException, OSError, ValueError) as fault:
            raise self._fault(fault, in_doubt=client is not None and client.in_doubt) from fault

    async def check(self) -> None:
        """Log in and do nothing. Raises SmtpFault."""
        try:
            async with self._connected() as client:
                await client.noop()
        except (aiosmtplib.SMTPException, OSError, ValueError) as fault:
            found = self._fault(fault)
            raise found if isinstance(found, SmtpFault) else SmtpFault(str(found)) from fault

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["_Client"]:
        client = await self._log_in()
        try:
            yield client
        finally:
            client.close()

    async def _log_in(self) -> "_Client":
        """A connection that is logged in. A token that is refused is renewed once."""
        if self._tokens is None:
            return await self._connect(None)
        token = await self._tokens.access()
        try:
            return await self._connect(token)
        except aiosmtplib.SMTPAuthenticationError:
            return await self._connect(await self._tokens.access(refused=token))

    async def _connect(self, token: str | None) -> "_Client":
        async def at_hand() -> str:
            return token or ""

        client = _Client(**self._client, oauth_token_generator=at_hand if token else None)
        try:
            await client.connect()
        except BaseException:
            client.close()
            raise
        return client

    def _refused(self, code: int, text: str) -> Undeliverable | Unavailable:
        """A status that names the receiver goes first; an address in the answer says nothing: it may hold any word."""
        reason = f"{self._where}: {code} {text}"[:300]
        words = _ADDRESS.sub(" ", text)
        status = status_in(f"{words} ")
        told = judge(status, "")
        if code >= 500 and told and told.means == "address":
            return Undeliverable(reason, "address")
        if code in (530, 535) or (code >= 500 and status not in _SENDER_POLICY and _RELAY.search(words)):
            return SmtpFault(reason, REMEDIES["relay"])
        if code < 500:
            return Unavailable(reason)
        verdict = judge(status, words)
        return Undeliverable(reason, "address" if verdict and verdict.means == "address" else "message")

    def _fault(self, fault: Exception, *, in_doubt: bool = False) -> Undeliverable | Unavailable:
        reason = f"{self._where}: {fault or type(fault).__name__}"[:300]
        if in_doubt:
            return Unavailable(f"{reason} (it may have arrived)", may_have_arrived=True)
        cause = fault.__cause__ or fault
        if isinstance(fault, aiosmtplib.SMTPAuthenticationError):
            return SmtpFault(reason, LOGIN_AGAIN if self._tokens else REMEDIES["login"])
        if isinstance(fault, aiosmtplib.SMTPSenderRefused) and fault.code >= 500:
            return SmtpFault(reason, REMEDIES["relay" if fault.code == 530 else "sender"])
        if isinstance(fault, aiosmtplib.SMTPDataError):
            return self._refused(fault.code, fault.message)
        if isinstance(cause, ssl.SSLError) or "STARTTLS" in str(fault).upper():
            return SmtpFault(reason, REMEDIES["tls"])
        if isinstance(fault, aiosmtplib.SMTPReadTimeoutError | aiosmtplib.SMTPServerDisconnected):
            return Unavailable(reason)  # we were in, so host and port are good
        if isinstance(fault, aiosmtplib.SMTPConnectError | OSError):
            return SmtpFault(reason, REMEDIES["host"])
        return Unavailable(reason)
