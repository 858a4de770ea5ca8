"""Codes and numbers in a text: case codes, one-time codes, order numbers."""

import re

from bot.dialogue.words import fold

_PREFIXED = re.compile(r"\b(?:pqrs?|fel)[\s:#.-]{0,3}([0-9a-z](?:[\s-]?[0-9a-z]){6})\b")
_ASKED = re.compile(
    r"\b(?:estado|estatus|status|caso|case|codigo|code|radicado|ticket|protocolo)"
    r"(?:\W+(?:del?|do|da|of|mi|my|meu|el|o|the|es|is|e|caso|case|codigo|code))*\W+([0-9a-z]{6,8})\b"
)


_SCORE = re.compile(
    r"^(?:(?:le|les|yo|doy|diria|pondria|un|una|seria|mi|nota|es|te|i|i'd|i.would|say|give|it|a|an|um|uma|eu|dou|dari?a"
    r"|minha|meu|my|score|puntaje|calificacion|que|the|la|el|o|as|con)\s+){0,4}"
    r"(?P<score>\d{1,2}|[a-z]+)(?:\s*(?:/|de|sobre|out of|of)\s*(?:10|5|diez|ten|dez)\b)?"
    r"(?:\s*(?:estrell?as|stars?|punt?os?|points?|pontos?)\b)?(?P<rest>(?![\w%]).*)$",
    re.DOTALL,
)
_SCORES = {
    word: score
    for score, said in enumerate(
        (
            "cero zero", "uno one um", "dos two dois duas", "tres three", "cuatro four quatro",
            "cinco five", "seis six", "siete seven sete", "ocho eight oito", "nueve nine nove", "diez ten dez",
        )
    )
    for word in said.split()
}  # fmt: skip
_COUNTED = re.compile(
    r"\s*(?:[:.,/]\s*\d|(?:dias?|horas?|semanas?|meses|mes|anos?|veces|minutos?|pesos|days?|hours?|weeks?|months?|years?"
    r"|times|minutes?|vezes|reais|personas?|people|pessoas?)\b)"
)


def score_in(text: str, lowest: int, highest: int) -> tuple[int, str] | None:
    """A score at the head of an answer ("9", "un ocho", "8/10, fue rápido") and its words, if any; None: none."""
    found = _SCORE.match(fold(text).rstrip("."))
    if found is None or _COUNTED.match(found["rest"]):
        return None
    said = found["score"]
    score = int(said) if said.isdigit() else _SCORES.get(said)
    if score is None or not lowest <= score <= highest:
        return None
    return score, text.strip() if re.search(r"[a-z]{2}", found["rest"]) else ""


def one_time_code(text: str) -> str | None:
    """Six digits, alone or after the word code."""
    found = re.fullmatch(
        r"(?:(?:el |mi |my |the |o |meu )?(?:codigo|code)(?: es| is| e)?[\s:]*)?(\d{3})[\s-]?(\d{3})\.?", fold(text)
    )
    return found.group(1) + found.group(2) if found else None


def case_code(text: str, *, status: bool) -> str | None:
    """What looks like a case code but may be mistyped, as typed: after its prefix, or after a word like *estado*."""
    folded = fold(text)
    candidates = [found.group(0) for found in _PREFIXED.finditer(folded)]
    if status:
        candidates += [found.group(1) for found in _ASKED.finditer(folded)]
    return next((one.upper() for one in candidates if _looks_random(one)), None)


def _looks_random(code: str) -> bool:
    """Each code holds a digit and a letter, so that no word and no order number reads as one."""
    symbols = code.split("-")[-1].split(" ")[-1]
    return any(symbol.isdigit() for symbol in code) and any(symbol.isalpha() for symbol in symbols)


def phone_like(text: str) -> str | None:
    """Seven digits or more in a row, as somebody writes a number to be called at."""
    found = re.search(r"\+?\d(?:[\s().-]{0,2}\d){6,14}", text)
    return found.group(0) if found else None


def long_number(text: str) -> bool:
    """Five digits or more: an order, a bill, a telephone; no hour and no year."""
    return bool(re.search(r"\d{5}", text))


def number_in(text: str) -> str | None:
    """A number of three digits or more (letters and hyphens around it included), or None."""
    found = re.search(r"\b(?=[\w-]*\d{3})[\w-]*\d[\w-]*\b", text)
    return found.group(0) if found else None
