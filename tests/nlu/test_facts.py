"""What a message states: values, exact places, no overlaps, on any text."""

from datetime import UTC, datetime
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlu.understander import read_by_rules
from nlu.understanding import Hint, Understanding

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)  # a Friday


def read(text: str, country: str = "CO", pending: str | None = None) -> Understanding:
    return read_by_rules(text, Hint(now=NOW, country=country, pending=pending)).understanding


def stated(text: str, country: str = "CO", pending: str | None = None) -> list[str]:
    return [f"{f.kind} {f.value}" for f in read(text, country, pending).facts if f.kind != "wish"]


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("pedido 48213", ["order 48213"]),
        ("mi pedido número #48213 no llegó", ["order 48213"]),
        ("order no. AB-48213 is late", ["order AB-48213"]),
        ("meu pedido é 48213", ["order 48213"]),
        ("#48213", ["order 48213"]),
        ("48213", ["order 48213"]),
        ("la factura FE-20934", ["invoice FE-20934"]),
        ("contrato 7788990", ["contract 7788990"]),
        ("cédula 1.020.304.050", ["document 1.020.304.050"]),
        ("CC 1020304050", ["document 1020304050"]),
        ("CPF 123.456.789-09", ["document 123.456.789-09"]),
        ("mi RUT es 12.345.678-5", ["document 12.345.678-5"]),
        ("DNI 45678912", ["document 45678912"]),
        ("Ana.Ruiz@Nube.co", ["email ana.ruiz@nube.co"]),
        ("llámame al 300 123 4567", ["phone +573001234567"]),
        ("mi cel 3001234567", ["phone +573001234567"]),
        ("estado PQR-7K3M9QX", []),
        ("7K3M9QX", []),
        ("el técnico Carlos Pérez de la sede Centro", ["person Carlos Pérez", "area Centro"]),
        ("Felicitaciones a Carlos el tecnico", ["person Carlos"]),
        ("pedido hace 15 días", ["date 2026-11-12"]),
    ],
)
def test_r073_numbers_and_addresses(text: str, facts: list[str]) -> None:
    assert stated(text) == facts


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("llame al 987 654 321", "PE", "+51987654321"),
        ("meu telefone é (11) 91234-5678", "BR", "+5511912345678"),
        ("mi móvil 612 345 678", "ES", "+34612345678"),
        ("call me at +1 202 555 0143", "CO", "+12025550143"),
    ],
)
def test_phones_by_country(text: str, country: str, number: str) -> None:
    assert stated(text, country) == [f"phone {number}"]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("ayer", "2026-11-26"),
        ("hoy", "2026-11-27"),
        ("anteayer", "2026-11-25"),
        ("el jueves pasado", "2026-11-26"),
        ("el lunes", "2026-11-23"),
        ("el viernes", "2026-11-20"),
        ("el jueves 26", "2026-11-26"),
        ("27 de noviembre", "2026-11-27"),
        ("el 3 de enero", "2027-01-03"),
        ("15 de agosto de 2025", "2025-08-15"),
        ("hace tres días", "2026-11-24"),
        ("15/11/2026", "2026-11-15"),
        ("2026-11-03", "2026-11-03"),
        ("el 12/03", "2026-03-12"),
        ("yesterday", "2026-11-26"),
        ("last Thursday", "2026-11-26"),
        ("November 20th", "2026-11-20"),
        ("two weeks ago", "2026-11-13"),
        ("ontem", "2026-11-26"),
        ("quinta-feira passada", "2026-11-26"),
        ("na quinta, em casa", "2026-11-26"),
        ("comprei na sexta passada", "2026-11-20"),
        ("na terça às 10", "2026-11-24"),
        ("na segunda que vem", "2026-11-30"),
        ("20 de novembro", "2026-11-20"),
    ],
)
def test_dates_count_from_the_day_it_was_written(text: str, day: str) -> None:
    assert stated(f"fue {text}.") == [f"date {day}"]


def test_the_month_comes_first_in_the_united_states() -> None:
    assert stated("on 03/12/2026", "US") == ["date 2026-03-12"]
    assert stated("on 03/12/2025", "CO") == ["date 2025-12-03"]


@pytest.mark.parametrize("text", ["31 de febrero", "el 45/99/2026", "30/02/2026", "de lunes a viernes"])
def test_what_is_no_date(text: str) -> None:
    assert not any(f.startswith("date 2026-02") or f.startswith("date 2026-45") for f in stated(text))


