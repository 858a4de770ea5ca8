"""Translate a mail into an arrival. Pure: bytes in, an arrival out, whatever a stranger has sent."""

import hashlib
import logging
import re
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from typing import Any

from channels.channel import Address, Cursor, DeliveryReport, Inbound
from channels.mail_body import Body, read_body
from channels.mail_bounces import find_bounce, find_complaint
from channels.mail_headers import Mail, addresses, decode, message_ids, raw_values, value
from channels.mail_html import clean
from channels.mail_machine import OWN_HEADER, why_machine
from channels.mail_marks import Marks
from channels.mail_quotes import Split, split
from channels.mail_subject import is_other
from channels.mail_trust import TextRecord, is_authentic, is_signed

logger = logging.getLogger(__name__)

NOBODY = "unknown@invalid"
"""The sender's address of a mail that names none; such mail is never answered."""

_TEXT_LIMIT = 100_000  # characters; the original is kept whole
_HTML_LIMIT = 200_000
_CODE = re.compile(r"(?<![0-9A-Za-z])(?:PQR|FEL)[-‐-― ]?[0-9A-Za-z]{7}(?![0-9A-Za-z])", re.IGNORECASE)
_RECEIVERS = ("To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")


@dataclass(frozen=True)
class Reader:
    """Reads the mail of one account."""

    account: str
    marks: Marks
    own: frozenset[str] = frozenset()  # our addresses, lower case, without tags
    trusted_authserv: frozenset[str] = field(default_factory=frozenset)
    own_lists: frozenset[str] = frozenset()  # List-Ids, lower case, through which our own mail comes
    text_record: TextRecord | None = None  # the DNS, where signatures are checked here; it may block

    def read(
        self, raw: bytes, received_at: datetime, *, cursor: Cursor | None = None, cut_off: bool = False
    ) -> Inbound | DeliveryReport:
        """Translate one mail as it came. Never raises: what cannot be read is kept and marked as machine mail.

        `received_at` is when our server got it (the sender's Date can be made up); `cut_off` says that `raw` is only
        the beginning of it.
        """
        try:
            mail = message_from_bytes(raw)
            return self._report(mail, received_at, cursor) or self._message(mail, raw, received_at, cursor, cut_off)
        except Exception as fault:  # whatever the parser stumbles over must not stop the mailbox
            logger.warning("mail: %s: put into quarantine: %s", self.account, type(fault).__name__)
            return self._quarantined(raw, received_at, cursor, type(fault).__name__)

    def _report(self, mail: Mail, received_at: datetime, cursor: Cursor | None) -> DeliveryReport | None:
        """A server's report about a mail of ours. Reports about anything else stay messages of a machine."""
        if why_machine(mail) is None:
            return None
        return self._complaint(mail, received_at, cursor) or self._bounce(mail, received_at, cursor)

    def _complaint(self, mail: Mail, received_at: datetime, cursor: Cursor | None) -> DeliveryReport | None:
        """The mail did arrive, and whoever got it wants no more of that kind."""
        complaint = find_complaint(mail)
        ours = self._ours(complaint.original_ids) if complaint else None
        if complaint is None or ours is None:
            return None
        return DeliveryReport(
            account=self.account,
            provider_id=ours,
            state="delivered",
            at=received_at,
            reason=f"complaint: {complaint.kind}",
            permanent=False,
            recipient=complaint.recipient,
            means="opted_out",
            cursor=cursor,
        )

    def _bounce(self, mail: Mail, received_at: datetime, cursor: Cursor | None) -> DeliveryReport | None:
        bounce = find_bounce(mail)
        ours = self._ours(bounce.original_ids) if bounce else None
        if bounce is None or ours is None or bounce.action not in ("failed", "delivered"):
            return None
        failed = bounce.action == "failed"
        return DeliveryReport(
            account=self.account,
            provider_id=ours,
            state=bounce.action,
            at=received_at,
            reason=bounce.reason,
            permanent=bounce.permanent,
            recipient=bounce.recipient,
            means=(bounce.verdict.means if bounce.verdict else "message") if failed else None,
            cursor=cursor,
        )

    def _ours(self, message_ids: tuple[str, ...]) -> str | None:
        return next((one for one in message_ids if self.marks.is_ours(one)), None)

    def _message(self, mail: Mail, raw: bytes, received_at: datetime, cursor: Cursor | None, cut_off: bool) -> Inbound:
        subject = value(mail, "Subject")
        body = read_body(mail, cut_off)
        name, sender = next(iter(addresses(mail, "From")), ("", ""))
        own_id = next(iter(message_ids(mail, "Message-ID")), None)
        replies_to = _replies_to(mail)
        machine = self._why_machine(mail) or (None if sender else "quarantine: no sender")
        text = body.text[:_TEXT_LIMIT]
        parts = Split(text.strip()) if machine else split(text, subject)
        extra = {"quoted": parts.quoted, "signature": parts.signature, **_noted(mail, body, received_at, cut_off)}
        return Inbound(
            key=_key(own_id, raw, mail),
            sender=Address(self.account, sender or NOBODY),
            text=parts.new or subject,
            sent_at=received_at,
            name=name or None,
            media=tuple(body.media),
            thread=_root(mail) or own_id or _key(own_id, raw, mail),
            replies_to=replies_to,
            tokens=self._tokens(mail, subject),
            signed=self._signed(mail),
            subject=subject or None,
            machine=machine,
            authentic=self._is_authentic(mail, raw),
            subject_changed=bool(replies_to) and self._is_other(mail, subject, replies_to),
            raw=raw,
            provider_id=own_id,
            extra={key: kept for key, kept in extra.items() if kept},
            cursor=cursor,
        )

    def _why_machine(self, mail: Mail) -> str | None:
        if any(self.marks.is_ours(one) for one in message_ids(mail, OWN_HEADER)):
            return "from one of our own accounts"
        return why_machine(mail, self.own, self.own_lists)

    def _is_authentic(self, mail: Mail, raw: bytes) -> bool:
        if is_authentic(mail, self.trusted_authserv):
            return True
        return self.text_record is not None and is_signed(raw, mail, self.text_record)

    def _is_other(self, mail: Mail, subject: str, replies_to: tuple[str, ...]) -> bool:
        """Whether an answer bears another subject than what it answers: perhaps it is a new matter."""
        if self._tokens(mail, subject) and _CODE.search(subject):
            return False  # it names the case itself
        if ours := self._ours(replies_to):
            return self.marks.is_other_subject(ours, subject)
        return is_other(subject, value(mail, "Thread-Topic"))  # Outlook's: what the thread began with

    def _tokens(self, mail: Mail, subject: str) -> tuple[str, ...]:
        """Case codes: first those in reply addresses that we signed, then those that the subject shows."""
        shown = (match[0].upper() for match in _CODE.finditer(subject))
        return tuple(dict.fromkeys([*self._signed(mail), *shown]))

    def _signed(self, mail: Mail) -> tuple[str, ...]:
        found = (self.marks.code_of(one) for _, one in addresses(mail, *_RECEIVERS))
        return tuple(dict.fromkeys(code for code in found if code))

    def unfetched(
        self, key: str, head: bytes, received_at: datetime, why: str, *, cursor: Cursor | None = None
    ) -> Inbound:
        """A mail that its server does not hand out, with no more than its headers: people must see that it is there.

        It gets no provider id, so that the reconciliation goes on asking for the mail itself.
        """
        mail = message_from_bytes(head)
        name, sender = next(iter(addresses(mail, "From")), ("", ""))
        return Inbound(
            key=key,
            sender=Address(self.account, sender or NOBODY),
            text=f"{value(mail, 'Subject')}\n\n[{why}]".strip(),
            sent_at=received_at,
            name=name or None,
            thread=key,
            subject=value(mail, "Subject") or None,
            machine=f"quarantine: {why[:200]}",
            authentic=False,
            raw=head or None,
            cursor=cursor,
        )

    def _quarantined(self, raw: bytes, received_at: datetime, cursor: Cursor | None, why: str) -> Inbound:
        head = decode(raw[:4000], None)
        found = re.search(r"^From:.*?([^\s<>\"]+@[^\s<>\"]+)", head, re.IGNORECASE | re.MULTILINE)
        return Inbound(
            key=_key(None, raw),
            sender=Address(self.account, found[1].lower() if found else NOBODY),
            text=head,
            sent_at=received_at,
            thread=_key(None, raw),
            machine=f"quarantine: {why}",
            authentic=False,
            raw=raw,
            cursor=cursor,
        )


