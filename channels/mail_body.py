"""The body of a mail: its words, its HTML and its files."""

from dataclasses import dataclass, field

from channels.channel import Media
from channels.mail_headers import Mail, decode, value, words
from channels.mail_html import to_text

_PARTS = 200  # more are no mail that a person wrote
_NAMES = {  # what programs leave nameless; the ending lets the desk open it
    "message/rfc822": "mensaje.eml",
    "text/calendar": "invitacion.ics",
    "application/ics": "invitacion.ics",
    "application/ms-tnef": "winmail.dat",
    "application/vnd.ms-tnef": "winmail.dat",
    "text/vcard": "contacto.vcf",
    "text/x-vcard": "contacto.vcf",
    "application/pkcs7-mime": "smime.p7m",
    "application/x-pkcs7-mime": "smime.p7m",
    "application/pkcs7-signature": "smime.p7s",
    "application/x-pkcs7-signature": "smime.p7s",
    "application/pgp-signature": "firma.asc",
}


@dataclass
class Body:
    """What one part of a mail, or all of it, says."""

    text: str = ""
    html: str = ""
    media: list[Media] = field(default_factory=list)

    def add(self, other: "Body") -> None:
        """Put what follows behind it."""
        self.text = "\n\n".join(one for one in (self.text, other.text) if one)
        self.html = "\n".join(one for one in (self.html, other.html) if one)
        self.media += other.media


def read_body(mail: Mail, cut_off: bool = False) -> Body:
    """Read all parts. With `cut_off` the mail is longer than what we have: its last file is not whole."""
    count = [0]
    body = _read(mail, count)
    if cut_off and body.media:
        last = body.media[-1]
        body.media[-1] = Media(name=last.name, declared_type=last.declared_type, inline=last.inline, ref="too-large")
    return body


def _read(part: Mail, count: list[int]) -> Body:
    count[0] += 1
    if count[0] > _PARTS:
        return Body()
    kind = part.get_content_type()
    if part.is_multipart() and not kind.startswith("message/"):
        children = [_read(child, count) for child in part.get_payload() if not isinstance(child, str)]
        return _alternative(children) if kind == "multipart/alternative" else _sequence(children)
    broken = kind.startswith("multipart/")  # its parts could not be told apart
    if (broken or kind in ("text/plain", "text/html")) and not _is_file(part):
        text = decode(_content(part), part.get_content_charset())
        if kind == "text/html":
            return Body(text=to_text(text), html=text)
        return Body(text=_unflowed(text, part) if _param(part, "format").lower() == "flowed" else _trimmed(text))
    return Body(media=[_media(part, kind)])


def _alternative(children: list[Body]) -> Body:
    """The same words several times: the first that has any is the plainest."""
    return Body(
        text=next((child.text for child in children if child.text.strip()), ""),
        html=next((child.html for child in reversed(children) if child.html), ""),
        media=[media for child in children for media in child.media],
    )


def _sequence(children: list[Body]) -> Body:
    whole = Body()
    for child in children:
        whole.add(child)
    return whole


def _is_file(part: Mail) -> bool:
    return (part.get_content_disposition() or "") == "attachment" or bool(_name(part))


def _media(part: Mail, kind: str) -> Media:
    content = _content(part)
    inline = bool(value(part, "Content-ID")) and (part.get_content_disposition() or "inline") == "inline"
    name = _name(part) or _NAMES.get(kind)
    return Media(name=name, declared_type=kind, size=len(content), content=content, inline=inline)


def _content(part: Mail) -> bytes:
    """The bytes of one part, with its transfer encoding undone as far as it can be."""
    if part.is_multipart():  # message/rfc822 and its kin
        try:
            return b"\n".join(one.as_bytes() for one in part.get_payload() if not isinstance(one, str))
        except (ValueError, LookupError, TypeError, AttributeError):
            return b""  # a broken mail inside a mail; the whole is kept as it came
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        content = str(part.get_payload()).encode("utf-8", "surrogateescape")
    return content if isinstance(content, bytes) else b""


def _name(part: Mail) -> str | None:
    try:
        return words(part.get_filename() or "") or None
    except (ValueError, LookupError, TypeError, AttributeError):
        return "adjunto"  # a name that cannot be read is still a sign of a file


def _param(part: Mail, name: str) -> str:
    found = part.get_param(name)
    return found if isinstance(found, str) else ""


def _trimmed(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _unflowed(text: str, part: Mail) -> str:
    """RFC 3676: a line that ends with a blank goes on in the next. Quoted lines stay as they are."""
    glue = "" if _param(part, "delsp").lower() == "yes" else " "
    lines: list[str] = []
    open_line = False
    for line in _trimmed(text).split("\n"):
        own = line[1:] if line.startswith(" ") else line
        quoted = line.startswith(">")
        if open_line and not quoted:
            lines[-1] = lines[-1].rstrip(" ") + glue + own
        else:
            lines.append(own)
        open_line = own.endswith(" ") and not quoted and own != "-- "
    return "\n".join(lines).strip()
