"""Read the headers of a mail, however broken. Nothing here raises on what a stranger wrote."""

import re
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses
from typing import TypeAlias

from channels.storable import storable

Mail: TypeAlias = "Message[str, str]"  # generic only for the type checker

_MESSAGE_ID = re.compile(r"<[^<>\s@]{1,250}@[^<>\s]{1,250}>")
_ADDRESS = re.compile(r"[^\s@<>\"'(),:;\[\]\\]{1,200}@[^\s@<>\"'(),:;\\]{1,253}")
_LIMIT = 20_000  # characters of one header that are looked at
_MISNAMED = {  # what senders call these and what they mean by it
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "ks_c_5601-1987": "cp949",
    "gb2312": "gb18030",
    "unknown-8bit": "utf-8",
}


def decode(content: bytes, charset: str | None) -> str:
    """Text of bytes whose charset may be missing, unknown (X-UNKNOWN) or a lie."""
    declared = (charset or "utf-8").strip().strip("'\"").lower()
    for name in (_MISNAMED.get(declared, declared), "utf-8", "cp1252"):
        try:
            return storable(content.decode(name))
        except (LookupError, UnicodeError, ValueError):
            continue
    return storable(content.decode("latin-1"))


def raw_values(mail: Mail, name: str) -> list[str]:
    """The values of a header, top first, on one line each, encoded words untouched."""
    wanted = name.lower()
    return [_one_line(str(value)) for key, value in mail.raw_items() if key.lower() == wanted]


def value(mail: Mail, name: str) -> str:
    """The first value of a header with its encoded words read; empty when there is none."""
    found = raw_values(mail, name)
    return words(found[0]) if found else ""


def words(raw: str) -> str:
    """A header's text: encoded words, and raw bytes that should have been encoded, are read."""
    if "=?" not in raw:
        return _readable(raw).strip()
    try:
        pieces = decode_header(_readable(raw))
    except (HeaderParseError, ValueError):
        return _readable(raw).strip()
    text = "".join(
        decode(piece, charset) if isinstance(piece, bytes) and charset else _readable(_as_text(piece))
        for piece, charset in pieces
    )
    return re.sub(r"[\r\n\t]+", " ", text).strip()


def addresses(mail: Mail, *names: str) -> list[tuple[str, str]]:
    """Name and address (lower case) of all valid addresses in these headers.

    Addresses are read before encoded words are, so that an encoded word cannot smuggle one in.
    """
    found: list[tuple[str, str]] = []
    for raw in (one for name in names for one in raw_values(mail, name)):
        pairs = [(words(name), address) for name, address in getaddresses([raw]) if is_address(address)]
        if not pairs:  # the strict parser gives up on a whole header for one fault
            pairs = [("", one) for one in _ADDRESS.findall(raw) if is_address(one)]
        found += [(name, _readable(address).lower()) for name, address in pairs]
    return found


def is_address(text: str) -> bool:
    """Whether this is one plain address."""
    local, _, domain = text.rpartition("@")
    known = "." in domain.strip(".") or domain.lower() == "localhost"
    return known and len(local) <= 200 and len(domain) <= 253 and bool(_ADDRESS.fullmatch(text))


def message_ids(mail: Mail, name: str) -> list[str]:
    """The message ids in a header, with their angle brackets, in the order written."""
    # some programs encode a long line of ids as if it were words
    return [one for raw in raw_values(mail, name) for one in _MESSAGE_ID.findall(words(raw))]


def find_message_ids(text: str) -> list[str]:
    """The same in any text."""
    return _MESSAGE_ID.findall(text)


def _one_line(raw: str) -> str:
    return re.sub(r"\r?\n[ \t]*|\r", " ", raw[:_LIMIT])


def _readable(raw: str) -> str:
    """Raw bytes in a header come as surrogates."""
    try:
        return storable(raw.encode("ascii").decode("ascii"))
    except UnicodeEncodeError:
        return decode(raw.encode("utf-8", "surrogateescape"), None)


def _as_text(piece: str | bytes) -> str:
    return piece.decode("raw-unicode-escape", "replace") if isinstance(piece, bytes) else piece
