"""What a message states: numbers, dates, money, ways to reach the person, people, places, and what they ask for."""

import re
from collections.abc import Iterable, Iterator
from functools import cache

import phonenumbers

from nlu.addresses import find_addresses
from nlu.dates import find_dates
from nlu.fold import Folded, plain
from nlu.money import find_amounts
from nlu.phrases import Group, group, words
from nlu.rules import case_codes
from nlu.understanding import LANGUAGES, Fact, Hint

MAX_TEXT = 20_000  # characters read for facts; nobody writes more by hand
_EMAIL = re.compile(r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,5}[a-z]{2,24}(?![\w@])", re.IGNORECASE)
_LINK = (
    r"(?:\s*(?:numero|number|num|no|nro|n|es|e|is|de|del|da|do"
    r"|la|el|id|code|codigo|con|with|com)\b\.?|[\s:#.º°ª-]){0,6}"
)
_ID = r"(?P<id>(?=[a-z-]*\d)[a-z]{0,5}-?\d[a-z0-9-]{1,19})"
_NUMBERED = (
    ("order", "pedido|orden|orden de compra|compra|encomenda|order|purchase|po|envio|guia|tracking"),
    ("invoice", "factura|invoice|bill|recibo|boleta|fatura|nota fiscal|nf|boleto|ticket de compra"),
    ("contract", "contrato|contract|poliza|policy|apolice|suscripcion|suscriptor|account|cuenta|matricula|nic|niu"),
    (
        "document",
        "cedula|cc|c\\.c|ce|dni|rut|run|ruc|nit|cpf|cnpj|curp|cuit|cuil|pasaporte|passport|passaporte|documento|document|rg|ti",
    ),
)
_DOCUMENT = r"(?P<id>(?=[a-z]{0,4}\d)[a-z]{0,4}\d(?:[\d.\s-]{3,18}[\dk]|[a-z0-9]{3,18})|[a-z]{4}\d{6}[a-z0-9]{8})"
_PRIVATE_IDS = re.compile(r"(?<![\w.-])(?:\d{3}\.\d{3}\.\d{3}-\d{2}|\d{1,2}\.\d{3}\.\d{3}-[\dk])(?![\w-])")
_HASH = re.compile(r"(?<![\w#])#\s?(?P<id>\d{4,14})(?![\w-])")
_ALONE = re.compile(r"\s*(?:es |is |e |el |o |the )?#?(?P<id>[a-z]{0,4}-?\d{4,12})\s*[.!]?\s*")
_NAME = r"(?P<name>[A-ZÁÉÍÓÚÑÂÊÔÃÕÇ][a-záéíóúñâêôãõç]+(?:\s+[A-ZÁÉÍÓÚÑÂÊÔÃÕÇ][a-záéíóúñâêôãõç]+){0,2})"
_PENDING_NUMBER = {
    "order": "order",
    "invoice": "invoice",
    "contract": "contract",
    "document": "document",
    "reference": "order",
}
_RANK = (
    "email",
    "document",
    "amount",
    "date",
    "order",
    "invoice",
    "contract",
    "phone",
    "address",
    "person",
    "area",
    "wish",
)


def find_facts(text: str, folded: Folded, hint: Hint) -> tuple[Fact, ...]:
    """The facts in reading order. Spans never overlap, but for the wish, which may hold others."""
    read, low = text[:MAX_TEXT], plain(text[:MAX_TEXT])
    taken = [*case_codes(low)]
    kept: list[Fact] = []
    for fact in _candidates(read, low, hint):
        if not any(fact.start < end and start < fact.end for start, end in taken):
            kept.append(fact)
            taken.append((fact.start, fact.end))
    kept.extend(_wishes(text, folded))
    return tuple(sorted(kept, key=lambda fact: (fact.start, fact.end, _RANK.index(fact.kind))))


def _candidates(text: str, low: str, hint: Hint) -> Iterator[Fact]:
    """The surest kinds first: whoever comes later gives way."""
    for match in _EMAIL.finditer(text):
        yield _fact("email", match.group().lower(), text, match.span())
    yield from _labelled(text, low)
    for start, end in find_addresses(text):
        yield _fact("address", text[start:end], text, (start, end))
    for start, end, value in find_amounts(text, hint.country):
        yield _fact("amount", value, text, (start, end))
    for start, end, value in find_dates(text, hint.now, hint.country):
        yield _fact("date", value, text, (start, end))
    yield from _asked(text, low, hint.pending)
    yield from _phones(text, hint.country)
    for match in _HASH.finditer(low):
        yield _fact("order", match["id"], text, match.span("id"))
    yield from _names(text)


