"""Who the bot speaks for: the `company` section of config.yaml. One installation serves one company."""

import re
from datetime import date, time
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from bot.hours import Hours, parse_week
from bot.terms import Term
from bot.workdays import UnknownCalendar, Workdays, regions

# The number for an emergency and the capital's time zone, unless config.yaml names others. Not confirmed against a
# primary source, but for Colombia and Spain: the company should check its own.
EMERGENCY_NUMBERS = {
    "AR": "911",
    "BO": "110",
    "BR": "192",
    "CL": "131",
    "CO": "123",
    "EC": "911",
    "ES": "112",
    "MX": "911",
    "PE": "106",
    "PT": "112",
    "PY": "911",
    "US": "911",
    "UY": "911",
}
TIMEZONES = {
    "AR": "America/Argentina/Buenos_Aires",
    "BO": "America/La_Paz",
    "BR": "America/Sao_Paulo",
    "CL": "America/Santiago",
    "CO": "America/Bogota",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "MX": "America/Mexico_City",
    "PE": "America/Lima",
    "PT": "Europe/Lisbon",
    "PY": "America/Asuncion",
    "UY": "America/Montevideo",
}

Language = Literal["es", "en", "pt"]
ReportType = Literal["peticion", "queja", "reclamo", "sugerencia"]
Sector = Literal["utilities", "telecom", "finance", "basic", "federal_regulated", "sernac_sello"]
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+|[^@\s]+@localhost")


def _term(text: str) -> str:
    Term.parse(text)
    return text.strip()


def _web(address: str) -> str:
    if not re.match(r"https?://[^\s/]+", address):
        raise ValueError("not a web address; write it with https://")
    return address.rstrip("/")


def _mail(address: str) -> str:
    if not _MAIL.fullmatch(address):
        raise ValueError("not an e-mail address; write it as name@example.com")
    return address


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _empty(value: Any) -> Any:
    return "" if value is None else value


TermText = Annotated[str, AfterValidator(_term)]
WebAddress = Annotated[str, AfterValidator(_web)]
Defaulted = Annotated[str, BeforeValidator(_empty), Field(validate_default=True)]
MailAddress = Annotated[str, AfterValidator(_mail)]


class Commitments(BaseModel):
    """What the company promises. Without a value the bot uses the line without the promise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    news_by: time | None = None  # a person looks at a new case, and the customer hears of it, the same day before this
    callback_minutes: int | None = Field(default=None, gt=0)  # a person calls back after harm
    review_term: TermText | None = None  # the answer of a second review after a "No acepto"


class Company(BaseModel):
    """The company's name, place, manners and promises."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, coerce_numbers_to_str=True)

    name: str = Field(min_length=1)
    bot_name: str = Field(min_length=1)
    country: str  # ISO 3166, two letters
    region: str | None = None  # where the country's regions have holidays of their own
    timezone: Defaulted = ""  # IANA; empty: that of the country
    languages: list[Language] = Field(default=["es", "en", "pt"], min_length=1)  # the first is the usual one
    treatment: Literal["tu", "usted"] = "tu"  # in Spanish
    sector: Sector | None = None  # terms that only hold for such a company
    hours: dict[str, str | list[str]] = {"mon-fri": "08:00-18:00"}  # when people are there
    holidays_extra: list[date] = []
    emergency_number: Defaulted = ""  # empty: that of the country
    privacy_url: WebAddress | None = None
    public_url: WebAddress | None = None  # where customers and agents reach this server
    answer_terms: dict[ReportType, TermText] = {}  # where the law sets none
    commitments: Commitments = Commitments()
    taken_answer_minutes: float = Field(default=30, gt=0)  # of open hours, that whom a person took waits for their word
    alert_to: Annotated[list[MailAddress], BeforeValidator(_listed)] = []  # who is told when somebody waits

    @field_validator("country")
    @classmethod
    def _country(cls, country: str) -> str:
        country = country.upper()
        try:
            regions(country)
        except UnknownCalendar:
            raise ValueError(
                f"no calendar of holidays for {country}; write two letters, for instance CO or ES"
            ) from None
        return country

    @field_validator("languages")
    @classmethod
    def _each_once(cls, languages: list[Language]) -> list[Language]:
        if len(set(languages)) != len(languages):
            raise ValueError("name each language once")
        return languages

    @field_validator("region")
    @classmethod
    def _region(cls, region: str | None, info: ValidationInfo) -> str | None:
        country = info.data.get("country")
        if region is None or country is None or region in (known := regions(country)):
            return region
        choice = f"write one of {', '.join(known)}" if known else f"{country} has none; leave region empty"
        raise ValueError(f"unknown region {region!r}; {choice}")

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, timezone: str, info: ValidationInfo) -> str:
        country = info.data.get("country")
        timezone = timezone or TIMEZONES.get(country or "", "")
        try:
            if timezone:
                ZoneInfo(timezone)
        except (KeyError, OSError, ValueError):  # unknown names, folders, and names that would leave the folder
            raise ValueError(f"unknown time zone {timezone!r}; write it as in America/Bogota") from None
        if country and not timezone:
            raise ValueError(f"{country} has no time zone by default; write it as in America/Bogota")
        return timezone

    @field_validator("emergency_number")
    @classmethod
    def _emergency_number(cls, number: str, info: ValidationInfo) -> str:
        country = info.data.get("country")
        number = number or EMERGENCY_NUMBERS.get(country or "", "")
        if country and not number:
            raise ValueError(f"no emergency number is known for {country}; write the one to call when somebody is hurt")
        return number

    @field_validator("hours")
    @classmethod
    def _hours(cls, hours: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
        parse_week(hours)
        return hours

    @cached_property
    def workdays(self) -> Workdays:
        """The working days of the company's place."""
        return Workdays(self.country, self.region, self.holidays_extra)

    def hours_calendar(self) -> Hours:
        """When people are there."""
        return Hours(parse_week(self.hours), ZoneInfo(self.timezone), self.workdays.is_holiday)
