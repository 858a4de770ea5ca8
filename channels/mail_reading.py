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
from channels.mail_bounces import find_bounce
from channels.mail_headers import Mail, addresses, decode, message_ids, value
from channels.mail_html import clean
from channels.mail_machine import why_machine
from channels.mail_marks import Marks
from channels.mail_quotes import Split, split
from channels.mail_trust import is_authentic

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
        bounce = find_bounce(mail) if why_machine(mail) else None
        ours = next((one for one in bounce.original_ids if self.marks.is_ours(one)), None) if bounce else None
        if bounce is None or ours is None or bounce.action not in ("failed", "delivered"):
            return None
        return DeliveryReport(
            account=self.account,
            provider_id=ours,
            state=bounce.action,
            at=received_at,
            reason=bounce.reason,
            permanent=bounce.permanent,
            recipient=bounce.recipient,
            cursor=cursor,
        )

    def _message(self, mail: Mail, raw: bytes, received_at: datetime, cursor: Cursor | None, cut_off: bool) -> Inbound:
        subject = value(mail, "Subject")
        body = read_body(mail, cut_off)
        name, sender = next(iter(addresses(mail, "From")), ("", ""))
        own_id = next(iter(message_ids(mail, "Message-ID")), None)
        replies_to = _replies_to(mail)
        machine = why_machine(mail, self.own) or (None if sender else "quarantine: no sender")
        text = body.text[:_TEXT_LIMIT]
        parts = Split(text.strip()) if machine else split(text, subject)
        extra = {"quoted": parts.quoted, "signature": parts.signature, **_noted(mail, body, received_at, cut_off)}
        return Inbound(
            key=_key(own_id, raw),
            sender=Address(self.account, sender or NOBODY),
            text=parts.new or subject,
            sent_at=received_at,
            name=name or None,
            media=tuple(body.media),
            thread=_root(mail) or own_id or _key(own_id, raw),
            replies_to=replies_to,
            tokens=self._tokens(mail, subject),
            subject=subject or None,
            machine=machine,
            authentic=is_authentic(mail, self.trusted_authserv),
            raw=raw,
            provider_id=own_id,
            extra={key: kept for key, kept in extra.items() if kept},
            cursor=cursor,
        )

    def _tokens(self, mail: Mail, subject: str) -> tuple[str, ...]:
        """Case codes: first those in reply addresses that we signed, then those that the subject shows."""
        signed = [code for _, one in addresses(mail, *_RECEIVERS) if (code := self.marks.code_of(one))]
        return tuple(dict.fromkeys([*signed, *(match[0].upper() for match in _CODE.finditer(subject))]))

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


def _key(message_id: str | None, raw: bytes) -> str:
    """The id alone can be forged or empty, so that one mail would swallow another."""
    return f"{message_id or '<>'}|{hashlib.sha256(raw).hexdigest()}"


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
