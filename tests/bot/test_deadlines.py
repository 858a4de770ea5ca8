"""L-6: by when a case must be answered, counted as the law counts, and explained in one line."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.deadlines import Deadline, decide, explain
from bot.shipped import parsed
from bot.terms import DATA, Term, law, read
from bot.workdays import Workdays, version

ZONES = {
    "CO": "America/Bogota",
    "ES": "Europe/Madrid",
    "MX": "America/Mexico_City",
    "PE": "America/Lima",
    "CL": "America/Santiago",
    "AR": "America/Argentina/Buenos_Aires",
    "BR": "America/Sao_Paulo",
}
TYPES = ("peticion", "queja", "reclamo", "sugerencia", "felicitacion", "otro")


def due(country: str, day: str, type: str = "reclamo", **more: str) -> Deadline:
    zone = ZONES[country]
    noon = datetime.fromisoformat(day + "T12:00").replace(tzinfo=ZoneInfo(zone))
    return decide(noon, country=country, region=more.pop("region", None), type=type, timezone=zone, **more)  # type: ignore[arg-type]  # the rest are texts


# The golden vectors of law.md B.4, the counting alone: some of these terms exist in no profile (AR 10 wd).
COUNTED = [
    ("CO", None, "2026-11-27", 15, "2026-12-21"),  # 8 December
    ("CO", None, "2026-11-27", 10, "2026-12-14"),
    ("CO", None, "2026-11-27", 30, "2027-01-14"),
    ("CO", None, "2026-07-01", 15, "2026-07-24"),  # 13 July is new: Ley 2578 of 2026
    ("CO", None, "2026-03-20", 15, "2026-04-15"),  # Holy Week
    ("CO", None, "2026-11-28", 15, "2026-12-21"),  # received on a Saturday
    ("CO", None, "2026-12-21", 10, "2027-01-06"),
    ("CO", None, "2026-12-21", 15, "2027-01-14"),
    ("CO", None, "2026-12-21", 23, "2027-01-26"),
    ("ES", "MD", "2026-11-27", 15, "2026-12-22"),  # 7 and 8 December
    ("ES", "CT", "2026-11-27", 15, "2026-12-21"),
    ("PE", None, "2026-11-27", 15, "2026-12-22"),  # 8 and 9 December
    ("MX", None, "2026-11-13", 15, "2026-12-07"),
    ("CL", None, "2026-09-11", 10, "2026-09-28"),
    ("AR", None, "2026-11-05", 10, "2026-11-20"),  # a bridge day of that year alone
]


@pytest.mark.parametrize(("country", "region", "day", "count", "expected"), COUNTED)
def test_golden_vectors_of_counting(country: str, region: str | None, day: str, count: int, expected: str) -> None:
    assert Workdays(country, region).after(date.fromisoformat(day), count).isoformat() == expected


@pytest.mark.parametrize(
    ("given", "expected", "kind", "profile"),
    [
        (("CO", "2026-11-27", "reclamo"), "2026-12-21", "legal", "co.consumo.reclamacion"),
        (("CO", "2026-11-27", "queja"), "2026-12-21", "legal", "co.peticion.general"),
        (("CO", "2026-11-28", "peticion"), "2026-12-21", "legal", "co.peticion.general"),
        (("CO", "2026-07-01", "reclamo"), "2026-07-24", "legal", "co.consumo.reclamacion"),
        (("CO", "2026-03-20", "reclamo"), "2026-04-15", "legal", "co.consumo.reclamacion"),
        (("PE", "2026-11-27", "queja"), "2026-12-22", "legal", "pe.libro"),
        (("PE", "2026-11-27", "peticion"), "2026-12-15", "internal", None),
        (("MX", "2026-11-13", "reclamo"), "2026-11-30", "internal", "mx.profeco"),
        (("CL", "2026-09-11", "reclamo"), "2026-09-28", "internal", "cl.general"),
        (("AR", "2026-11-05", "reclamo"), "2026-11-15", "internal", "ar.general"),
        (("BR", "2026-11-27", "reclamo"), "2026-12-11", "internal", None),
    ],
)
def test_the_term_of_a_report(given: tuple[str, str, str], expected: str, kind: str, profile: str | None) -> None:
    found = due(*given)
    assert (str(found.due), found.kind, found.profile) == (expected, kind, profile)
    assert found.calendar_version == version() and found.reason["terms"] == law().version


@pytest.mark.parametrize(
    ("country", "type", "more", "expected", "profile"),
    [
        ("CO", "peticion", {"subtype": "documentos"}, "2026-12-14", "co.peticion.documentos"),
        ("CO", "peticion", {"subtype": "consulta"}, "2027-01-14", "co.peticion.consulta"),
        ("CO", "peticion", {"subtype": "datos"}, "2026-12-14", "co.habeas.consulta"),
        ("CO", "reclamo", {"subtype": "datos"}, "2026-12-21", "co.habeas.reclamo"),
        ("CO", "queja", {"sector": "utilities"}, "2026-12-21", "co.servicios_publicos"),
        ("CO", "peticion", {"sector": "utilities", "subtype": "documentos"}, "2026-12-14", "co.peticion.documentos"),
        ("BR", "queja", {"sector": "federal_regulated"}, "2026-12-04", "br.sac"),
        ("ES", "peticion", {"subtype": "datos"}, "2026-12-27", "eu.gdpr.derechos"),
        ("MX", "peticion", {"subtype": "datos"}, "2026-12-28", "mx.arco"),
        ("MX", "reclamo", {"sector": "telecom"}, "2026-12-12", "mx.telecom"),
    ],
)
def test_a_subtype_or_sector_has_its_own_term(
    country: str, type: str, more: dict[str, str], expected: str, profile: str
) -> None:
    found = due(country, "2026-11-27", type, **more)
    assert (str(found.due), found.kind, found.profile) == (expected, "legal", profile)


def test_R034_praise_and_what_is_no_report_have_no_term() -> None:
    for country in ZONES:
        for type in ("felicitacion", "otro"):
            found = due(country, "2026-11-27", type)
            assert found.kind == "none" and found.due is None
            assert explain(found, "es") == "Sin plazo: no hay una decisión que esperar."


def test_a_suggestion_has_the_companys_date_or_none() -> None:
    assert due("CO", "2026-11-27", "sugerencia").kind == "none"
    noon = datetime(2026, 11, 27, 17, tzinfo=UTC)
    terms = {"sugerencia": "20wd", "reclamo": "3wd", "queja": "2cd"}
    common = {"region": None, "answer_terms": terms}
    found = decide(noon, country="CO", type="sugerencia", timezone="America/Bogota", **common)  # type: ignore[arg-type]  # mypy widens a mixed dict
    assert (found.kind, str(found.due), found.reason["why"]) == ("internal", "2026-12-29", "company")
    law_first = decide(noon, country="CO", type="reclamo", timezone="America/Bogota", **common)  # type: ignore[arg-type]  # as above
    assert (law_first.kind, str(law_first.due)) == ("legal", "2026-12-21")
    silent = decide(noon, country="MX", type="queja", timezone="America/Mexico_City", **common)  # type: ignore[arg-type]  # as above
    assert (silent.kind, str(silent.due), silent.reason["why"]) == ("internal", "2026-11-29", "company")


def test_spain_is_bound_from_28_december_2026() -> None:
    before, after = due("ES", "2026-12-27", region="MD"), due("ES", "2026-12-28", region="MD")
    assert (before.kind, before.reason["why"], before.reason["from"]) == ("internal", "not_in_force", "2026-12-28")
    assert (after.kind, after.profile, after.days) == ("legal", "es.atencion.general", 15)
    assert str(due("ES", "2026-11-27", region="MD").due) == "2026-12-22"
    assert str(due("ES", "2026-11-27", region="CT").due) == "2026-12-21"
    billing = due("ES", "2027-01-04", subtype="facturacion")
    assert (billing.kind, str(billing.due), billing.unit) == ("legal", "2027-01-09", "cd")


def test_an_outage_in_spain_is_due_in_two_hours() -> None:
    received = datetime(2027, 1, 4, 22, 30, tzinfo=UTC)  # 23:30 in Madrid
    found = decide(
        received, country="ES", region=None, type="reclamo", subtype="corte", timezone="Europe/Madrid", sector="basic"
    )
    assert found.kind == "legal" and found.due_at == received + timedelta(hours=2) and str(found.due) == "2027-01-05"


@pytest.mark.parametrize(
    ("utc", "expected"),
    [
        ("2026-11-28T04:59", "2026-12-21"),  # still Friday 27 in Bogotá
        ("2026-11-30T04:59", "2026-12-21"),  # Sunday 29 in Bogotá
        ("2026-11-30T05:00", "2026-12-22"),  # Monday 30: day 0 is a working day
        ("2026-12-01T04:59", "2026-12-22"),
        ("2026-12-01T05:00", "2026-12-23"),
    ],
)
def test_the_day_of_reception_is_the_companys(utc: str, expected: str) -> None:
    received = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    found = decide(received, country="CO", region=None, type="reclamo", timezone="America/Bogota")
    assert str(found.due) == expected


def test_a_change_of_clocks_moves_no_day() -> None:
    for minute in (0, 59, 60, 61, 119, 120, 121):  # Madrid, 25 October 2026: 3:00 becomes 2:00 at 01:00 UTC
        received = datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=minute)
        found = decide(received, country="ES", region="MD", type="reclamo", timezone="Europe/Madrid")
        assert str(found.due) == "2026-11-16", minute  # 2 and 9 November are free in Madrid: All Saints and Almudena


def test_a_moment_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        decide(datetime(2026, 11, 27), country="CO", region=None, type="queja", timezone="America/Bogota")  # noqa: DTZ001 - the fault under test


def test_days_of_the_company_do_not_count() -> None:
    noon = datetime(2026, 11, 27, 17, tzinfo=UTC)
    extra = [date(2026, 12, 7), date(2026, 12, 12)]  # a Monday; and a Saturday, which never counted
    found = decide(noon, country="CO", region=None, type="reclamo", timezone="America/Bogota", extra_holidays=extra)
    assert str(found.due) == "2026-12-22"
    assert found.reason["skipped"] == ["2026-12-07", "2026-12-08"]


def test_day_0_is_not_among_the_skipped_holidays() -> None:
    found = due("CO", "2026-12-08")
    assert found.reason["start"] == "2026-12-09" and found.reason["skipped"] == ["2026-12-25"]


def test_where_saturdays_count_and_the_day_ends_early() -> None:
    text = (
        DATA.read_text(encoding="utf-8")
        .replace("sat: false", "sat: true")
        .replace("cutoff_hour: null", "cutoff_hour: 17")
    )
    book = read(text)
    before, after = datetime(2026, 11, 27, 21, 59, tzinfo=UTC), datetime(2026, 11, 27, 22, tzinfo=UTC)
    common = {"country": "CO", "region": None, "type": "reclamo", "timezone": "America/Bogota", "book": book}
    assert str(decide(before, **common).due) == "2026-12-16"  # type: ignore[arg-type]  # mypy widens a mixed dict
    assert str(decide(after, **common).due) == "2026-12-17"  # type: ignore[arg-type]  # as above


def test_P25_a_deadline_explains_itself() -> None:
    found = due("CO", "2026-11-27")
    assert explain(found, "es") == (
        "15 días hábiles desde el lunes 30 de noviembre; no cuenta el festivo del 8 dic. "
        "Ley 1480/2011 arts.50g,58.5; Ley 2439/2024."
    )
    assert explain(found, "en").startswith(
        "15 working days from Monday 30 November; the holiday on 8 Dec does not count."
    )
    assert explain(found, "pt").startswith(
        "15 dias úteis a partir de segunda-feira, 30 de novembro; o feriado de 8 dez"
    )
    assert "la ley no fija un plazo" in explain(due("MX", "2026-11-27"), "es")
    assert "la ley rige desde el lunes 28 de diciembre" in explain(due("ES", "2026-11-27"), "es")


def test_the_day_to_aim_at_lies_inside_the_term() -> None:
    found = due("CO", "2026-11-27")
    assert str(found.target) == "2026-12-11"


def test_what_is_stored_is_the_deadline_again() -> None:
    for found in (
        due("CO", "2026-11-27"),
        due("ES", "2027-01-04", subtype="corte", sector="basic"),
        due("CO", "2026-11-27", "otro"),
    ):
        again = Deadline.stored(found.kind, found.due, found.as_json())
        assert again == found
        assert explain(again, "en") == explain(found, "en")


def test_every_language_explains_the_same() -> None:
    words = law().words
    assert set(words) == {"es", "en", "pt"}
    for language in words:
        assert words[language].keys() == words["es"].keys()


@pytest.mark.parametrize("text", ["", "10", "wd", "0wd", "-3wd", "10 days", "1.5h", "1000wd"])
def test_what_is_no_term_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="write 10wd"):
        Term.parse(text)


moments = st.datetimes(datetime(2025, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(moments, st.sampled_from(sorted(ZONES)), st.sampled_from(TYPES))
def test_P25_a_term_in_working_days_ends_on_one(received: datetime, country: str, type: str) -> None:
    found = decide(received, country=country, region=None, type=type, timezone=ZONES[country])
    if found.due is None or found.target is None:
        assert found.kind == "none"
        return
    day = received.astimezone(ZoneInfo(ZONES[country])).date()
    assert day < found.target <= found.due
    if found.unit == "wd":
        days = Workdays(country)
        assert days.is_working(found.due) and days.is_working(found.target)
        assert days.between(day, found.due) == found.days
    for language in ("es", "en", "pt"):
        line = explain(found, language)
        assert "{" not in line and "\n" not in line


@given(moments, st.timedeltas(timedelta(0), timedelta(days=30)), st.sampled_from(sorted(ZONES)))
def test_who_writes_later_is_not_answered_earlier(received: datetime, later: timedelta, country: str) -> None:
    first, second = (
        decide(at, country=country, region=None, type="reclamo", timezone=ZONES[country])
        for at in (received, received + later)
    )
    assert first.due is not None and second.due is not None and first.due <= second.due


@given(moments, st.lists(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=20))
def test_a_holiday_more_never_brings_the_date_forward(received: datetime, extra: list[date]) -> None:
    common = {"country": "CO", "region": None, "type": "queja", "timezone": "America/Bogota"}
    plain = decide(received, **common)  # type: ignore[arg-type]  # mypy widens a mixed dict
    more = decide(received, extra_holidays=extra, **common)  # type: ignore[arg-type]  # as above
    assert plain.due is not None and more.due is not None and plain.due <= more.due


def test_deadlines_yaml_has_no_section_that_nobody_reads() -> None:
    """Hours at which people may be written to stood here as well as in contact_hours.yaml, which is what counts."""

    class Noted(dict[str, object]):
        def __getitem__(self, name: str) -> object:
            asked.add(name)
            return super().__getitem__(name)

    asked: set[str] = set()
    written = Noted(parsed(DATA.read_text(encoding="utf-8")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot.terms.parsed", lambda text: written)
        read("")
    assert asked == written.keys()
