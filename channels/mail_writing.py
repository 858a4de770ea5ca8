"""Write a mail: one person, plain text first, simple HTML beside it, and marks by which the answer finds its case."""

import re
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from html import escape

from channels.channel import Outbound, Undeliverable
from channels.mail_headers import is_address
from channels.mail_machine import OWN_HEADER
from channels.mail_marks import Marks
from channels.storable import storable

_MESSAGE_ID = re.compile(r"<[^<>\s@]+@[^<>\s]+>")
UNSUBSCRIBABLE = frozenset({"survey", "followup", "reminder", "broadcast", "marketing"})
"""Kinds that a person may do without; receipts and answers are owed to them."""
_WEB = re.compile(r"https://[^\s<>\"]{1,500}")
_REFERENCES = 20  # besides the first
_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]'»]", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SUBJECT_LIMIT = 200
_PAGE = (
    '<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title></head>'
    '<body style="font-family:sans-serif;font-size:16px;line-height:1.5">{body}</body></html>'
)


def write_mail(
    message: Outbound,
    contents: Sequence[bytes],
    *,
    sender: str,
    name: str,
    marks: Marks,
    now: datetime,
    reply_tag: bool = True,
) -> EmailMessage:
    """Compose it. `contents` are the bytes of `message.files`; the message id is the same at every attempt.

    Raises Undeliverable when the receiver is no plain address.
    """
    if not is_address(message.to.value):
        raise Undeliverable("mail: the receiver is not an address")
    mail = EmailMessage(policy=SMTP.clone(max_line_length=200, cte_type="7bit"))
    subject = with_token(_flat(message.subject or ""), message.code)
    mail["From"] = formataddr((_flat(name), sender)) if name.isascii() else _from(name, sender)
    mail["To"] = message.to.value
    mail["Subject"] = subject
    mail["Date"] = format_datetime(now)
    own_id = marks.message_id(message.key, subject)
    mail["Message-ID"] = own_id
    mail[OWN_HEADER] = own_id
    if message.code and reply_tag and (answer := marks.reply_address(message.code)):
        mail["Reply-To"] = answer
    if message.automatic:
        mail["Auto-Submitted"] = _flat(message.automatic)
        mail["X-Auto-Response-Suppress"] = "All"
    if message.kind in UNSUBSCRIBABLE and message.unsubscribe and _WEB.fullmatch(message.unsubscribe):
        mail["List-Unsubscribe"] = f"<{message.unsubscribe}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    _thread(mail, message.replies_to)
    mail.set_content(message.text)
    language = message.language if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", message.language) else "es"
    mail.add_alternative(to_html(message.text, subject, language), subtype="html")
    mail["Content-Language"] = language
    for file, content in zip(message.files, contents, strict=True):
        kind, _, subtype = file.type.partition("/")
        plain = re.fullmatch(r"[\w.+-]+/[\w.+-]+", file.type) and kind not in ("message", "multipart")
        kind, subtype = (kind, subtype) if plain else ("application", "octet-stream")
        mail.add_attachment(content, maintype=kind, subtype=subtype, filename=_flat(file.name).strip() or "adjunto")
    return mail


def with_token(subject: str, code: str | None) -> str:
    """The subject with the case's token, once."""
    token = f"[{code}]" if code else ""
    short = subject[:_SUBJECT_LIMIT].strip()
    return short if not token or token.lower() in short.lower() else f"{short} {token}".strip()


def to_html(text: str, title: str, language: str) -> str:
    """The text as a page: paragraphs, line breaks and links, nothing else."""
    paragraphs = [one for one in re.split(r"\n\s*\n", text.strip()) if one]
    body = "".join(f"<p>{_linked(one)}</p>" for one in paragraphs)
    return _PAGE.format(language=escape(language), title=escape(title), body=body)


def _linked(text: str) -> str:
    pieces: list[str] = []
    end = 0
    for match in _LINK.finditer(text):
        url = escape(match[0])
        pieces += [escape(text[end : match.start()]), f'<a href="{url}">{url}</a>']
        end = match.end()
    return "".join([*pieces, escape(text[end:])]).replace("\n", "<br>\n")


def _thread(mail: EmailMessage, replies_to: Sequence[str]) -> None:
    """Newest last, as RFC 5322 wants; of a long thread the first and the last twenty."""
    known = list(dict.fromkeys(one for one in replies_to if len(one) < 500 and _MESSAGE_ID.fullmatch(one)))
    if known:
        mail["In-Reply-To"] = known[-1]
        kept = known if len(known) <= _REFERENCES + 1 else [known[0], *known[-_REFERENCES:]]
        mail["References"] = " ".join(kept)


def _from(name: str, sender: str) -> str:
    return f'"{_flat(name).replace(chr(92), "").replace(chr(34), "")}" <{sender}>'


def _flat(text: str) -> str:
    """One line: a line break in a header would begin another header."""
    return _CONTROL.sub(" ", storable(text)).strip()
