"""Whether a mail's sender is proved: what our own mail server noted about it (RFC 8601)."""

import re
from collections.abc import Collection

from channels.mail_headers import Mail, addresses, raw_values

_COMMENT = re.compile(r"\([^()]*\)")


def is_authentic(mail: Mail, trusted: Collection[str]) -> bool:
    """True if a server that we trust says `dmarc=pass` for the domain in From.

    Only the topmost note counts: a server writes above what it received, and takes out notes in its own name.
    """
    notes = raw_values(mail, "Authentication-Results")
    senders = addresses(mail, "From")
    if not notes or not trusted or len(senders) != 1 or len(raw_values(mail, "From")) != 1:
        return False
    server, _, results = _COMMENT.sub(" ", notes[0]).partition(";")
    name = server.split()[0].strip('"').lower() if server.split() else ""
    if name not in {one.lower() for one in trusted}:
        return False
    return any(_passes(result, senders[0][1].rpartition("@")[2]) for result in results.split(";"))


def _passes(result: str, domain: str) -> bool:
    fields = dict(field.lower().split("=", 1) for field in result.split() if "=" in field)
    return fields.get("dmarc") == "pass" and fields.get("header.from", domain).strip('"') == domain
