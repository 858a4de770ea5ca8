"""Read what a mail server says of a mail of ours: which one, to whom, and whether for good (RFC 3464 and its kin)."""

import re
from dataclasses import dataclass
from email import message_from_bytes

from flufl.bounce import all_failures

from channels.mail_headers import Mail, addresses, find_message_ids, message_ids, value
from channels.mail_machine import is_failure_notice

OWN_HEADER = "X-Acuse-ID"
"""Our message id once more: some relays put their own Message-ID in place of ours."""

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_CODE = re.compile(r"(?<![\d.-])([45])[0-7]\d[ -](?=\S)")
_PASSING = {"5.2.2", "5.3.4"}  # the mailbox is full, this mail is too large: the address is right
_ID_LINE = re.compile(rf"^[> \t]*(?:{OWN_HEADER}|Message-ID)[ \t]*:[ \t]*(?:\r?\n[ \t]+)?(<[^<>\s]+>)", re.I | re.M)
_ADDRESS = re.compile(r"[^\s<>\"'(),:;\[\]@]{1,64}@[^\s<>\"'(),:;\[\]@]{1,200}\.[a-z]{2,}", re.IGNORECASE)
_GIVEN_UP = re.compile(r"\b(?:expired|giv(?:en|ing) up|final(?:ly)? fail|too long|timed? ?out)\b", re.IGNORECASE)
_TEXT_LIMIT = 200_000


@dataclass(frozen=True)
class Bounce:
    """What became of one mail. `action` is that of RFC 3464: failed, delayed, delivered, relayed or expanded."""

    original_ids: tuple[str, ...]  # ids that the returned mail bears; ours is among them if it is ours
    recipient: str | None
    action: str
    status: str | None  # 5.1.1
    reason: str

    @property
    def permanent(self) -> bool:
        """Whether this address will not take mail tomorrow either."""
        return self.action == "failed" and (self.status or "5").startswith("5") and self.status not in _PASSING


def find_bounce(mail: Mail) -> Bounce | None:
    """What this mail reports; None if it is no report of a delivery. Call it only for mail that a machine wrote."""
    fields = _fields(mail)
    failing, failed = _recipients(mail)
    text = _text(mail)
    if not fields and not failing and not failed:
        if not is_failure_notice(mail):
            return None
        failed = {address for _, address in addresses(mail, "X-Failed-Recipients")} or _named(text)
    status = _status(fields.get("status", ""), text)
    action = fields.get("action", "").split()[0].strip(";()").lower() if fields.get("action", "").strip() else ""
    if action not in ("failed", "delayed", "delivered", "relayed", "expanded"):
        waiting = (failing and not failed) or (status or "5").startswith("4")
        action = "delayed" if waiting and not _GIVEN_UP.search(text) else "failed"
    recipient = _bare(fields.get("original-recipient", "") or fields.get("final-recipient", ""))
    reason = fields.get("diagnostic-code", "") or status or value(mail, "Subject")
    return Bounce(
        original_ids=_original_ids(mail, fields, text),
        recipient=recipient or next(iter(sorted(failed | failing)), None),
        action=action,
        status=status,
        reason=re.sub(r"\s+", " ", reason).strip()[:300],
    )


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


def _named(text: str) -> set[str]:
    """The first address that stands in the notice's own words."""
    found = _ADDRESS.search(text)
    return {found[0].lower()} if found else set()


def _texts(found: frozenset[bytes]) -> set[str]:
    return {one.decode("ascii", "replace").lower() for one in found if b"@" in one}


def _status(field: str, text: str) -> str | None:
    if match := _STATUS.search(field) or _STATUS.search(text):
        return ".".join(match.groups())
    code = _CODE.search(text)
    return f"{code[1]}.0.0" if code else None


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
            pieces.append(content[:_TEXT_LIMIT].decode("latin-1") if isinstance(content, bytes) else "")
    return "\n".join(pieces)[:_TEXT_LIMIT]


def _bare(field: str) -> str | None:
    address = field.rpartition(";")[2].strip().strip("<>").lower()
    return address if "@" in address else None
