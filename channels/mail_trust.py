"""Whether a mail's sender is proved: by what our own mail server noted (RFC 8601), or by a signature that we check.

A server's note counts only where the configuration names that server. Without one the DKIM signature (RFC 6376) of the
sender's own domain is checked here; anything else in From is a claim.
"""

import logging
import re
from collections.abc import Callable, Collection

import authres  # type: ignore[import-untyped]  # it ships no types
import dkim  # type: ignore[import-untyped]  # it ships no types
import dns.exception
import dns.resolver

from channels.mail_headers import Mail, addresses, raw_values

TextRecord = Callable[[str], bytes | None]
"""The TXT record of a name in the DNS; None when there is none or nobody answers."""

_IN_A_COMMENT = re.compile(r"\([^()]*")
_LONGEST_NOTE = 20_000  # characters
_SIGNATURES = 3  # more are not looked at: each costs a question to a stranger's server
_PATIENCE = 5.0  # seconds for one question

_silent = logging.getLogger("acuse.dkim")  # the library reports every stranger's fault as an error
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def is_authentic(mail: Mail, trusted: Collection[str]) -> bool:
    """True if a server that we trust says `dmarc=pass` for the domain in From, once and nothing else of dmarc.

    Only the topmost note counts: a server writes above what it received, and takes out notes in its own name. It quotes
    what the sender chose (the envelope's address), so a note that is not well-formed to the letter proves nothing.
    """
    notes = raw_values(mail, "Authentication-Results")
    domain = domain_of(mail)
    if not notes or not trusted or domain is None or len(notes[0]) > _LONGEST_NOTE or _breaks_out(notes[0]):
        return False
    try:
        note = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {notes[0].rstrip(' ;')}")
    except Exception:  # whatever made the library stumble is no note of ours
        return False
    if str(note.authserv_id).lower() not in {one.lower() for one in trusted}:
        return False
    results = [one for one in note.results if one.method.lower() == "dmarc"]
    return len(results) == 1 and _passes(results[0], domain)


def is_signed(raw: bytes, mail: Mail, text_record: TextRecord) -> bool:
    """True if the domain in From, or one above it, signed the whole mail with a key that stands in the DNS. Blocks."""
    domain = domain_of(mail)
    if domain is None:
        return False
    count = min(len(raw_values(mail, "DKIM-Signature")), _SIGNATURES)
    return any(_signs(raw, number, domain, text_record) for number in range(count))


def domain_of(mail: Mail) -> str | None:
    """The domain in From; None unless there is exactly one From with exactly one address."""
    senders = addresses(mail, "From")
    if len(senders) != 1 or len(raw_values(mail, "From")) != 1:
        return None
    return senders[0][1].rpartition("@")[2]


def look_up(name: str) -> bytes | None:
    """Ask the DNS for a TXT record. Blocks for a few seconds at most."""
    try:
        answer = dns.resolver.resolve(name, "TXT", lifetime=_PATIENCE, search=False)
    except (dns.exception.DNSException, OSError, ValueError):
        return None
    return next((b"".join(record.strings) for record in answer), None)


def _signs(raw: bytes, number: int, domain: str, text_record: TextRecord) -> bool:
    try:
        checker = dkim.DKIM(raw, logger=_silent)
        good = checker.verify(number, dnsfunc=lambda name, timeout=0: text_record(_as_text(name).rstrip(".")))
        fields = checker.signature_fields
        signer = fields.get(b"d", b"").decode("ascii").lower()
    except Exception:  # whatever a stranger's signature made the library stumble over proves nothing
        return False
    whole = b"l" not in fields  # a signature of the beginning only: anything may have been added
    modern = not fields.get(b"a", b"").endswith(b"sha1")
    return bool(good) and whole and modern and "." in signer and f".{domain}".endswith(f".{signer}")


def _as_text(name: str | bytes) -> str:
    return name.decode("ascii", "replace") if isinstance(name, bytes) else name


def _breaks_out(note: str) -> bool:
    """Whether a comment cuts a quotation in two: `(domain of "x) ; …"@evil.com)` goes on outside of its brackets."""
    return any(part.count('"') % 2 or "\\" in part for part in _IN_A_COMMENT.findall(note))


def _passes(result: authres.AuthenticationResult, domain: str) -> bool:
    senders = [str(one.value).lower() for one in result.properties if (one.type, one.name) == ("header", "from")]
    return str(result.result).lower() == "pass" and senders == [domain]
