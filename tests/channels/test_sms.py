"""What an SMS costs, and what is in its first thirty characters."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from channels.sms import Segments, is_gsm, labelled, segments, transliterated

ROOT = Path(__file__).parents[2]
EXAMPLE = (
    "Hola Ana, recibimos tu reclamo. Código: PQR-7K3M9. Te responderemos a más tardar el lunes 21 de diciembre de 2026."
)


@pytest.mark.parametrize("text", ["éÉñÑüÜàèìòùÇ¿¡@#$£¥ÄÖ", "hola", ""])
def test_what_is_in_gsm7_costs_one_each(text: str) -> None:
    assert segments(text) == Segments("GSM-7", len(text), 1)


@pytest.mark.parametrize("character", "€^{}[]~|\\")
def test_some_cost_two(character: str) -> None:
    assert segments(character) == Segments("GSM-7", 2, 1)


@pytest.mark.parametrize("character", "áíóúÁÍÓÚçº“”’–—…•👍")
def test_one_of_these_makes_the_whole_text_dear(character: str) -> None:
    assert segments("x" * 100 + character).encoding == "UCS-2" and segments("x" * 100 + character).count == 2


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("x" * 160, 1), ("x" * 161, 2), ("x" * 306, 2), ("x" * 307, 3), ("á" * 70, 1), ("á" * 71, 2), ("á" * 134, 2),
        ("á" * 135, 3), ("x" * 159 + "€", 2), ("x" * 152 + "€" + "x" * 152, 3), ("👍" * 35, 1), ("👍" * 36, 2),
    ],
)  # fmt: skip
def test_segments_are_counted_as_they_are_paid(text: str, count: int) -> None:
    assert segments(text).count == count


def test_the_example_of_the_specification() -> None:
    assert segments(EXAMPLE) == Segments("UCS-2", len(EXAMPLE), 2)
    plain = transliterated(EXAMPLE)
    assert segments(plain) == Segments("GSM-7", len(EXAMPLE), 1)
    assert "Codigo" in plain and "mas tardar" in plain


def test_n_with_tilde_and_e_with_accent_stay() -> None:
    assert transliterated("El niño no está; café, pingüino – «así»… ¿sí? ação") == (
        'El niño no esta; café, pingüino - "asi"... ¿si? acao'
    )


def test_a_decomposed_text_is_composed_first() -> None:
    assert transliterated("nin\u0303o cafe\u0301") == "niño café"


def test_another_script_is_left_alone() -> None:
    assert transliterated("Здравствуйте, “Ana”") == "Здравствуйте, “Ana”"


@given(st.text(alphabet=st.characters(max_codepoint=0x24F), max_size=200))
def test_whatever_is_latin_becomes_gsm_or_stays(text: str) -> None:
    plain = transliterated(text)
    assert is_gsm(plain) or any(not c.isascii() for c in plain)
    assert is_gsm(transliterated(plain)) == is_gsm(plain)


@pytest.mark.parametrize(
    ("text", "company", "code", "out"),
    [
        ("Recibimos tu queja.", "Nube", "PQR-7K3M9QX", "Nube PQR-7K3M9QX: Recibimos tu queja."),
        ("Hola", "Nube", None, "Nube: Hola"),
        (
            "Nube: Gracias! Registro FEL-6QY3XXX",
            "Nube",
            "FEL-6QY3XXX",
            "Nube FEL-6QY3XXX: Gracias! Registro FEL-6QY3XXX",
        ),
        ("PQR-YA3BB42: «en gestión».", "Nube", "PQR-YA3BB42", "Nube PQR-YA3BB42: «en gestión»."),
        ("PQR-YA3BB42: «en gestión».", "", "PQR-YA3BB42", "PQR-YA3BB42: «en gestión»."),
        ("PQR-4H8WT2B: «en gestión».", "Nube", "PQR-YA3BB42", "Nube PQR-YA3BB42: PQR-4H8WT2B: «en gestión»."),
        ("Nube FEL-6QY3XXX: Gracias!", "Nube", "FEL-6QY3XXX", "Nube FEL-6QY3XXX: Gracias!"),
        ("Hola", "Comercializadora Internacional de Nubes", "PQR-7K3M9QX", "Comercializadora PQR-7K3M9QX: Hola"),
        ("Hola", "", None, "Hola"),
    ],
)
def test_company_and_code_stand_in_the_first_thirty_characters(
    text: str, company: str, code: str | None, out: str
) -> None:
    assert labelled(text, company, code) == out
    assert code is None or code in out[:30]


def test_no_line_of_ours_asks_for_a_word_that_unsubscribes() -> None:
    """CANCEL, END, QUIT and STOP would end every SMS to that number."""
    for path in (ROOT / "bot" / "utterances").glob("*.yaml"):
        lines = yaml.safe_load(path.read_text("utf-8"))
        labels = {name: str(line).strip().casefold() for name, line in lines.items() if isinstance(line, str)}
        words = {"stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"}
        assert not {name for name, label in labels.items() if label in words}, path.name
