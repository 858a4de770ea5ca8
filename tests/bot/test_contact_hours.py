"""L-13: when a person may be written to of whom nothing was asked, country by country."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import yaml

from bot.consent import PURPOSES
from bot.contact_hours import DATA, SILENT, allowed_at, rules
from tests.world import NUBE

ZONES = {
    "CO": "America/Bogota",
    "ES": "Europe/Madrid",
    "MX": "America/Mexico_City",
    "PE": "America/Lima",
    "CL": "America/Santiago",
    "AR": "America/Argentina/Buenos_Aires",
    "BR": "America/Sao_Paulo",
    "US": "America/New_York",
}
OTHERS = [one for one in ZONES if one != "CO"]
AT_ONCE = None


def first(country: str, purpose: str, now: str) -> datetime | None:
    """The first allowed moment, by the wall clock there; AT_ONCE: it may leave now."""
    zone = ZoneInfo(ZONES[country])
    company = NUBE.model_copy(update={"country": country, "timezone": ZONES[country]})
    at = datetime.fromisoformat(now).replace(tzinfo=zone)
    found = allowed_at(company, purpose, at)
    return AT_ONCE if found == at else found.astimezone(zone).replace(tzinfo=None)


@pytest.mark.parametrize("country", OTHERS)
@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-24T07:59", "2026-11-24T08:00"),  # a Tuesday
        ("2026-11-24T08:00", AT_ONCE),
        ("2026-11-24T19:59", AT_ONCE),
        ("2026-11-24T20:00", "2026-11-25T08:00"),
        ("2026-11-28T15:00", AT_ONCE),  # Saturday, when Colombia's law is over
        ("2026-11-28T20:00", "2026-11-30T08:00"),
        ("2026-11-29T12:00", "2026-11-30T08:00"),  # Sunday
        ("2026-12-25T12:00", AT_ONCE),  # no source keeps holidays free
    ],
)
def test_L13_where_the_law_is_silent_surveys_rest_at_night_and_on_sundays(
    country: str, now: str, then: str | None
) -> None:
    expected = datetime.fromisoformat(then) if then else AT_ONCE
    assert first(country, "survey", now) == first(country, "marketing", now) == expected


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-24T06:59", "2026-11-24T07:00"),
        ("2026-11-24T07:00", AT_ONCE),
        ("2026-11-24T19:00", "2026-11-25T07:00"),
        ("2026-11-28T15:00", "2026-11-30T07:00"),
        ("2026-12-08T12:00", "2026-12-09T07:00"),  # Inmaculada
    ],
)
def test_L13_colombia_keeps_ley_2300(now: str, then: str | None) -> None:
    expected = datetime.fromisoformat(then) if then else AT_ONCE
    for purpose in ("survey", "broadcast", "marketing"):
        assert first("CO", purpose, now) == expected


@pytest.mark.parametrize("country", ZONES)
def test_L13_news_of_a_case_never_wait(country: str) -> None:
    for now in ("2026-11-24T03:00", "2026-11-29T12:00", "2026-12-25T23:59"):
        assert first(country, "case", now) is AT_ONCE


@pytest.mark.parametrize("country", OTHERS)
def test_L13_a_notice_of_an_outage_waits_for_no_morning_where_no_law_says_so(country: str) -> None:
    assert first(country, "broadcast", "2026-11-24T03:00") is AT_ONCE


def test_the_night_on_which_clocks_change_is_counted_by_the_wall() -> None:
    assert first("ES", "survey", "2026-03-28T21:00") == datetime.fromisoformat("2026-03-30T08:00")
    assert first("US", "survey", "2026-10-31T21:00") == datetime.fromisoformat("2026-11-02T08:00")


def test_every_rule_names_its_source_and_no_country_stands_on_a_guess() -> None:
    told = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    assert told["silent"]["v"] == "product"
    assert all(facts["v"] in ("V", "S") and facts["src"] for facts in told["countries"].values())
    assert set(rules()) == {SILENT, "CO"}
    assert all(rule.purposes <= set(PURPOSES) - {"case"} for rule in rules().values())
