"""How an IMAP server writes, and how it wants to be written to. Pure."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(rb'INTERNALDATE "\s*(\d{1,2})-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})"')


@dataclass(frozen=True)
class Entry:
    """A mail in the list of a folder."""

    uid: int
    message_id: str | None
    received_at: datetime | None


def moment_of(around: bytes) -> datetime | None:
    """When the server got a mail; None if it does not say."""
    match = _DATE.search(around)
    if match is None:
        return None
    day, month, year, hour, minute, second, zone = (one.decode() for one in match.groups())
    try:
        number = MONTHS.index(month.title()) + 1
        text = f"{year}-{number:02}-{int(day):02}T{hour}:{minute}:{second}{zone[:3]}:{zone[3:]}"
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def groups(lines: Sequence[Any]) -> list[tuple[bytes, bytes]]:
    """Of each mail in an answer: the words around its content, and the content. Words alone have none."""
    groups: list[tuple[bytes, bytes]] = []
    for line in lines:
        if isinstance(line, bytearray):
            if groups:
                groups[-1] = (groups[-1][0], bytes(line))
        elif re.match(rb"\d+ FETCH \(", line):
            groups.append((bytes(line), b""))
        elif groups:
            groups[-1] = (groups[-1][0] + b" " + bytes(line), groups[-1][1])
    return groups


def entry_of(around: bytes, head: bytes) -> Entry | None:
    """One line of a folder's list; None if it is about something else."""
    uid = re.search(rb"\bUID (\d+)", around)
    named = re.search(rb"<[^<>\s@]{1,250}@[^<>\s]{1,250}>", head)
    return (
        Entry(int(uid[1]), named[0].decode("utf-8", "replace") if named else None, moment_of(around)) if uid else None
    )


def number_of(around: bytes, name: bytes, default: int) -> int:
    """The number behind a name."""
    match = re.search(name + rb" (\d+)", around)
    return int(match[1]) if match else default


def last_line(answer: Any) -> str:
    """What the server says at the end of an answer."""
    return str(bytes(answer.lines[-1]).decode("utf-8", "replace"))[:200] if answer.lines else "no reason given"


def quoted(text: str) -> str:
    """A string as a command carries it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def utf7(name: str) -> str:
    """A mailbox's name in the modified UTF-7 of RFC 3501."""
    pieces: list[str] = []
    for plain, other in re.findall(r"([\x20-\x25\x27-\x7e]+)|([^\x20-\x25\x27-\x7e]+)", name):
        for part in re.findall(r"&|[^&]+", other):
            coded = base64.b64encode(part.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
            pieces.append("&-" if part == "&" else f"&{coded}-")
        pieces.append(plain)
    return "".join(pieces)
