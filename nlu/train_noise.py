"""The noise that training adds, and the robustness figure measures: hurried thumbs, capitals, lost accents."""

import random
import unicodedata
from collections.abc import Sequence

SHARE = 0.6  # of the messages of an epoch that are written carelessly
KEYS = ("qwertyuiop", "asdfghjklñ", "zxcvbnm")
BESIDE = {letter: "".join(row[max(0, i - 1) : i] + row[i + 1 : i + 2]) for row in KEYS for i, letter in enumerate(row)}


def without_accents(text: str) -> str:
    """The text as a hurried thumb writes it: á → a, ñ → n."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def typos(text: str, rng: random.Random, rate: float = 0.05) -> str:
    """Letters dropped, doubled, exchanged with the next or mistaken for the key beside; of `rate` a quarter each."""
    letters = list(text)
    i = 0
    while i < len(letters):
        if letters[i].isalpha() and rng.random() < rate:
            match rng.randrange(4):
                case 0:
                    letters[i] = ""
                case 1:
                    letters[i] *= 2
                case 2:
                    letters[i] = _beside(letters[i], rng)
                case _ if i + 1 < len(letters):
                    letters[i], letters[i + 1] = letters[i + 1], letters[i]
                    i += 1
        i += 1
    return "".join(letters) or text


def _beside(letter: str, rng: random.Random) -> str:
    found = rng.choice(BESIDE.get(letter.lower(), letter))
    return found.upper() if letter.isupper() else found


def noisy(text: str, rng: random.Random, share: float = SHARE) -> str:
    """The text, or in `share` of the calls a careless writing of it. For training only."""
    if rng.random() >= share:
        return text
    if rng.random() < 0.65:
        text = without_accents(text)
    match rng.randrange(10):
        case 0 | 1 | 2 | 3:
            text = text.upper()
        case 4 | 5:
            text = text.lower()
        case 6 | 7:
            text = "".join(c for c in text if c not in ",.;:¿¡!?")
    if rng.random() < 0.65:
        text = typos(text, rng, rng.choice((0.02, 0.05, 0.07)))
    return text if text.strip() else "?"


def noisy_all(texts: Sequence[str], seed: int = 11) -> list[str]:
    """Every text without accents, in capitals and with 5 % typos: the robustness figure. The same each time."""
    rng = random.Random(seed)  # noqa: S311 - noise, not a secret
    return [typos(without_accents(t).upper(), rng) for t in texts]


def typos_all(texts: Sequence[str], seed: int = 11) -> list[str]:
    """Every text with 5 % typos and nothing else."""
    rng = random.Random(seed)  # noqa: S311 - noise, not a secret
    return [typos(t, rng) for t in texts]
