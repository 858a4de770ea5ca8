"""The marks that we put on our mail and know again: message ids and reply addresses, signed against forgers."""

import hashlib
import hmac
import re

from channels.mail_subject import runs_of, topic_of

_ID = re.compile(
    r"<acuse\.(?P<nonce>[0-9a-f]{24})(?:\.(?P<topic>[0-9a-f]{8}))?\.(?P<mac>[0-9a-f]{16})@[^<>\s]+>", re.IGNORECASE
)
_TAG = re.compile(r"(?P<code>(?:pqr|fel)-[0-9a-z]{7})\.(?P<mac>[0-9a-f]{10})", re.IGNORECASE)
_CODE = re.compile(r"(?:PQR|FEL)-[0-9A-Z]{7}")


class Marks:
    """Makes and checks the marks of one mail account. `secret` is the installation's, at least 16 bytes."""

    def __init__(self, address: str, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError("the secret for signed mail marks must have at least 16 bytes")
        self._local, _, self._domain = address.rpartition("@")
        self._secret = secret

    def message_id(self, key: str, subject: str | None = None) -> str:
        """The message id of an outgoing message: the same for every attempt to send it.

        With the subject that it bears, an answer under another subject is told from one under this.
        """
        nonce = self._mac("nonce", key)[:24]
        topic = "" if subject is None else f".{self._topic(topic_of(subject))}"
        return f"<acuse.{nonce}{topic}.{self._mac('id', nonce + topic)[:16]}@{self._domain}>"

    def is_ours(self, message_id: str) -> bool:
        """Whether we made this message id."""
        match = _ID.fullmatch(message_id)
        if match is None:
            return False
        topic = f".{match['topic'].lower()}" if match["topic"] else ""
        return hmac.compare_digest(match["mac"].lower(), self._mac("id", match["nonce"].lower() + topic)[:16])

    def is_other_subject(self, message_id: str, subject: str) -> bool:
        """Whether a mail of ours bore a subject that spoke of something else. An empty one says nothing."""
        match = _ID.fullmatch(message_id)
        topic = topic_of(subject)
        if match is None or match["topic"] is None or not topic:
            return False
        known = match["topic"].lower()
        return known != self._topic(()) and all(self._topic(run) != known for run in runs_of(topic))

    def reply_address(self, code: str) -> str | None:
        """The address under which answers about this case come in; None if it is no case code."""
        if not _CODE.fullmatch(code):
            return None
        tag = code.lower()
        return f"{self._local}+{tag}.{self._mac('reply', tag)[:10]}@{self._domain}"

    def code_of(self, address: str) -> str | None:
        """The case code in an address of ours, if we signed it."""
        local, _, domain = address.rpartition("@")
        base, _, tag = local.rpartition("+")
        match = _TAG.fullmatch(tag)
        if match is None or base.lower() != self._local.lower() or domain.lower() != self._domain.lower():
            return None
        code = match["code"].lower()
        signed = hmac.compare_digest(match["mac"].lower(), self._mac("reply", code)[:10])
        return code.upper() if signed else None

    def _topic(self, words: tuple[str, ...]) -> str:
        return self._mac("topic", " ".join(words))[:8]

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"mail:{purpose}:{text}".encode(), hashlib.sha256).hexdigest()
