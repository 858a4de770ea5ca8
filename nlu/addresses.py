"""Postal addresses in running text, as people in our countries write them: a street word, its name or number, a door.

Street *names* without a door are not taken ("la avenida estaba cerrada" says where, but is nobody's address).
"""

import re
from collections.abc import Iterator

from nlu.fold import plain

_DOOR = r"\d{1,5}\s?[a-z]?(?![\w-])"
_NUMBER_SIGN = r"(?:#|n[°º]|no\.?|nro\.?|num\.?|numero|n\.|al|altura)"
_INSIDE = (
    r"(?:,?\s*(?:apto|apartamento|apt|ap|casa|torre|bloque|bloco|interior|int|piso|planta|puerta|oficina|of|local|lote"
    r"|manzana|mz|depto|departamento|dpto|unit|suite|flat|sala)\b\.?\s*(?:\d{1,5}[a-z]?|[a-z])\b){0,4}"
)
# no full stop within a name, but for the usual abbreviations: what comes after it is another sentence
_NAME = r"(?:(?:\w|dr|dra|gral|gob|pte|pres|sta|sto|ing|cnel|cap|sgto|prof|eng|mal)\.|\w[\w'’-]*)"
# Bogotá and most of Colombia: a grid of numbers, "Cra 7 # 32-16", "calle 45A sur No. 12 - 30"
_GRID = (
    r"(?:calle|cll|cl|carrera|cra|kra|kr|cr|diagonal|diag|dg|transversal|transv|tv|avenida|av|ak|ac|autopista|circular)\.?"
    r"\s*\d{1,3}\s?[a-h]?(?:\s*bis)?(?:\s*(?:sur|norte|este|oeste))?\s*,?\s*"
    rf"(?:{_NUMBER_SIGN}|con|-)\s*\d{{1,3}}\s?[a-h]?(?:\s*(?:sur|norte|este|oeste))?\s*(?:-|–|\s)\s*\d{{1,3}}(?![\w-])"
)
# everywhere else in Spanish and Portuguese: "Av. Corrientes 1234, piso 5", "Rua das Flores, 123", "Jr. Puno No. 450"
_STREET = (
    r"(?:calle|avenida|avda|av|ave|jiron|jr|pasaje|pje|paseo|plaza|camino|ruta|boulevard|bulevar|blvd|prolongacion|calzada"
    r"|carrera|callejon|cerrada|privada|rua|r\.|travessa|tv|alameda|al\.|estrada|praca|rodovia|largo)\.?"
    rf"\s+(?:{_NAME}\s+){{0,5}}?{_NAME},?\s+"
    rf"(?:{_NUMBER_SIGN}\s*)?{_DOOR}"
)
# "221B Baker Street, Flat 2", "1600 Pennsylvania Ave NW"
_ENGLISH = (
    r"\d{1,5}[a-z]?\s+(?:[nsew]\.?\s+)?(?:[a-z][\w'’]*\s+){1,3}?"
    r"(?:street|st|avenue|ave|road|rd|drive|dr|lane|ln|boulevard|blvd|court|ct|terrace|crescent|highway|hwy)\b\.?"
    r"(?:\s+(?:n|s|e|w|nw|ne|sw|se)\b)?"
)
_ADDRESS = re.compile(rf"(?<![\w#-])(?:{_GRID}|{_STREET}|{_ENGLISH}){_INSIDE}", re.IGNORECASE)
_NO_NAME = re.compile(  # words that stand in a sentence and in no street's name
    r"\b(?:hace|desde|que|por|para|fue|con|mi|me|se|las|hoy|ayer|llevo|estaba|esta|son|sao|ha|was|is|were|the|at|in|for|my)\b"
)
_UNIT = re.compile(
    r"\s*(?:dias?|horas?|minutos?|meses|anos|semanas|veces|pesos|personas|cuadras|metros|mil|%|days?|hours?)"
)


def find_addresses(text: str) -> Iterator[tuple[int, int]]:
    """The span of every postal address in the text."""
    low = plain(text)
    for match in _ADDRESS.finditer(low):
        grid = re.fullmatch(rf"(?:{_GRID}){_INSIDE}", match.group())
        if _UNIT.match(low, match.end()) or (not grid and _NO_NAME.search(match.group())):
            continue
        yield match.start(), match.end()
