"""Text as a search sees it: lower case, without accents, in words."""

import re
import unicodedata

_SEPARATORS = re.compile(r"[^\w@.+-]+")


def fold(text: str) -> str:
    """Lower case, no accents, single blanks. The database cannot do this: its build has no ICU and no unaccent."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return _SEPARATORS.sub(" ", plain.replace("\x00", " ")).strip()
