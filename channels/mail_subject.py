"""What a subject speaks of, without what programs and gateways put before and after it."""

import re
import unicodedata
from collections.abc import Sequence

_PREFIX = re.compile(
    r"^\s*(?:(?:re|r|aw|antw|sv|vs|odp|rif|ref|res|resp|rta|rv|fw|fwd|wg|tr|i|enc|reenv|renv)\s*(?:\[\d+\]|\(\d+\))?\s*[:：]|"
    r"\[(?:external|externo|ext|spam|bulk|suspicious)[^\]]{0,20}\]|\((?:external|externo)\)|\*{3,}\s*spam\s*\*{3,})\s*",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"\[?\b(?:PQR|FEL)[-‐-― ]?[0-9A-Z]{7}\b\]?", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_WORDS = 12
"""So many words tell two subjects apart; programs cut longer ones."""


def topic_of(subject: str) -> tuple[str, ...]:
    """The first words that matter, folded: `Re: RV: Mi pedido [PQR-7K3M9QX]` and `MI PEDIDO` speak of the same."""
    rest = subject[:500]
    while match := _PREFIX.match(rest):
        rest = rest[match.end() :]
    plain = unicodedata.normalize("NFKD", _TOKEN.sub(" ", rest)).casefold()
    kept = "".join(one for one in plain if not unicodedata.combining(one))
    return tuple(_WORD.findall(kept)[:_WORDS])


def runs_of(topic: Sequence[str]) -> list[tuple[str, ...]]:
    """Every run of words in it: who adds "urgente" to a subject has not changed it."""
    number = len(topic)
    return [tuple(topic[start:end]) for start in range(number) for end in range(start + 1, number + 1)]


def is_other(new: str, known: str) -> bool:
    """Whether a subject speaks of something else than the one before it; an empty one says nothing."""
    wanted, runs = topic_of(known), runs_of(topic_of(new))
    return bool(runs) and bool(wanted) and wanted not in runs
