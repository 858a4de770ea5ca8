"""Part what a person just wrote from what they quote and from their signature.

The best libraries are wrong on half of what people send, so: on doubt everything is kept, and a line such as
"El vecino escribió:" opens a quotation only with a date or an address in it and with something that looks quoted below.
"""

import re
from dataclasses import dataclass

import quotequail  # type: ignore[import-untyped]  # it ships no types

_WROTE = (
    r"escribió|escribio|ha escrito|escreveu|wrote|writes|a écrit|schrieb|ha scritto|schreef|skrev|va escriure|napisał"
)
_INTRO = re.compile(
    rf"^\W{{0,3}}(?:El|On|Em|No dia|A|Le|Am|Il|Op|Den|Dia|En|Lun|Mar|Mié|Jue|Vie|Sáb|Dom|\d|"
    rf"[^\n]{{1,80}}<[^>\s]{{1,64}}@)[^\n]{{0,250}}\b(?:{_WROTE})\b[^\n]{{0,60}}:\W{{0,3}}$",
    re.IGNORECASE,
)
_DATED = re.compile(r"\d{1,2}:\d{2}|\d{4}|\d{1,2}[/.-]\d{1,2}[/.-]\d{2}|[^\s@<]{1,64}@[^\s@>]{1,200}\.[^\s@>]")
_ORIGINAL = re.compile(
    r"^\s*[-_]{2,}\s*(?:Mensaje original|Mensagem original|Original Message|Message d'origine|Original-Nachricht|"
    r"Ursprüngliche Nachricht|Messaggio originale|Oorspronkelijk bericht|Correo original)\s*[-_]{2,}\s*$",
    re.IGNORECASE,
)
_RULE = re.compile(r"^\s*(?:_{10,}|-{20,}|\*{20,})\s*$")
_FORWARD = re.compile(
    r"^[> \t]*(?:[-_]{2,}\s*(?:Forwarded message|Mensaje reenviado|Mensagem encaminhada|Forwarded by|Message transféré)"
    r"[^\n]{0,80}|(?:Begin forwarded message|Inicio del mensaje reenviado|Início da mensagem encaminhada|"
    r"Comienzo del mensaje reenviado):)\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARD_SUBJECT = re.compile(r"^\s*(?:fwd?|rv|renv|reenv|enc|tr|wg|i)\s*:", re.IGNORECASE)
_HEADER = re.compile(
    r"^[>\s]*\*?(?P<name>De|From|Von|Enviado(?: el| em| a las)?|Enviada em|Sent|Date|Fecha|Data|Para|To|An|CC|Cc|"
    r"Asunto|Subject|Assunto|Betreff|Responder a|Reply-To)\s*:\*?\s*(?P<value>\S[^\n]*)?$",
    re.IGNORECASE,
)
_FROM = {"de", "from", "von"}
_SIGNATURE = re.compile(r"^--\s?$")
_DEVICE = re.compile(
    r"^\s*(?:(?:Enviado|Enviada) (?:desde|do|da|pelo|pela|con|via|a partir d[eo])\b|Sent from\b|Get Outlook for\b|"
    r"Sent with\b|Obtener Outlook\b|Obtén Outlook\b|Obter o Outlook\b|Baixe o Outlook\b|Descargar Outlook\b)"
    r"[^\n]{0,100}$",
    re.IGNORECASE,
)
_SIGNATURE_LINES = 15
_SLOW = 400  # lines: the library takes a millisecond for each


@dataclass(frozen=True)
class Split:
    """What is new, what is quoted, and the signature; together they are the whole text."""

    new: str
    quoted: str = ""
    signature: str = ""


def split(text: str, subject: str = "") -> Split:
    """Part a mail's plain text. A forwarded mail is what the person wants to show, so it stays whole."""
    if _FORWARD_SUBJECT.match(subject) or _FORWARD.search(text):
        return Split(text.strip())
    lines = text.split("\n")
    at = _quotation(lines)
    above, below = (lines, []) if at is None else (lines[:at], lines[at:])
    fresh, signature = _without_signature(above)
    answers = _answers_below(below)
    new = "\n".join([*fresh, *([""] if fresh and answers else []), *answers]).strip()
    if not new:  # nothing but a quotation: perhaps we are wrong about it
        return Split(text.strip())
    quoted = "\n".join(below).strip()
    return Split(new, quoted, "\n".join(signature).strip())


def _quotation(lines: list[str]) -> int | None:
    """The line at which a quotation begins."""
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        if _ORIGINAL.match(line) or _is_header_block(lines, number) or _is_intro(lines, number):
            return number
        if _RULE.match(line) and _is_header_block(lines, _next(lines, number + 1)):
            return number
    return _trailing_quote(lines) or _second_opinion(lines)


def _is_intro(lines: list[str], number: int) -> bool:
    """`El mar, 3 mar 2026 a las 10:15, Ana <ana@…> escribió:`, wrapped over up to three lines."""
    for size in (1, 2, 3):
        wrapped = lines[number : number + size]
        if all(line.strip() for line in wrapped) and _introduces(wrapped) and not _introduces(wrapped[1:]):
            return not lines[number].lstrip().startswith(">") and _has_below(lines, number + size)
    return False


def _introduces(wrapped: list[str]) -> bool:
    joined = " ".join(line.strip()[:400] for line in wrapped)
    return _INTRO.match(joined) is not None and _DATED.search(joined) is not None


def _has_below(lines: list[str], number: int) -> bool:
    return any(line.strip() for line in lines[number:])


def _is_header_block(lines: list[str], number: int) -> bool:
    """`De: … Enviado: … Para: … Asunto: …`: at least three, the sender first."""
    if number >= len(lines):
        return False
    first = _HEADER.match(lines[number])
    if first is None or first["name"].lower() not in _FROM:
        return False
    names = {match["name"].lower() for line in lines[number : number + 8] if (match := _HEADER.match(line))}
    return len(names) >= 3


def _trailing_quote(lines: list[str]) -> int | None:
    """A block of `>` lines that ends the text, without an introduction."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    start = end
    while start and (lines[start - 1].startswith(">") or not lines[start - 1].strip()):
        start -= 1
    quoted = sum(line.startswith(">") for line in lines[start:end])
    return start if quoted >= 2 and start > 0 else None


def _second_opinion(lines: list[str]) -> int | None:
    """A library that knows more languages, believed only where a date or an address stands in the line."""
    if len(lines) > _SLOW or not any(line.rstrip().endswith(":") for line in lines):
        return None
    parts = quotequail.quote("\n".join(lines), limit=len(lines) + 1, quote_intro_line=True)
    if len(parts) < 2:
        return None
    number = len(parts[0][1].split("\n"))
    joined = " ".join(line[:400] for line in lines[number : number + 2])
    return number if _DATED.search(joined) and _has_below(lines, number + 1) else None


def _next(lines: list[str], number: int) -> int:
    while number < len(lines) and not lines[number].strip():
        number += 1
    return number


def _answers_below(below: list[str]) -> list[str]:
    """What a person wrote between or under quoted lines; only where those are marked with `>`."""
    first = next((number for number, line in enumerate(below) if line.startswith(">")), None)
    if first is None or first > 4 or sum(bool(line.strip()) for line in below[:first]) > 3:
        return []
    answers = [line for line in below[first:] if not line.startswith(">")]
    return _without_signature("\n".join(answers).strip().split("\n"))[0] if any(one.strip() for one in answers) else []


def _without_signature(lines: list[str]) -> tuple[list[str], list[str]]:
    """Cut at `-- ` or at what a telephone adds; never so that nothing is left."""
    for number, line in enumerate(lines):
        marked = _SIGNATURE.match(line) and len(lines) - number <= _SIGNATURE_LINES
        added = _DEVICE.match(line) and sum(bool(one.strip()) for one in lines[number:]) <= 3
        if (marked or added) and any(one.strip() for one in lines[:number]):
            return lines[:number], lines[number:]
    return lines, []
