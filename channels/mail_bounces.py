"""Read what a mail server says of a mail of ours: which one, to whom, and whether for good (RFC 3464 and its kin).

A complaint (RFC 5965, "this is spam") is told as well: it speaks of a mail that did arrive.
"""

import re
from dataclasses import dataclass
from email import message_from_bytes

from flufl.bounce import all_failures

from channels.mail_headers import Mail, addresses, decode, find_message_ids, message_ids, value
from channels.mail_machine import COMPLAINT, OWN_HEADER, is_delivery_report, is_failure_notice
from channels.mail_status import Verdict, judge, status_in

_ID_LINE = re.compile(rf"^[> \t]*(?:{OWN_HEADER}|Message-ID)[ \t]*:[ \t]*(?:\r?\n[ \t]+)?(<[^<>\s]+>)", re.I | re.M)
_ADDRESS = re.compile(r"[^\s<>\"'(),:;\[\]@]{1,64}@[^\s<>\"'(),:;\[\]@]{1,200}\.[a-z]{2,}", re.IGNORECASE)
_FINAL = re.compile(r"^(?:Final|Original)-Recipient:[ \t]*(?:rfc822;)?[ \t]*<?([^\s<>;]+@[^\s<>;]+)", re.I | re.M)
_COPY = re.compile(
    r"^[-|> \t]*(?:[-]{3,}|\*{2,})?[^\n]{0,40}\b(?:original message|below this line|copy of the message|copy of your "
    r"message|message text follows|header of the original|headers follow|returned message\b.{0,5}-)|^Received:",
    re.IGNORECASE | re.MULTILINE,
)
_GIVEN_UP = re.compile(
    r"\b(?:expired|giv(?:en|ing) up|failed permanently|final(?:ly)? fail|too long|timed? ?out)\b", re.IGNORECASE
)
_HARMLESS = {"not-spam", "auth-failure", "dmarc"}
_TEXT_LIMIT = 200_000
_WORDS_LIMIT = 20_000


@dataclass(frozen=True)
class Bounce:
    """What became of one mail. `action` is that of RFC 3464: failed, delayed, delivered, relayed or expanded."""

    original_ids: tuple[str, ...]  # ids that the returned mail bears; ours is among them if it is ours
    recipient: str | None
    action: str
    status: str | None  # 5.1.1
    reason: str
    verdict: Verdict | None  # None: the report says neither by code nor by words why

    @property
    def permanent(self) -> bool:
        """Whether this address will not take mail tomorrow either."""
        return self.action == "failed" and self.verdict is not None and self.verdict.means == "address"


@dataclass(frozen=True)
class Complaint:
    """Somebody said of a mail of ours that it was not wanted. `kind` is abuse, fraud, opt-out, …"""

    original_ids: tuple[str, ...]
    recipient: str | None
    kind: str


def find_bounce(mail: Mail) -> Bounce | None:
    """What this mail reports; None if it is no report of a delivery. Call it only for mail that a machine wrote."""
    fields = _fields(mail)
    failing, failed = _recipients(mail)
    text = _text(mail)
    words = _COPY.split(text, 1)[0][:_WORDS_LIMIT]
    said = bool(fields or failing or failed)
    if not said and not is_failure_notice(mail) and not is_delivery_report(mail):
        return None
    named = failed or failing or _named(mail, words, text)
    status = status_in(fields.get("status", ""), fields.get("diagnostic-code", ""), words, text)
    verdict = judge(status, f"{fields.get('diagnostic-code', '')}\n{words}\n{value(mail, 'Subject')}")
    waiting = (failing and not failed) or (status or "5").startswith("4")
    action = _action(fields) or ("delayed" if waiting and not _GIVEN_UP.search(words) else "failed")
    recipient = _bare(fields.get("original-recipient", "") or fields.get("final-recipient", ""))
    reason = fields.get("diagnostic-code", "") or status or value(mail, "Subject")
    return Bounce(
        original_ids=_original_ids(mail, fields, text),
        recipient=recipient or next(iter(sorted(named)), None),
        action=action,
        status=status,
        reason=re.sub(r"\s+", " ", reason).strip()[:300],
        verdict=Verdict("later", hard=False) if action == "delayed" else verdict,
    )


