"""Cut from a long message what carries no meaning: greeting, signature, disclaimer, quoted lines."""

import re

from nlu.fold import plain

SHORT = 400  # characters; nothing is cut from a shorter message
LOUD_FROM = 6  # letters; fewer may be an abbreviation
_GREETING = re.compile(
    r"\s*(?:hola|buen[oa]s?(?: dias?| tardes| noches)?|cordial saludo|estimad\w+|apreciad\w+|senor\w*"
    r"|respetad\w+|dear|hi|hello|good (?:morning|afternoon|evening)|to whom it may concern|prezad\w+|caro\w*"
    r"|ola|oi|bom dia|boa (?:tarde|noite))\b[^\n.]{0,60}[,:.!]?\s*\n"
)
_ENDING = re.compile(
    r"^\s*(?:--\s*$|__{3,}|(?:enviado|sent|enviada) (?:desde|from|do|pelo) "
    r"|(?:este|esta) (?:mensaje|correo|mensagem|e-?mail)[^\n]{0,80}confiden"
    r"|this (?:e-?mail|message)[^\n]{0,80}(?:confiden|intended|privileged)"
    r"|aviso (?:legal|de confidencialidad)|confidentiality notice|disclaimer"
    r"|(?:cordialmente|atentamente|saludos(?: cordiales)?|un saludo|gracias y saludos|atte"
    r"|best regards|kind regards|regards|sincerely|yours (?:truly|sincerely)"
    r"|best wishes|atenciosamente|att|abracos|cumprimentos)[,.!]*\s*$)",
    re.MULTILINE,
)
_QUOTED = re.compile(r"^>.*$", re.MULTILINE)


def meaning(text: str) -> str:
    """The part of the text that a model should read; the text itself when nothing would remain."""
    text = _quiet(text).strip()  # a last line break would be a token
    if len(text) <= SHORT:
        return text
    unquoted = _QUOTED.sub("", text)
    low = plain(unquoted)
    greeting = _GREETING.match(low)
    start = greeting.end() if greeting else 0
    ending = _ENDING.search(low, start + 1)
    rest = unquoted[start : ending.start() if ending else len(unquoted)].strip()
    return rest if len(rest) >= 20 else text


def _quiet(text: str) -> str:
    """Shouting says nothing that the words do not: the tokens of capitals are rare, and read badly."""
    letters = [letter for letter in text if letter.isalpha()]
    shouted = sum(letter.isupper() for letter in letters)
    return text.lower() if len(letters) >= LOUD_FROM and shouted > len(letters) * 0.7 else text


def head_and_tail(ids: list[int], limit: int) -> list[int]:
    """At most `limit` tokens: three quarters from the beginning, the rest from the end, where demands stand."""
    if len(ids) <= limit:
        return ids
    head = limit * 3 // 4
    return ids[:head] + ids[len(ids) - (limit - head) :]
