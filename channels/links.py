"""Links to files that we send: signed, for one file, and soon over. Providers fetch what they pass on from there."""

import hashlib
import hmac
import mimetypes
import re
from datetime import datetime, timedelta
from urllib.parse import quote

from channels.channel import File, House

LASTS = timedelta(hours=24)
PATH = "/f"
_TOKEN = re.compile(r"(?P<sha>[0-9a-f]{64})\.(?P<until>[0-9a-f]{1,10})\.(?P<mark>[0-9a-f]{32})")


def link(house: House, file: File, *, now: datetime) -> str:
    """An address from which this file can be fetched for a day. The house must have a public address."""
    sha, until = file.path.name, f"{int((now + LASTS).timestamp()):x}"
    token = f"{sha}.{until}.{_mark(house.secret, sha, until, file.name)}"
    return f"{house.public_url}{PATH}/{token}/{quote(file.name)}"


def opened(secret: bytes, token: str, name: str, *, now: datetime) -> str | None:
    """The hash of the file that a link names; None when it is not ours, was changed, or is over."""
    found = _TOKEN.fullmatch(token)
    if found is None or not hmac.compare_digest(_mark(secret, found["sha"], found["until"], name), found["mark"]):
        return None
    return found["sha"] if int(found["until"], 16) > now.timestamp() else None


def type_of(name: str) -> str:
    """What a file is by its name, which the link vouches for."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _mark(secret: bytes, sha: str, until: str, name: str) -> str:
    signed = "\n".join(("file link", sha, until, name))
    return hmac.new(secret, signed.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]
