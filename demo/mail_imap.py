"""One IMAP conversation over one mailbox: what a program that reads needs of RFC 3501, and IDLE of RFC 2177."""

import asyncio
import base64
import contextlib
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from email import message_from_bytes
from typing import Protocol

from demo.provider import Failing

CAPABILITIES = "IMAP4rev1 IDLE SASL-IR AUTH=PLAIN AUTH=XOAUTH2"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WORDS = re.compile(r'"((?:[^"\\]|\\.)*)"|(\([^)]*\)|\S+)')
_BODY = re.compile(r"BODY(?:\.PEEK)?\[(?P<part>[^\]]*)\](?:<(?P<from>\d+)\.(?P<size>\d+)>)?", re.IGNORECASE)


class Mail(Protocol):
    """One mail."""

    uid: int
    raw: bytes
    at: datetime


class Mailbox(Protocol):
    """What the conversation needs of its server."""

    address: str
    password: str
    uidvalidity: int
    imap_failing: Failing
    changed: asyncio.Event
    asked_from: int

    @property
    def mails(self) -> Sequence[Mail]:
        """All that is there, oldest first."""

    @property
    def next_uid(self) -> int:
        """Of the next mail."""

    @property
    def slow_seconds(self) -> float:
        """How late it answers when it is slow."""

    @property
    def token(self) -> str | None:
        """What XOAUTH2 must bring."""

    def fetched(self, mail: Mail) -> None:
        """A mail was handed out whole."""


