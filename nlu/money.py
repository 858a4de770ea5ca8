"""Amounts of money with their currency: "$289.000" is 289000 COP in Colombia and 289 USD in the United States."""

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from nlu.fold import plain

CURRENCY = {
    "CO": "COP", "MX": "MXN", "CL": "CLP", "AR": "ARS", "PE": "PEN", "BR": "BRL", "ES": "EUR", "PT": "EUR", "US": "USD",
    "EC": "USD", "PA": "USD", "SV": "USD", "UY": "UYU", "PY": "PYG", "BO": "BOB", "CR": "CRC", "GT": "GTQ", "HN": "HNL",
    "DO": "DOP", "VE": "VES", "NI": "NIO", "GB": "GBP", "CA": "CAD", "AU": "AUD",
}  # fmt: skip
_DOT_DECIMAL = frozenset({"MX", "US", "GB", "CA", "AU", "PE", "PA", "SV", "GT", "HN", "DO", "NI"})
_SIGNS = (
    (r"us\$|u\$s|usd|dolares|dolar|dollars?|bucks", "USD"),
    (r"r\$|brl|reais|real", "BRL"),
    (r"s/\.?|pen|soles|sol", "PEN"),
    (r"€|eur|euros?", "EUR"),
    (r"£|gbp|pounds?|libras", "GBP"),
    (r"cop", "COP"), (r"clp", "CLP"), (r"mxn|mx\$", "MXN"), (r"ars|ar\$", "ARS"),
    (r"\$|pesos?", ""),
)  # fmt: skip
_SIGN = "|".join(f"(?:{pattern})" for pattern, _ in _SIGNS)
_NUMBER = r"\d{1,3}(?:[.,'’ ]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d{1,12}(?:[.,]\d{1,2})?(?![.,]?\d)"
_SCALE = r"\s?(?P<{0}>mil(?:hao|hoes|lones|lon)?|millones|millon|k|luka?s|million|thousand)(?!\w)"
_AMOUNT = re.compile(
    rf"(?<![\w.,/])(?:(?P<sign>{_SIGN})\s?(?P<number>{_NUMBER})(?:{_SCALE.format('scale')})?(?:\s(?:de\s)?(?P<also>pesos|cop|usd|mxn|clp|ars|dolares|euros)(?!\w))?"
    rf"|(?P<number2>{_NUMBER})(?:{_SCALE.format('scale2')})?\s?(?:de\s)?(?P<sign2>{_SIGN})(?!\w)"
    rf"|(?P<number3>{_NUMBER}){_SCALE.format('scale3')})"
)
_NOT_MONEY = re.compile(
    r"\s*(?:personas|people|pessoas|clientes|customers|veces|times|vezes|km|metros|habitantes|seguidores|followers|dias|gracias|horas)"
)


def find_amounts(text: str, country: str) -> Iterator[tuple[int, int, str]]:
    """Each amount with its place and "289000 COP"."""
    low = plain(text)
    for match in _AMOUNT.finditer(low):
        group = match.groupdict()
        number = group["number"] or group["number2"] or group["number3"]
        scale = group["scale"] or group["scale2"] or group["scale3"]
        if group["number3"] and _NOT_MONEY.match(low, match.end()):
            continue
        currency = _currency(group["sign"] or group["sign2"] or "", group["also"] or "", country)
        value = _value(number, scale, currency, country)
        if value is not None:
            yield match.start(), match.end(), f"{value} {currency}"


def _currency(sign: str, also: str, country: str) -> str:
    for said in (also, sign):
        for pattern, currency in _SIGNS:
            if said and currency and re.fullmatch(pattern, said):
                return currency
    return CURRENCY.get(country, "USD")


def _value(number: str, scale: str | None, currency: str, country: str) -> str | None:
    try:
        value = Decimal(_decimal(number, currency, country))
    except InvalidOperation:
        return None
    if scale:
        value *= 1_000 if scale in ("mil", "k", "thousand") or scale.startswith("luk") else 1_000_000
    value = value.normalize()
    return f"{value:f}"


def _decimal(number: str, currency: str, country: str) -> str:
    """The last mark before one or two digits is a decimal point; before three it separates thousands."""
    number = re.sub(r"['’ ]", "", number)
    tail = re.search(r"[.,](\d{1,2})$", number)
    whole = re.sub(r"[.,]", "", number[: tail.start()] if tail else number)
    return f"{whole}.{tail[1]}" if tail else whole
