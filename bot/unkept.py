"""Why a file was not kept, in the words of the Answer. The limit that is told is the one that held."""

import re
from dataclasses import dataclass

from bot.policy import Policy

_LARGER = re.compile(r"\blarger than (\d+(?:\.\d+)?) MB")  # so say storage.files, the intake and the channels


@dataclass(frozen=True)
class Unkept:
    """The line of the catalogue, and its blank {limit}."""

    line: str
    limit: str = ""


def unkept(policy: Policy, reason: str | None) -> Unkept:
    """What is said of a refused attachment with this reason."""
    found = _LARGER.search(reason or "")
    if found is None:
        return Unkept("file_refused")
    ours = found[1] == f"{policy.attachment_limit / 1e6:.3g}"  # told in the units in which the company set it
    return Unkept("file_too_large", f"{policy.attachment_limit_mb:g} MB" if ours else f"{found[1]} MB")