@pytest.mark.parametrize(
    ("text", "country", "amount"),
    [
        ("costó $289.000", "CO", "289000 COP"),
        ("me cobraron 289 mil de más", "CO", "289000 COP"),
        ("fueron 2 millones de pesos", "CO", "2000000 COP"),
        ("$1,299.50", "MX", "1299.5 MXN"),
        ("pagué S/ 120.50", "PE", "120.5 PEN"),
        ("paguei R$ 1.235,90", "BR", "1235.9 BRL"),
        ("45 €", "ES", "45 EUR"),
        ("US$ 20", "CO", "20 USD"),
        ("20 dólares", "CO", "20 USD"),
        ("$25", "US", "25 USD"),
        ("35,90 reais", "BR", "35.9 BRL"),
    ],
)
def test_amounts(text: str, country: str, amount: str) -> None:
    assert stated(text, country) == [f"amount {amount}"]


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("llegó rota. quiero que me devuelvan el dinero.", "quiero que me devuelvan el dinero"),
        ("it broke, I want a refund of the shipping", "I want a refund of the shipping"),
        ("quebrou! quero meu dinheiro de volta", "quero meu dinheiro de volta"),
    ],
)
def test_the_wish_is_kept_in_the_customers_words(text: str, wish: str) -> None:
    assert [f.value for f in read(text).facts if f.kind == "wish"] == [wish]


def test_to_want_an_agent_is_an_act_and_no_wish() -> None:
    assert not [f for f in read("quiero hablar con una persona").facts if f.kind == "wish"]


def test_a_bare_number_is_what_was_asked_for() -> None:
    assert stated("1020304050", pending="document") == ["document 1020304050"]
    assert stated("778899", pending="invoice") == ["invoice 778899"]


def test_many_facts_in_one_message() -> None:
    text = "Pedido 48213 del 20 de noviembre por $289.000: escríbanme a ana@nube.co o al 300 123 4567"
    assert stated(text) == [
        "order 48213", "date 2026-11-20", "amount 289000 COP", "email ana@nube.co", "phone +573001234567",
    ]  # fmt: skip


_PARTS = st.sampled_from(
    ["pedido 48213 ", "$289.000", "ayer ", "300 123 4567", "ana@nube.co", "İ", "ﬁ", "ß", "é", "🙏",
     "quiero ", "me quemé ", "31/02/2026 ",
     "\n", "  ", "holaaaa ", "xq ", "99999999999999", "CC ", "hace 999 años "]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.text(max_size=200), st.lists(_PARTS, max_size=12).map("".join)), st.sampled_from(["CO", "BR", "XX"])
)
def test_any_text_is_read_and_the_places_are_exact(text: str, country: str) -> None:
    understood = read(text, country)
    places = [(f.start, f.end, f.text) for f in understood.facts]
    for start, end, words in [*places, *((t.start, t.end, t.text) for t in understood.triggers)]:
        assert text[start:end] == words
        assert words
    apart = sorted((f for f in understood.facts if f.kind != "wish"), key=lambda f: f.start)
    assert all(first.end <= second.start for first, second in pairwise(apart))


@pytest.mark.parametrize("unit", [" ", "a", ".", "1,", "1234 ", "a@", "me se quiero ", "nadie ", "\n", "\u200b"])
def test_no_text_costs_seconds(unit: str) -> None:
    """Thrice the length may not cost nine times the time: a ratio of processor time, for a busy machine."""

    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        return min(_timed(text) for _ in range(2))

    read("warm")
    assert seconds(3_000) < 6 * seconds(1_000) + 0.05


def _timed(text: str) -> float:
    before = process_time()
    read(text)
    return process_time() - before


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Vivo en la Cra 7 # 32-16 apto 501, Bogotá", "Cra 7 # 32-16 apto 501"),
        ("manden el técnico a la calle 45A sur No. 12 - 30", "calle 45A sur No. 12 - 30"),
        ("Fue en la Diagonal 61c #22A-45, torre 2 apto 304.", "Diagonal 61c #22A-45, torre 2 apto 304"),
        ("estoy en Av. Corrientes 1234, piso 5", "Av. Corrientes 1234, piso 5"),
        ("Jr. Puno No. 450, Cercado de Lima", "Jr. Puno No. 450"),
        ("mi casa queda en Avenida Providencia 2008 depto 31", "Avenida Providencia 2008 depto 31"),
        ("moro na Rua das Flores, 123, apto 42", "Rua das Flores, 123, apto 42"),
        ("I live at 221B Baker Street, Flat 2", "221B Baker Street, Flat 2"),
        ("deliver it to 1600 Pennsylvania Ave NW", "1600 Pennsylvania Ave NW"),
        ("calle Mayor nº 12 2B", "calle Mayor nº 12"),
    ],
)
def test_a_postal_address_is_one_fact_with_its_span(text: str, address: str) -> None:
    found = [fact for fact in read(text).facts if fact.kind == "address"]
    assert [fact.text for fact in found] == [address]
    assert text[found[0].start : found[0].end] == address


@pytest.mark.parametrize(
    "text",
    [
        "la avenida estaba cerrada desde hace 3 días",
        "llevo en la calle 45 minutos esperando",
        "el bus de la carrera tardó 20 minutos",
        "la ruta 14 no pasó",
        "I waited 2 hours at the street",
        "quedé en la calle por culpa del banco hace 2 meses",
        "the drive took 45 minutes",
        "mi pedido 48213 no llegó a la plaza",
    ],
)
def test_a_street_without_a_door_is_no_address(text: str) -> None:
    assert [fact.text for fact in read(text).facts if fact.kind == "address"] == []
