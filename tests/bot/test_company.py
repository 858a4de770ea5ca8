"""Contract 1: the company section, and that each fault of it names its remedy."""

from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from pydantic import ValidationError

from bot import hours
from bot.company import EMERGENCY_NUMBERS, TIMEZONES, Company
from bot.configuration import Fault, checked
from bot.workdays import regions

LEAST: dict[str, Any] = {"name": "Nube", "bot_name": "Clara", "country": "CO"}


def faults_of(**changes: Any) -> list[Fault]:
    faults: list[Fault] = []
    assert checked(Company, LEAST | changes, "company", faults) is None
    return faults


def test_three_lines_are_enough() -> None:
    company = Company(**LEAST)
    assert (company.timezone, company.emergency_number, company.languages) == (
        "America/Bogota",
        "123",
        ["es", "en", "pt"],
    )
    assert hours.open_at(company.hours_calendar(), datetime(2026, 11, 27, 15, tzinfo=UTC))
    assert not hours.open_at(company.hours_calendar(), datetime(2026, 12, 8, 15, tzinfo=UTC))  # a holiday in Colombia


@pytest.mark.parametrize(
    ("country", "number"), [("CO", "123"), ("es", "112"), ("MX", "911"), ("PE", "106"), ("CL", "131"), ("BR", "192")]
)
def test_R044_the_emergency_number_is_that_of_the_country(country: str, number: str) -> None:
    company = Company(**LEAST | {"country": country})
    assert company.emergency_number == number and company.country == country.upper()


def test_what_is_said_beats_what_the_country_suggests() -> None:
    company = Company(**LEAST | {"country": "AR", "emergency_number": 107, "timezone": "America/Argentina/Cordoba"})
    assert (company.emergency_number, company.timezone) == ("107", "America/Argentina/Cordoba")
    assert Company(**LEAST | {"emergency_number": None, "timezone": None}) == Company(**LEAST)


def test_every_country_with_defaults_has_a_calendar() -> None:
    for country in EMERGENCY_NUMBERS.keys() | TIMEZONES.keys():
        regions(country)


def test_holidays_of_the_region_and_of_the_company_close() -> None:
    company = Company(**LEAST | {"country": "ES", "region": "MD", "holidays_extra": ["2026-12-24"]})
    assert [company.workdays.is_holiday(date(2026, day[0], day[1])) for day in ((12, 24), (5, 2), (12, 23))] == [
        True,
        True,
        False,
    ]


def test_promises_and_addresses() -> None:
    company = Company(
        **LEAST | {"commitments": {"news_by": "17:00", "callback_minutes": 15}, "alert_to": "jefe@nube.example",
                   "public_url": "https://nube.example/", "answer_terms": {"sugerencia": " 20wd "}}
    )  # fmt: skip
    assert company.commitments.news_by == time(17) and company.commitments.review_term is None
    assert company.alert_to == ["jefe@nube.example"] and company.public_url == "https://nube.example"
    assert company.answer_terms == {"sugerencia": "20wd"}


@pytest.mark.parametrize(
    ("changes", "path", "remedy"),
    [
        ({"name": ""}, "company.name", "correct the value"),
        ({"country": "XX"}, "company.country", "for instance CO or ES"),
        ({"country": "ES", "region": "ZZ"}, "company.region", "write one of AN"),
        ({"region": "ANT"}, "company.region", "leave region empty"),
        ({"timezone": "Bogota"}, "company.timezone", "America/Bogota"),
        ({"timezone": "../../etc/passwd"}, "company.timezone", "America/Bogota"),
        ({"country": "JP", "emergency_number": "119"}, "company.timezone", "America/Bogota"),
        ({"country": "JP", "timezone": "Asia/Tokyo"}, "company.emergency_number", "when somebody is hurt"),
        ({"languages": []}, "company.languages", "correct the value"),
        ({"languages": ["es", "es"]}, "company.languages", "name each language once"),
        ({"languages": ["fr"]}, "company.languages.0", "'es', 'en' or 'pt'"),
        ({"treatment": "vos"}, "company.treatment", "'tu' or 'usted'"),
        ({"hours": {"lun": "8-18"}}, "company.hours", "write mon, tue"),
        ({"hours": {"mon": "8-18"}}, "company.hours", "08:00-18:00"),
        ({"holidays_extra": ["24/12/2026"]}, "company.holidays_extra.0", "correct the value"),
        ({"privacy_url": "nube.example/p"}, "company.privacy_url", "https://"),
        ({"answer_terms": {"sugerencia": "20"}}, "company.answer_terms.sugerencia", "10wd"),
        ({"answer_terms": {"felicitacion": "20wd"}}, "company.answer_terms.felicitacion.[key]", "'sugerencia'"),
        ({"commitments": {"news": "17:00"}}, "company.commitments.news", "did you mean `news_by`?"),
        ({"alert_to": ["nobody"]}, "company.alert_to.0", "name@example.com"),
        ({"bot_nmae": "Clara"}, "company.bot_nmae", "did you mean `bot_name`?"),
    ],
)
def test_a_fault_has_its_path_and_its_remedy(changes: dict[str, Any], path: str, remedy: str) -> None:
    (fault,) = faults_of(**changes)
    assert fault.path == path
    assert remedy in str(fault)


def test_all_faults_come_at_once() -> None:
    faults = faults_of(name="", region="ZZ", timezone="Bogota", treatment="vos", colour="red")
    assert {fault.path.removeprefix("company.") for fault in faults} == {
        "name",
        "region",
        "timezone",
        "treatment",
        "colour",
    }


def test_the_company_cannot_be_changed_while_it_runs() -> None:
    with pytest.raises(ValidationError):
        Company(**LEAST).name = "Otra"
