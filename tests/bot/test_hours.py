"""R018, P25: when people are there, and dates and hours in words."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import dates
from bot.hours import Hours, next_open, open_at, parse_week

BOGOTA, MADRID = ZoneInfo("America/Bogota"), ZoneInfo("Europe/Madrid")
WEEK: dict[str, str | list[str]] = {"mon-fri": "08:00-12:00, 14:00-18:00", "sat": ["09:00-13:00"]}
HOLIDAY = date(2026, 12, 8)


def nube(week: dict[str, str | list[str]] = WEEK, zone: ZoneInfo = BOGOTA) -> Hours:
    return Hours(parse_week(week), zone, lambda day: day == HOLIDAY)


def at(text: str, zone: ZoneInfo = BOGOTA) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("now", "is_open", "opens"),
    [
        ("2026-11-27T07:59:59", False, "2026-11-27T08:00"),
        ("2026-11-27T08:00", True, "2026-11-27T08:00"),
        ("2026-11-27T11:59:59", True, "2026-11-27T11:59:59"),
        ("2026-11-27T12:00", False, "2026-11-27T14:00"),  # lunch
        ("2026-11-27T18:00", False, "2026-11-28T09:00"),
        ("2026-11-28T13:00", False, "2026-11-30T08:00"),  # over Sunday
        ("2026-12-07T18:00", False, "2026-12-09T08:00"),  # over the holiday
        ("2026-12-08T10:00", False, "2026-12-09T08:00"),
    ],
)
def test_open_and_next_open(now: str, is_open: bool, opens: str) -> None:
    assert open_at(nube(), at(now)) is is_open
    assert next_open(nube(), at(now)) == at(opens)


def test_the_hours_are_those_of_the_company_whatever_clock_asks() -> None:
    now = at("2026-11-27T08:00").astimezone(ZoneInfo("Asia/Tokyo"))
    assert open_at(nube(), now) and next_open(nube(), now) == now


def test_a_company_that_never_opens() -> None:
    assert next_open(nube({}), at("2026-11-27T10:00")) is None and not open_at(nube({}), at("2026-11-27T10:00"))


def test_P25_a_change_of_clocks_keeps_the_hours_on_the_wall() -> None:
    nights = nube({"mon-sun": "02:30-04:30"}, MADRID)
    gap = next_open(nights, at("2026-03-29T01:00", MADRID))  # 2:30 does not exist that night
    assert gap is not None and f"{gap:%H:%M %z}" == "03:30 +0200" and open_at(nights, gap)
    assert next_open(nube(zone=MADRID), at("2026-10-24T20:00", MADRID)) == at("2026-10-26T08:00", MADRID)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_what_opens_next_is_open_and_nothing_before_it_is(now: datetime) -> None:
    opens = next_open(nube(), now)
    assert opens is not None and opens >= now and open_at(nube(), opens)
    if opens > now:
        step = max((opens - now) / 20, timedelta(microseconds=1))
        assert not any(open_at(nube(), now + n * step) for n in range(20) if now + n * step < opens)


@pytest.mark.parametrize(
    ("week", "remedy"),
    [
        ({"lun": "08:00-18:00"}, "write mon, tue"),
        ({"fri-mon": "08:00-18:00"}, "two entries"),
        ({"mon": "8 to 6"}, 'write "08:00-18:00"'),
        ({"mon": "08:00-25:00"}, '"24:00"'),
        ({"mon": "08:61-09:00"}, '"24:00"'),
        ({"mon": "22:00-06:00"}, "the next day"),
        ({"mon": "08:00-12:00, 11:00-13:00"}, "join them"),
        ({"mon-fri": "08:00-18:00", "wed": "09:00-10:00"}, "name each day once"),
    ],
)
def test_a_wrong_entry_names_its_remedy(week: dict[str, str | list[str]], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        parse_week(week)


def test_days_can_be_listed_and_the_whole_day_can_be_open() -> None:
    week = parse_week({"mon, wed": "00:00-24:00", "Tue": "08:00–09:00"})
    assert [len(day) for day in week] == [1, 1, 1, 0, 0, 0, 0] and week[0][0].end == 1440


def test_hours_in_words() -> None:
    assert dates.hours_in_words(WEEK, "es") == "lun–vie 8–12 14–18, sáb 9–13"
    assert dates.hours_in_words({"mon-fri": "08:30-18:00"}, "en") == "Mon–Fri 8:30–18"
    assert dates.hours_in_words({"mon-sat": "08:00-18:00"}, "pt") == "seg–sáb 8–18"
    assert dates.hours_in_words({}, "es") == ""


def test_R009_days_in_words() -> None:
    monday = date(2026, 12, 21)
    assert [dates.day(monday, language) for language in ("es", "en", "pt")] == [
        "lunes 21 de diciembre",
        "Monday 21 December",
        "segunda-feira, 21 de dezembro",
    ]
    assert dates.day(date(2027, 1, 14), "es", date(2026, 11, 27)) == "jueves 14 de enero de 2027"
    assert dates.day(monday, "es", date(2026, 11, 27)) == "lunes 21 de diciembre"
    assert [dates.short_day(monday, language) for language in ("es", "en", "pt")] == ["21 dic", "21 Dec", "21 dez"]


def test_L1_moments_in_words_are_those_of_the_company() -> None:
    received = datetime(2026, 11, 27, 15, 14, tzinfo=UTC)
    assert dates.moment(received, "es", "America/Bogota") == "vie 27 nov 2026, 10:14"
    assert dates.moment(received, "en", "America/Bogota") == "Fri 27 Nov 2026, 10:14"
    assert dates.moment(received, "pt", "America/Sao_Paulo") == "sex 27 nov 2026, 12:14"
    assert dates.moment(datetime(2026, 11, 28, 3, tzinfo=UTC), "es", "America/Bogota") == "vie 27 nov 2026, 22:00"
    with pytest.raises(ValueError, match="time zone"):
        dates.moment(received.replace(tzinfo=None), "es", "America/Bogota")


@pytest.mark.parametrize(
    ("language", "zone", "hour", "minute", "expected"),
    [
        ("es", "America/Bogota", 17, 0, "5 p. m."),
        ("es", "America/Bogota", 17, 30, "5:30 p. m."),
        ("es", "America/Bogota", 0, 5, "12:05 a. m."),
        ("es", "Europe/Madrid", 17, 0, "17:00"),
        ("en", "Europe/Madrid", 17, 0, "5 pm"),
        ("pt", "America/Sao_Paulo", 17, 0, "17:00"),
    ],
)
def test_hours_as_the_country_says_them(language: str, zone: str, hour: int, minute: int, expected: str) -> None:
    assert dates.clock(datetime(2026, 11, 27, hour, minute, tzinfo=ZoneInfo(zone)), language, zone) == expected


@pytest.mark.parametrize(
    ("moment", "language", "expected"),
    [
        ("2026-11-27T17:00", "es", "hoy a las 5 p. m."),
        ("2026-11-28T13:00", "es", "mañana a la 1 p. m."),
        ("2026-11-28T11:00", "es", "mañana a las 11 a. m."),
        ("2026-11-30T08:00", "es", "el lunes 30 de noviembre a las 8 a. m."),
        ("2026-11-30T08:00", "en", "on Monday 30 November at 8 am"),
        ("2026-11-28T08:00", "pt", "amanhã às 08:00"),
        ("2027-01-04T08:00", "es", "el lunes 4 de enero de 2027 a las 8 a. m."),
    ],
)
def test_when_people_are_back(moment: str, language: str, expected: str) -> None:
    said = dates.when_open(at(moment), at("2026-11-27T10:00"), language, "America/Bogota")
    assert said == expected


def test_today_is_the_companys() -> None:
    opens, now = datetime(2026, 11, 28, 1, tzinfo=UTC), datetime(2026, 11, 27, 15, tzinfo=UTC)
    assert dates.when_open(opens, now, "es", "America/Bogota") == "hoy a las 8 p. m."


def test_console_times_have_24_hours() -> None:
    now = at("2026-11-27T18:00")
    assert dates.console_moment(at("2026-11-27T14:05"), now, "es", "America/Bogota") == "14:05"
    assert dates.console_moment(at("2026-11-26T14:05"), now, "es", "America/Bogota") == "26 nov, 14:05"
    assert dates.console_moment(at("2025-11-26T14:05"), now, "en", "America/Bogota") == "26 Nov 2025, 14:05"


@pytest.mark.parametrize(
    ("stated", "language", "country", "expected"),
    [
        ("289000 COP", "es", "CO", "$289.000"),
        ("289000.50 COP", "es", "CO", "$289.000,50"),
        ("289000 COP", "en", "CO", "COP 289,000"),
        ("18.5 EUR", "es", "ES", "18,50 €"),
        ("18 EUR", "es", "ES", "18 €"),
        ("1234.5 MXN", "es", "MX", "$1,234.50"),
        ("1250 BRL", "pt", "BR", "R$ 1.250"),
        ("5000 CLP", "es", "CL", "$5.000"),
        ("20 usd", "es", "CO", "US$20"),
        ("mucho", "es", "CO", "mucho"),
        ("289000", "es", "CO", "289000"),
        ("NaN COP", "es", "CO", "NaN COP"),
    ],
)
def test_amounts_as_the_country_writes_them(stated: str, language: str, country: str, expected: str) -> None:
    assert dates.amount(stated, language, country) == expected


def test_no_words_hold_a_blank_that_an_sms_cannot_show() -> None:
    now = at("2026-11-27T10:00")
    for language in ("es", "en", "pt"):
        said = dates.when(at("2026-11-30T17:30"), now, language, "America/Bogota") + dates.amount(
            "1250 BRL", language, "BR"
        )
        assert "\u202f" not in said and "\xa0" not in said
