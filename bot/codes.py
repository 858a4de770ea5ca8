"""Case codes: `PQR-7K3M9Q` and a check symbol, readable over a bad phone line and forgiving to type.

Seven symbols of the 32 digits and letters without I, L, O and U; the last is a check symbol (Luhn mod 32). Luhn finds
every single wrong symbol and every swap of neighbours but one: `0Z` for `Z0`. So no code that we give out has a 0
beside a Z. Each also holds a digit from 2 to 9 and a letter, so that no word and no order number reads as a code.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

Prefix = Literal["PQR", "FEL"]

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM = 6  # symbols before the check symbol
SIZE = len(SYMBOLS)
ZERO, LAST = 0, SIZE - 1
DIGITS = range(2, 10)  # never a misread letter
LETTERS = range(10, LAST)  # without Z, which stands with 0 in the blind pair

_MISREAD = str.maketrans("OIL", "011")
_DASHES = r"\-\u2010-\u2015\u2212"
_SYMBOL = "[0-9A-TV-Z]"
_BODY = rf"{_SYMBOL}(?:[ {_DASHES}]?{_SYMBOL}){{{RANDOM}}}(?![0-9A-Z])"
_PREFIXED = re.compile(rf"(?<![0-9A-Z])(?=((?:PQR|FE[L1I])[\s{_DASHES}_:#.]{{0,3}}({_BODY})))")
_BARE = re.compile(rf"(?<![0-9A-Z])(?=({_BODY}))")
_ASKED = re.compile(
    r"\b(?:ESTADO|STATUS|CASO|CASE|CODIGO|CODE|RADICADO|TICKET|PROTOCOLO|SEGUIMIENTO|TRACKING|REFERENCIA|REFERENCE)"
    r"(?:\W+(?:DE|DEL|DO|DA|OF|MI|MY|MEU|EL|O|THE|ES|IS|E|NUMERO|NUMBER|NO|NRO|N|CASO|CASE|CODIGO|CODE|ID))*\W*$"
)


def new_code(prefix: Prefix, choose: Callable[[int], int]) -> str:
    """Draw a code. `choose(n)` gives a number from 0 to n-1, for instance `secrets.randbelow`."""
    symbols = [choose(SIZE) for _ in range(RANDOM)]
    if not (any(s in DIGITS for s in symbols) and any(s in LETTERS for s in symbols)):
        place = choose(RANDOM)
        symbols[place] = DIGITS[choose(len(DIGITS))]
        symbols[(place + 1) % RANDOM] = LETTERS[choose(len(LETTERS))]
    while (blind := _blind_pair([*symbols, _check(symbols)])) is not None:
        symbols[blind] = DIGITS[choose(len(DIGITS))]
    return f"{prefix}-" + "".join(SYMBOLS[s] for s in [*symbols, _check(symbols)])


def parse(text: str) -> str | None:
    """The canonical code of a text that is meant as one, in any spelling; None if it is none.

    Without a prefix it is taken as a PQR; `twin` gives the other reading.
    """
    bare = re.sub(rf"[\s{_DASHES}_:#.,;()\[\]<>\"'*]", "", _folded(text)).translate(_MISREAD)
    prefix = {"PQR": "PQR", "FE1": "FEL"}.get(bare[:3]) if len(bare) == 3 + RANDOM + 1 else "PQR"
    body = bare[-(RANDOM + 1) :]
    if prefix is None or len(bare) not in (RANDOM + 1, 3 + RANDOM + 1) or not _is_right(body):
        return None
    return f"{prefix}-{body}"


def readings(typed: str) -> tuple[str, ...]:
    """The codes that somebody may mean: one that was typed without its prefix may have either. Empty: it is none."""
    code = parse(typed)
    return (code, twin(code)) if code else ()


def twin(code: str) -> str:
    """The same symbols under the other prefix: what a person means who left the prefix out."""
    prefix, body = code.split("-")
    return f"{'FEL' if prefix == 'PQR' else 'PQR'}-{body}"


def find(text: str) -> list[str]:
    """Codes inside free text, in the order of the text, each once and canonical.

    A wrong check symbol is no code. Without prefix only alone on its line or after a word such as *estado* or *case*.
    """
    folded = _folded(text)
    found: dict[int, str] = {}
    taken: set[int] = set()
    for match in _PREFIXED.finditer(folded):
        start, spelling, body = match.start(1), match.group(1), match.group(2)
        code = parse(spelling) if _evident(body) else None
        if code is not None:
            found.setdefault(start, code)
            taken.update(range(start, start + len(spelling)))
    for match in _BARE.finditer(folded):
        start, body = match.start(1), match.group(1)
        if start not in taken and _evident(body) and _stands_out(folded, start, start + len(body)):
            code = parse(body)
            if code is not None:
                found.setdefault(start, code)
    return list(dict.fromkeys(found[start] for start in sorted(found)))


def _stands_out(folded: str, start: int, end: int) -> bool:
    line_start = folded.rfind("\n", 0, start) + 1
    line_end = folded.find("\n", end)
    before, after = folded[line_start:start], folded[end : None if line_end < 0 else line_end]
    alone = not re.search(r"\w", before) and not re.search(r"\w", after)
    return alone or _ASKED.search(before[-80:]) is not None


def _evident(body: str) -> bool:
    """Whether these symbols can only be a code of ours: a digit and a letter stand in one run of them.

    A word is no code, a number is none, and neither is a word before a number (*caso 130*).
    """
    return any(re.search("[2-9]", run) and re.search("[A-HJKMNP-TV-Y]", run) for run in body.split(" "))


def _folded(text: str) -> str:
    """Capitals without accents, character for character as far as a code is concerned."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if not unicodedata.combining(c)).upper()


def _check(symbols: Sequence[int]) -> int:
    """Luhn mod 32: every other symbol, from the last, counts double, and the digits of the double are added."""
    total = 0
    for place, symbol in enumerate(reversed(symbols)):
        weighed = symbol * (2 if place % 2 == 0 else 1)
        total += weighed // SIZE + weighed % SIZE
    return -total % SIZE


def _is_right(body: str) -> bool:
    if len(body) != RANDOM + 1 or any(c not in SYMBOLS for c in body):
        return False
    *symbols, check = (SYMBOLS.index(c) for c in body)
    return _check(symbols) == check


def _blind_pair(symbols: Sequence[int]) -> int | None:
    """Where a 0 and a Z stand side by side: the one swap that Luhn does not see."""
    pairs = ({a, b} == {ZERO, LAST} for a, b in pairwise(symbols))
    return next((place for place, blind in enumerate(pairs) if blind), None)
