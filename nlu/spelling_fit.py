"""Makes a model's `words.npz` from what it was trained on: python -m nlu.spelling_fit MODEL. Needs [train]."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nlu import spelling
from nlu.fold import plain
from nlu.train_data import Example, extra, load, split

DATA = Path(__file__).parent / "data"
LANGUAGES = ("es", "en", "pt")
TWICE = 2  # a word that stands once may be a slip itself
_WORD = re.compile(r"[^\W\d_]+")


def fit(directory: Path, learned: Sequence[Example]) -> None:
    """From the messages that the encoder learned from, and the dictionaries of pyspellchecker (MIT)."""
    forms = Counter(word.lower() for one in learned for word in _WORD.findall(one.text))
    times: Counter[str] = Counter()
    for word, count in forms.items():
        times[plain(word)] += count
    known = (
        word for language in LANGUAGES for word in extra("spellchecker").SpellChecker(language=language).word_frequency
    )
    spelling.save(directory, {word: count for word, count in forms.items() if times[plain(word)] >= TWICE}, known)


if __name__ == "__main__":
    fit(Path(sys.argv[1]), split(load(DATA)).train)