_SAME = ("From", "Date", "Subject", "To", "In-Reply-To")
"""What every copy of one mail has alike; the way that it took and the notes on it differ."""


def _key(message_id: str | None, raw: bytes, mail: "Mail | None" = None) -> str:
    """What two copies of one mail have in common, be it delivered twice or moved to another server.

    The id alone can be forged or empty, so that one mail would swallow another.
    """
    if message_id is None or mail is None:
        return f"<>|{hashlib.sha256(raw).hexdigest()}"
    head = "\n".join(" ".join(one.split()) for name in _SAME for one in raw_values(mail, name))
    body = re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[-1]
    same = head.encode("utf-8", "surrogateescape") + b"\n\n" + body.replace(b"\r\n", b"\n").rstrip()
    return f"{message_id}|{hashlib.sha256(same).hexdigest()}"


def _replies_to(mail: Mail) -> tuple[str, ...]:
    nearest = [*message_ids(mail, "In-Reply-To"), *reversed(message_ids(mail, "References"))]
    return tuple(dict.fromkeys(nearest))[:50]


def _root(mail: Mail) -> str | None:
    return next(iter([*message_ids(mail, "References"), *message_ids(mail, "In-Reply-To")]), None)


def _noted(mail: Mail, body: Body, received_at: datetime, cut_off: bool) -> dict[str, Any]:
    """What the desk may want to see besides."""
    reply_to = [address for _, address in addresses(mail, "Reply-To")]
    senders = [address for _, address in addresses(mail, "From")]
    return {
        "html": clean(body.html)[:_HTML_LIMIT] if body.html else "",
        "reply_to": reply_to[:1] if reply_to and reply_to != senders else [],
        "senders": senders[:10] if len(senders) > 1 else [],
        "to": [address for _, address in addresses(mail, "To", "Cc")][:50],
        "date": _date(mail),
        "cut_off": cut_off,
    }


def _date(mail: Mail) -> str | None:
    try:
        return parsedate_to_datetime(value(mail, "Date")).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
