"""Dates, hours and amounts in the words of the person who reads them. Pure: time zone and today are given.

Blanks are plain ones: CLDR's narrow no-break blanks become boxes in an SMS.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import UnknownLocaleError, get_global
from babel.dates import format_date, format_time
from babel.numbers import format_currency

from bot.hours import Span, parse_week

_DAY = {
    "es": ("EEEE d 'de' MMMM", "EEEE d 'de' MMMM 'de' y"),
    "en": ("EEEE d MMMM", "EEEE d MMMM y"),
    "pt": ("EEEE, d 'de' MMMM", "EEEE, d 'de' MMMM 'de' y"),
}
_WORDS = {
    "es": {"today": "hoy", "tomorrow": "mañana", "on": "el {day}", "at": "a las {clock}", "at_one": "a la {clock}"},
    "en": {"today": "today", "tomorrow": "tomorrow", "on": "on {day}", "at": "at {clock}", "at_one": "at {clock}"},
    "pt": {"today": "hoje", "tomorrow": "amanhã", "on": "{day}", "at": "às {clock}", "at_one": "à {clock}"},
}


def day(value: date, language: str, today: date | None = None) -> str:
    """*lunes 21 de diciembre*, *Monday 21 December*; with the year when it is not that of `today`."""
    short, long = _DAY[language]
    return _plain(format_date(value, long if today and today.year != value.year else short, locale=language))


def short_day(value: date, language: str, today: date | None = None) -> str:
    """*21 dic*, *21 Dec*, *21 dez*; with the year when it is not that of `today`."""
    pattern = "d MMM y" if today and today.year != value.year else "d MMM"
    return _undotted(format_date(value, pattern, locale=_british(language)))


def moment(at: datetime, language: str, timezone: str) -> str:
    """*vie 27 nov 2026, 10:14*: day and hour of a receipt, the same in the console."""
    local = _local(at, timezone)
    return _undotted(format_date(local, "EEE d MMM y", locale=_british(language))) + f", {local:%H:%M}"


def clock(at: datetime, language: str, timezone: str, country: str | None = None) -> str:
    """The hour as people of the country say it: *5 p. m.*, *5:30 p. m.*, *17:00* in Spain, *5 pm*.

    country: that of the time zone, unless it is given.
    """
    local = _local(at, timezone)
    locale = _locale(language, country or _country(timezone))
    twelve = language == "en" or "a" in locale.time_formats["short"].pattern
    if not twelve:
        return f"{local:%H:%M}"
    pattern = "h a" if local.minute == 0 else "h:mm a"
    return _plain(format_time(local.time(), pattern, locale="en_GB" if language == "en" else locale))


def when(at: datetime, now: datetime, language: str, timezone: str, country: str | None = None) -> str:
    """A moment seen from now: *hoy a las 5 p. m.*, *mañana a las 8 a. m.*, *el lunes 30 de noviembre a las 8 a. m.*"""
    words, local, today = _WORDS[language], _local(at, timezone), _local(now, timezone).date()
    ahead = local.date() - today
    if ahead in (timedelta(0), timedelta(1)):
        on = words["tomorrow" if ahead else "today"]
    else:
        on = words["on"].format(day=day(local.date(), language, today))
    hour = clock(at, language, timezone, country)
    return f"{on} " + words["at_one" if hour.split(":")[0].split()[0] in ("1", "01") else "at"].format(clock=hour)


def when_open(opens: datetime, now: datetime, language: str, timezone: str) -> str:
    """When people are back, as in *mañana a las 8 a. m.*"""
    return when(opens, now, language, timezone)


def hours_in_words(week: Mapping[str, str | list[str]], language: str) -> str:
    """Opening hours as they are configured, in short: *lun–vie 8–18, sáb 9–13*. Empty when nobody is ever there."""
    runs: list[tuple[list[int], tuple[Span, ...]]] = []
    for number, spans in enumerate(parse_week(week)):
        if runs and spans == runs[-1][1]:
            runs[-1][0].append(number)
        else:
            runs.append(([number], spans))
    return ", ".join(f"{weekdays(run, language)} {_spans(spans)}" for run, spans in runs if spans)


def console_moment(at: datetime, now: datetime, language: str, timezone: str) -> str:
    """For people at work, 24 hours: *14:05* today, *27 nov, 14:05* this year, with the year otherwise."""
    local, today = _local(at, timezone), _local(now, timezone).date()
    if local.date() == today:
        return f"{local:%H:%M}"
    return f"{short_day(local.date(), language, today)}, {local:%H:%M}"


def weekdays(numbers: Sequence[int], language: str) -> str:
    """A run of days, Monday is 0: *lun–vie*, *Mon–Fri*, *sáb*."""
    names = [_undotted(format_date(date(2024, 1, 1 + n), "EEE", locale=_british(language))) for n in numbers]
    return names[0] if len(names) == 1 else f"{names[0]}–{names[-1]}"


def amount(stated: str, language: str, country: str) -> str:
    """An amount in its normal form (`289000 COP`) as it is written: *$289.000* in Colombia, *289.000 €* in Spain.

    Cents are shown only if there are any. What is not such an amount is given back as it is.
    """
    number, _, currency = stated.strip().partition(" ")
    try:
        value = Decimal(number)
    except InvalidOperation:
        return stated
    if not value.is_finite() or len(currency) != 3 or not currency.isalpha():
        return stated
    currency = currency.upper()
    locale = _locale(language, country)
    pattern = locale.currency_formats["standard"].pattern.split(";")[0]
    if value == value.to_integral_value():
        pattern = pattern.replace("0.00", "0")
    text = format_currency(value, currency, pattern, locale=locale, currency_digits=False)
    return _plain(text.replace(currency, f"{currency} ") if text.startswith(currency) else text).replace("  ", " ")


def _spans(spans: Sequence[Span]) -> str:
    return " ".join(f"{_minutes(span.start)}–{_minutes(span.end)}" for span in spans)


def _minutes(minutes: int) -> str:
    hour, rest = divmod(minutes, 60)
    return f"{hour}:{rest:02}" if rest else str(hour)


def _country(timezone: str) -> str:
    return str(get_global("zone_territories").get(timezone, ""))


def _local(at: datetime, timezone: str) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return at.astimezone(ZoneInfo(timezone))


def _locale(language: str, country: str) -> Locale:
    try:
        return Locale.parse(f"{language}_{country}")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(language)


def _british(language: str) -> str:
    return "en_GB" if language == "en" else language


def _plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\xa0", " ")


def _undotted(text: str) -> str:
    return _plain(text).replace(".", "")