class ImapTalk:
    """CAPABILITY, LOGIN, AUTHENTICATE, SELECT, STATUS, LIST, (UID) SEARCH and FETCH, NOOP, IDLE, LOGOUT."""

    def __init__(self, mailbox: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._mailbox = mailbox
        self._reader, self._writer = reader, writer
        self._known = False
        self._seen: list[int] | None = None  # the UIDs that the client was told of, in the order of their numbers

    async def run(self) -> None:
        """Until the client leaves, or the server goes down."""
        if self._down():
            await self._say("* BYE Server is going down")
            return
        await self._say(f"* OK [CAPABILITY {CAPABILITIES}] simulated mailbox ready")
        while line := (await self._reader.readline()).decode("utf-8", "replace").rstrip("\r\n"):
            if self._down():
                await self._say("* BYE Server is going down")
                return
            if self._mailbox.imap_failing is Failing.SLOW:
                await asyncio.sleep(self._mailbox.slow_seconds)
            tag, _, command = line.partition(" ")
            name, _, rest = command.partition(" ")
            if name.upper() == "LOGOUT":
                await self._say(f"* BYE See you\r\n{tag} OK LOGOUT completed")
                return
            await self._do(tag, name.upper(), rest)

    async def _do(self, tag: str, name: str, rest: str) -> None:
        if name == "CAPABILITY":
            await self._say(f"* CAPABILITY {CAPABILITIES}\r\n{tag} OK CAPABILITY completed")
        elif name == "NOOP":
            await self._news()
            await self._say(f"{tag} OK NOOP completed")
        elif name in ("LOGIN", "AUTHENTICATE"):
            await self._login(tag, name, rest)
        elif not self._known:
            await self._say(f"{tag} NO [AUTHENTICATIONFAILED] Log in first")
        elif name in ("SELECT", "EXAMINE"):
            await self._select(tag, name, rest)
        elif name == "STATUS":
            await self._status(tag, rest)
        elif name == "LIST":
            await self._say(f'* LIST (\\HasNoChildren) "/" "INBOX"\r\n{tag} OK LIST completed')
        elif self._seen is None:
            await self._say(f"{tag} BAD Select a mailbox first")
        elif name == "IDLE":
            await self._idle(tag)
        elif name in ("UID", "SEARCH", "FETCH"):
            by_uid = name == "UID"
            verb, _, arguments = rest.partition(" ") if by_uid else (name, "", rest)
            await self._read(tag, verb.upper(), arguments, by_uid=by_uid)
        else:
            await self._say(f"{tag} BAD Unknown command {name}")

    def _down(self) -> bool:
        return self._mailbox.imap_failing is Failing.DOWN

    async def _login(self, tag: str, name: str, rest: str) -> None:
        words = _words(rest)
        if name == "LOGIN":
            self._known = words == [self._mailbox.address, self._mailbox.password]
        else:
            if len(words) == 1:
                await self._say("+ ")
                words.append((await self._reader.readline()).decode().strip())
            self._known = self._proved(words[0].upper(), words[1])
            if not self._known and words[0].upper() == "XOAUTH2":
                await self._say("+ eyJzdGF0dXMiOiI0MDAifQ==")  # the client answers with an empty line
                await self._reader.readline()
        self._known = self._known and self._mailbox.imap_failing is not Failing.REFUSES
        await self._say(f"{tag} OK Welcome" if self._known else f"{tag} NO [AUTHENTICATIONFAILED] Invalid credentials")

    def _proved(self, mechanism: str, given: str) -> bool:
        with contextlib.suppress(ValueError):
            told = base64.b64decode(given).decode()
            if mechanism == "PLAIN":
                return told.split("\0")[1:] == [self._mailbox.address, self._mailbox.password]
            if mechanism == "XOAUTH2" and self._mailbox.token:
                return told == f"user={self._mailbox.address}\1auth=Bearer {self._mailbox.token}\1\1"
        return False

    async def _select(self, tag: str, name: str, rest: str) -> None:
        if _words(rest)[0].upper() != "INBOX":
            await self._say(f"{tag} NO [NONEXISTENT] Unknown mailbox")
            return
        self._seen = [one.uid for one in self._mailbox.mails]
        await self._say(
            "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"
            f"* {len(self._seen)} EXISTS\r\n* 0 RECENT\r\n"
            f"* OK [UIDVALIDITY {self._mailbox.uidvalidity}] UIDs valid\r\n"
            f"* OK [UIDNEXT {self._mailbox.next_uid}] Predicted next UID\r\n"
            f"{tag} OK [READ-WRITE] {name} completed"
        )

    async def _status(self, tag: str, rest: str) -> None:
        numbers = {
            "MESSAGES": len(self._mailbox.mails),
            "UIDNEXT": self._mailbox.next_uid,
            "UIDVALIDITY": self._mailbox.uidvalidity,
            "UNSEEN": 0,
            "RECENT": 0,
        }
        asked = re.findall(r"[A-Z]+", rest.rpartition("(")[2].upper())
        told = " ".join(f"{one} {numbers[one]}" for one in asked if one in numbers)
        await self._say(f'* STATUS "INBOX" ({told})\r\n{tag} OK STATUS completed')

    async def _read(self, tag: str, verb: str, arguments: str, *, by_uid: bool) -> None:
        if verb == "SEARCH":
            found = [str(one if by_uid else self._number(one)) for one in self._search(arguments)]
            await self._say(f"* SEARCH {' '.join(found)}".rstrip())
        elif verb == "FETCH":
            numbers, _, items = arguments.partition(" ")
            for mail in self._chosen(numbers, by_uid=by_uid):
                await self._hand_out(mail, items)
        await self._news()
        await self._say(f"{tag} OK {verb} completed")

    def _search(self, criteria: str) -> list[int]:
        found = self._visible()
        words = _words(criteria)
        while words:
            key = words.pop(0).upper()
            match key:
                case "UID":
                    span = words.pop(0)
                    self._mailbox.asked_from = int(span.split(":")[0].split(",")[0])
                    wanted = set(_range(span, [one.uid for one in found]))
                    found = [one for one in found if one.uid in wanted]
                case "SINCE":
                    day = _day(words.pop(0))
                    found = [one for one in found if one.at.date() >= day]
                case "BEFORE":
                    day = _day(words.pop(0))
                    found = [one for one in found if one.at.date() < day]
                case "HEADER":
                    name, value = words.pop(0), words.pop(0)
                    found = [
                        one for one in found if value.lower() in str(message_from_bytes(one.raw)[name] or "").lower()
                    ]
                case "CHARSET":
                    words.pop(0)
        return [one.uid for one in found]

    def _chosen(self, numbers: str, *, by_uid: bool) -> list[Mail]:
        there = self._visible()
        known = [one.uid if by_uid else self._number(one.uid) for one in there]
        wanted = set(_range(numbers, known))
        return [mail for mail, number in zip(there, known, strict=True) if number in wanted]

    async def _hand_out(self, mail: Mail, items: str) -> None:
        told = [f"UID {mail.uid}"]
        if "FLAGS" in items.upper():
            told.append("FLAGS ()")
        if "RFC822.SIZE" in items.upper():
            told.append(f"RFC822.SIZE {len(mail.raw)}")
        if "INTERNALDATE" in items.upper():
            told.append(f'INTERNALDATE "{_moment(mail.at)}"')
        line = f"* {self._number(mail.uid)} FETCH ({' '.join(told)}".encode()
        if wanted := _BODY.search(items):
            begin = f"<{wanted['from']}>" if wanted["from"] else ""
            raw = _part(mail.raw, wanted["part"].upper())
            if wanted["from"]:
                raw = raw[int(wanted["from"]) :][: int(wanted["size"])]
            line += f" BODY[{wanted['part']}]{begin} {{{len(raw)}}}\r\n".encode() + raw
        self._writer.write(line + b")\r\n")
        await self._writer.drain()
        if wanted and not wanted["part"]:
            self._mailbox.fetched(mail)

    async def _idle(self, tag: str) -> None:
        await self._say("+ idling")
        done = asyncio.ensure_future(self._reader.readline())
        try:
            while not done.done():
                await self._news()
                changed = asyncio.ensure_future(self._mailbox.changed.wait())
                await asyncio.wait({done, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if self._down():
                    await self._say("* BYE Server is going down")
                    raise ConnectionResetError
            await self._say(f"{tag} OK IDLE completed" if done.result().strip().upper() == b"DONE" else f"{tag} BAD")
        finally:
            done.cancel()

    async def _news(self) -> None:
        """What came and went since the client was told."""
        if self._seen is None:
            return
        there = [one.uid for one in self._mailbox.mails]
        for gone in [one for one in self._seen if one not in there]:
            number = self._number(gone)
            self._seen.remove(gone)
            await self._say(f"* {number} EXPUNGE")
        if len(there) > len(self._seen):
            self._seen = there
            await self._say(f"* {len(there)} EXISTS")

    def _visible(self) -> list[Mail]:
        known = self._seen or []
        fresh = [one for one in self._mailbox.mails if one.uid not in known]
        if fresh:  # a client may ask for what it was not told of yet
            self._seen = known + [one.uid for one in fresh]
        return list(self._mailbox.mails)

    def _number(self, uid: int) -> int:
        return (self._seen or []).index(uid) + 1

    async def _say(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())
        await self._writer.drain()


def _words(line: str) -> list[str]:
    return [re.sub(r"\\(.)", r"\1", quoted) if quoted or not bare else bare for quoted, bare in _WORDS.findall(line)]


def _range(numbers: str, there: Sequence[int]) -> list[int]:
    """The numbers meant by 4, 2:5, 7:*; `*` is the last one, so that n:* always names it."""
    found: list[int] = []
    last = max(there, default=0)
    for one in numbers.split(","):
        first, _, end = one.partition(":")
        ends = sorted(last if part == "*" else int(part) for part in (first, end or first))
        found += [number for number in there if ends[0] <= number <= ends[1]]
    return found


def _part(raw: bytes, part: str) -> bytes:
    if not part:
        return raw
    head, _, body = raw.partition(b"\r\n\r\n")
    return body if part == "TEXT" else head + b"\r\n\r\n"


def _day(text: str) -> date:
    number, month, year = text.split("-")
    return date(int(year), MONTHS.index(month.title()) + 1, int(number))


def _moment(at: datetime) -> str:
    offset = at.utcoffset() or timedelta(0)
    sign, minutes = ("-" if offset < timedelta(0) else "+"), abs(int(offset.total_seconds())) // 60
    zone = f"{sign}{minutes // 60:02}{minutes % 60:02}"
    return f"{at.day:02}-{MONTHS[at.month - 1]}-{at:%Y %H:%M:%S} {zone}"
