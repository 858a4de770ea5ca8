"""R012: codes that survive a bad line, a hurried thumb and an e-mail client."""

import random
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.codes import SYMBOLS, find, new_code, parse, twin

codes = st.builds(
    lambda prefix, seed: new_code(prefix, random.Random(seed).randrange), st.sampled_from(["PQR", "FEL"]), st.integers()
)
CODE = new_code("PQR", random.Random(1).randrange)
BODY = CODE.removeprefix("PQR-")


@given(codes)
def test_R012_a_code_reads_back_in_every_spelling(code: str) -> None:
    prefix, body = code.split("-")
    spaced = f"{body[:3]} {body[3:]}"
    misread = body.replace("0", "O").replace("1", "l")
    for spelling in (
        code,
        code.lower(),
        f"{prefix}{body}",
        f"{prefix} {body}",
        f" #{prefix}–{spaced}. ",
        f"{prefix}-{misread}",
    ):
        assert parse(spelling) == code, spelling
    for bare in (body, body.lower(), spaced, misread, f"{body[:4]}-{body[4:]}"):
        assert parse(bare) == f"PQR-{body}", bare


@given(codes)
def test_R012_every_single_wrong_symbol_is_noticed(code: str) -> None:
    for place in range(4, 11):
        for wrong in SYMBOLS:
            if wrong != code[place]:
                assert parse(code[:place] + wrong + code[place + 1 :]) is None, (place, wrong)


@given(codes)
def test_R012_every_swap_of_neighbours_is_noticed(code: str) -> None:
    for place in range(4, 10):
        a, b = code[place], code[place + 1]
        swapped = code[:place] + b + a + code[place + 2 :]
        assert parse(swapped) == (code if a == b else None), place


def test_the_swap_that_luhn_cannot_see_is_never_given_out() -> None:
    turn = cycle((True, False))
    code = new_code("PQR", lambda n: (n - 1) * next(turn))
    assert "0Z" not in code and "Z0" not in code and parse(code) == code


@given(codes)
def test_every_code_differs_from_words_and_numbers(code: str) -> None:
    body = code[4:]
    assert set(body) & set("23456789") and set(body) - set("0123456789")
    assert "0Z" not in body and "Z0" not in body


def test_a_poor_random_source_still_gives_a_code() -> None:
    for constant in range(32):
        code = new_code("FEL", constant.__mod__)
        assert parse(code) == code


@pytest.mark.parametrize(
    "text", ["", "PQR", "PQR-", "XYZ-" + BODY, BODY[:-1], BODY + "A", "UUUUUUU", "ñ" + BODY[1:], "١٢٣٤٥٦٧"]
)
def test_what_is_no_code_is_none(text: str) -> None:
    assert parse(text) is None


def test_the_twin_is_the_same_code_of_the_other_family() -> None:
    assert twin(CODE) == f"FEL-{BODY}" and twin(twin(CODE)) == CODE
    assert parse(twin(CODE)) == twin(CODE)


@pytest.mark.parametrize(
    "text",
    [
        "{body}",
        "  {lower} ",
        "estado {lower}",
        "Estado: {body}",
        "status of my case {body}?",
        "¿cuál es el estado de mi caso {body}? gracias",
        "meu código é {body}",
        "caso n.º {spaced}",
        "hola, mi código es {code}, ¿qué pasó?",
        "Re: [{code}] Recibimos tu queja",
        "soporte+{lowercode}@example.com",
        "{prefix} {spaced} y nada más",
        "pqr:{lower}",
        "Hola\n{body}\ngracias",
        "> {code}\n> {code}",
        "vea https://example.com/c/{code}/ver",
    ],
)
def test_R012_codes_are_found_in_free_text(text: str) -> None:
    spaced = f"{BODY[:3]} {BODY[3:]}"
    said = text.format(body=BODY, lower=BODY.lower(), code=CODE, lowercode=CODE.lower(), spaced=spaced, prefix="PQR")
    assert find(said) == [CODE]


def test_several_codes_come_in_order_and_once() -> None:
    other = new_code("FEL", random.Random(2).randrange)
    assert find(f"{other} y {CODE}, otra vez {other.lower()}") == [other, CODE]


@pytest.mark.parametrize(
    "text",
    [
        "gracias",
        "persona",
        "reclamo por el pedido 4821377",
        "mi pqr no llega",
        "pedido {body} de la tienda",  # without prefix in the middle of a sentence
        "estado {wrong}",
        "PQR-{wrong}",
        "X{code}",
        "{code}9",
        "{body}{body}",
    ],
)
def test_what_only_looks_like_a_code_is_left_alone(text: str) -> None:
    wrong = BODY[:-1] + ("3" if BODY[-1] != "3" else "4")
    assert find(text.format(body=BODY, code=CODE, wrong=wrong)) == []


@given(st.lists(st.text(alphabet="abcdefghijklmnopqrstuvwxyzáéíóúñ", min_size=1, max_size=9), max_size=12))
def test_no_sentence_of_words_holds_a_code(words: list[str]) -> None:
    assert find(" ".join(words)) == [] and find("pqr " + " ".join(words)) == []


@given(st.integers(0, 10**12))
def test_no_number_is_a_code(number: int) -> None:
    for said in (str(number), f"caso {number}", f"pqr {number}", f"pqr caso {number}", f"{number} cosas"):
        assert find(said) == []


def test_a_word_before_a_number_is_no_code_even_if_the_check_symbol_fits() -> None:
    assert parse("caso 130") == "PQR-CAS0130"
    assert find("caso 130") == []


@given(st.text())
def test_reading_never_fails_and_what_is_found_is_right(text: str) -> None:
    for code in find(text):
        assert parse(code) == code


@given(codes, st.text(alphabet=st.characters(categories=["Zs", "Po", "Sm"]), max_size=5))
def test_every_code_is_found_with_anything_around_that_is_no_letter(code: str, around: str) -> None:
    assert code in find(f"{around} {code} {around}")
