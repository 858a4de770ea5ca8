"""What an SMS costs and how it is kept cheap: GSM 03.38, segments, transliteration."""

import unicodedata
from dataclasses import dataclass
from typing import Literal

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")  # two septets each
_PLAIN = {
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "´": "'", "`": "'",
    "–": "-", "—": "-", "‑": "-", "−": "-", "…": "...", "•": "-", "·": "-", "º": "o", "ª": "a", "°": "o",
    "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u200b": "", "\u200d": "", "\ufe0f": "", "→": "->", "✓": "", "™": "",
    "ç": "c",
}  # fmt: skip


@dataclass(frozen=True)
class Segments:
    """How a text travels: `units` are septets (GSM-7) or UTF-16 units (UCS-2); `count` is what is paid."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    count: int


def segments(text: str) -> Segments:
    """Count the segments of a text; one character outside GSM-7 makes the whole text UCS-2."""
    if is_gsm(text):
        sizes = [2 if character in _EXTENDED else 1 for character in text]
        return Segments("GSM-7", sum(sizes), _pack(sizes, 160, 153))
    sizes = [len(character.encode("utf-16-le", "surrogatepass")) // 2 for character in text]
    return Segments("UCS-2", sum(sizes), _pack(sizes, 70, 67))


def _pack(sizes: list[int], alone: int, joined: int) -> int:
    """A character of two units is not cut in two."""
    if sum(sizes) <= alone:
        return 1
    count, room = 1, joined
    for size in sizes:
        if size > room:
            count, room = count + 1, joined
        room -= size
    return count


def is_gsm(text: str) -> bool:
    """Whether GSM-7 holds every character."""
    return all(character in _BASIC or character in _EXTENDED for character in text)


def transliterated(text: str) -> str:
    """The text in GSM-7 as far as it can be read so: á í ó ú lose their accent, ñ é ü keep it, quotes become plain.

    What has no plain form (an emoji) is dropped; a text in another script is left as it is.
    """
    text = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(c).startswith("L") and not _reads_plain(c) for c in text):
        return text
    plain = "".join(map(_plain, text))
    return "\n".join(line.rstrip() for line in plain.split("\n"))


def _reads_plain(character: str) -> bool:
    return bool(_plain(character))


def _plain(character: str) -> str:
    if character in _BASIC or character in _EXTENDED:
        return character
    if character in _PLAIN:
        return _PLAIN[character]
    bare = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return bare if is_gsm(bare) else ""


def labelled(text: str, company: str, code: str | None) -> str:
    """Company and code first, within 30 characters: who writes, and about what, shows in the list of messages."""
    room = 30 - (len(code) + 3 if code else 2)
    name = company.strip()[: max(room, 0)].rstrip()
    head = " ".join(part for part in (name, code) if part)
    rest = text.strip()
    if not head or (name in rest[:30] and (not code or code in rest[:30])):
        return rest
    rest = rest.removeprefix(f"{name}:").lstrip()
    if code:  # a text that begins with the code says it once, in the label
        rest = rest.removeprefix(f"{code}:").lstrip()
    return f"{head}: {rest}"