def find_complaint(mail: Mail) -> Complaint | None:
    """The complaint that this mail brings; None if it brings none (a "not spam" is none)."""
    report = next((part for part in mail.walk() if part.get_content_type() == "message/feedback-report"), None)
    if report is None and not COMPLAINT.match(value(mail, "Subject")):
        return None
    inner = report.get_payload() if report is not None and report.is_multipart() else []
    fields = next((one for one in inner if not isinstance(one, str)), None)
    kind = (value(fields, "Feedback-Type") if fields is not None else "").strip().lower() or "abuse"
    if kind in _HARMLESS:
        return None
    named = [] if fields is None else addresses(fields, "Original-Rcpt-To", "Removal-Recipient")
    return Complaint(_original_ids(mail, {}, _text(mail)), next((one for _, one in named), None), kind[:40])


def _action(fields: dict[str, str]) -> str | None:
    told = fields.get("action", "").split()
    action = told[0].strip(";()").lower() if told else ""
    return action if action in ("failed", "delayed", "delivered", "relayed", "expanded") else None


def _fields(mail: Mail) -> dict[str, str]:
    """The fields of the delivery status; of several recipients the first that failed."""
    groups = [
        {name.lower(): value(group, name) for name in group}
        for part in mail.walk()
        if part.get_content_type() == "message/delivery-status" and part.is_multipart()
        for group in part.get_payload()
        if not isinstance(group, str)
    ]
    common = {name: text for group in groups[:1] if "action" not in group for name, text in group.items()}
    told = [group for group in groups if "action" in group or "final-recipient" in group]
    told.sort(key=lambda group: not group.get("action", "").lower().startswith("fail"))
    return {**common, **told[0]} if told else common


def _recipients(mail: Mail) -> tuple[set[str], set[str]]:
    """Who could not be reached for now, and who for good."""
    try:
        failing, failed = all_failures(mail)
    except Exception:  # a detector stumbled over a stranger's text; the mail is kept either way
        return set(), set()
    return _texts(failing), _texts(failed)


def _named(mail: Mail, words: str, text: str) -> set[str]:
    """Whom the notice names: in a field that came as text, in a header, or first in its own words."""
    if known := {address for _, address in addresses(mail, "X-Failed-Recipients")}:
        return known
    found = _FINAL.search(text)
    named = found[1] if found else next(iter(_ADDRESS.findall(words) or _ADDRESS.findall(text)), None)
    return {named.lower()} if named else set()


def _texts(found: frozenset[bytes]) -> set[str]:
    return {one.decode("ascii", "replace").lower() for one in found if b"@" in one}


def _original_ids(mail: Mail, fields: dict[str, str], text: str) -> tuple[str, ...]:
    found: list[str] = []
    for part in mail.walk():
        kind = part.get_content_type()
        if kind == "message/rfc822" and part.is_multipart():
            for inner in part.get_payload():
                if not isinstance(inner, str):
                    found += [*message_ids(inner, OWN_HEADER), *message_ids(inner, "Message-ID")]
        elif kind == "text/rfc822-headers" or kind == "message/rfc822-headers":
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                returned = message_from_bytes(content)
                found += [*message_ids(returned, OWN_HEADER), *message_ids(returned, "Message-ID")]
    found += find_message_ids(fields.get("original-message-id", ""))
    found += _ID_LINE.findall(text)
    if fields:  # an absence notice has In-Reply-To as well
        found += message_ids(mail, "In-Reply-To")
    return tuple(dict.fromkeys(one for one in found if one not in message_ids(mail, "Message-ID")))


def _text(mail: Mail) -> str:
    pieces: list[str] = []
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            content = part.get_payload(decode=True)
            charset = part.get_content_charset()
            pieces.append(decode(content[:_TEXT_LIMIT], charset) if isinstance(content, bytes) else "")
        elif part.get_content_maintype() == "multipart" and isinstance(broken := part.get_payload(), str):
            pieces.append(broken[:_TEXT_LIMIT])  # its parts could not be told apart
    return "\n".join(pieces)[:_TEXT_LIMIT]


def _bare(field: str) -> str | None:
    address = field.rpartition(";")[2].strip().strip("<>").lower()
    return address if "@" in address else None