@cache
def _labels() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (
            kind,
            re.compile(
                rf"(?<!\w)(?:{names})(?!\w){_LINK}(?<![\w-]){_DOCUMENT if kind == 'document' else _ID}(?![\w@])"
            ),
        )
        for kind, names in _NUMBERED
    )


def _labelled(text: str, low: str) -> Iterator[Fact]:
    for match in _PRIVATE_IDS.finditer(low):
        yield _fact("document", match.group(), text, match.span())
    for kind, pattern in reversed(_labels()):
        for match in pattern.finditer(low):
            start, end = match.span("id")
            ending = low[end:]
            if re.match(
                r"\s*(?:dias|days|semanas|weeks|veces|times|meses|months|horas|hours|mil\b|minut|%|/\d|[.,]\d{2,3})",
                ending,
            ):
                continue  # "pedido hace 15 dias", "orden de 2.000"
            if len(re.sub(r"\D", "", match["id"])) >= 2:
                yield _fact(kind, text[start:end].strip(), text, (start, end))


def _asked(text: str, low: str, pending: str | None) -> Iterator[Fact]:
    """A bare number is what we asked for; unasked, it is an order."""
    match = _ALONE.fullmatch(low)
    asked = next((slot for slot in re.split(r"[\s,]+", pending or "") if slot in _PENDING_NUMBER), None)
    if match and (asked or (pending is None and len(match["id"]) < 9)):
        yield _fact(
            _PENDING_NUMBER.get(asked or "order", "order"), text[slice(*match.span("id"))], text, match.span("id")
        )


def _phones(text: str, country: str) -> Iterator[Fact]:
    if sum(c.isdigit() for c in text) < 7:
        return
    region = country if country in phonenumbers.SUPPORTED_REGIONS else "CO"
    for found in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID):
        value = phonenumbers.format_number(found.number, phonenumbers.PhoneNumberFormat.E164)
        yield _fact("phone", value, text, (found.start, found.end))


@cache
def _introduced() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """ "el técnico Carlos", "sede Centro": a capital letter is what makes it clear."""
    found = []
    for kind in ("person", "area"):
        titles = "|".join(t for language in LANGUAGES for t in words(language)[kind])
        found.append(
            (kind, re.compile(rf"(?<!\w)(?i:{_accents(titles)})\.?\s+(?:(?i:de|del|el|la|da|do|o|a)\s+)?{_NAME}"))
        )
    after = "|".join(words(language)["person_after"] for language in LANGUAGES)
    found.append(("person", re.compile(rf"(?<!\w){_NAME},?\s+(?i:{_accents(after)})(?!\w)")))
    return tuple(found)


def _accents(pattern: str) -> str:
    for plain_letter, letters in (("a", "[aáâã]"), ("e", "[eéê]"), ("i", "[ií]"), ("o", "[oóôõ]"), ("u", "[uú]")):
        pattern = re.sub(
            rf"(?<![\[\w\\?:]){plain_letter}(?=\w)|(?<=[a-z]){plain_letter}(?![\]\w]*\])", letters, pattern
        )
    return pattern


def _names(text: str) -> Iterator[Fact]:
    for kind, pattern in _introduced():
        for match in pattern.finditer(text):
            yield _fact(kind, match["name"], text, match.span("name"))


def _wishes(text: str, folded: Folded) -> Iterator[Fact]:
    """The first thing the customer asks for, in their own words; not the wish for an agent, which is an act."""
    spans = [m.span() for _, m in _wish().find(folded)]
    for start, end in sorted(spans):
        part = folded.text[start:end]
        if any(p.search(part) for _, p in group("acts", "human").patterns):
            continue
        begin, stop = folded.span(start, end)
        stop = begin + len(text[begin:stop].rstrip(" ,;:-"))
        if stop > begin:
            yield _fact("wish", text[begin:stop], text, (begin, stop))
            return


@cache
def _wish() -> Group:
    return group("wish")


def _fact(kind: str, value: str, text: str, span: Iterable[int]) -> Fact:
    start, end = span
    return Fact(kind, value, text[start:end], start, end)
