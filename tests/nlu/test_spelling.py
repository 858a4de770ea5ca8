"""Typos are mended towards learned words only, and what a language knows is left alone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlu.spelling import FILE, MOST, Spelling, load, save

LEARNED = {"licuadora": 9, "pedido": 40, "llegó": 30, "llego": 4, "acaso": 7, "año": 12, "rota": 8, "factura": 20}
KNOWN = ("acoso", "ano", "roto", "llama")


@pytest.fixture
def spelling(tmp_path: Path) -> Spelling:
    save(tmp_path, LEARNED, KNOWN)
    found = load(tmp_path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("la licuadroa", "la licuadora"),  # exchanged
        ("la licuadra", "la licuadora"),  # missing
        ("la liccuadora", "la licuadora"),  # too many
        ("la licuafora", "la licuadora"),  # wrong
        ("Pedifo 48213", "Pedido 48213"),
        ("FACTUTA", "FACTURA"),
        ("no llego", "no llegó"),  # as it stands most often
        ("acoso", "acoso"),  # a word of its own, however near
        ("roto", "roto"),
        ("xq", "xq"),  # too short
        ("licuuaadora", "licuuaadora"),  # two slips
        ("", ""),
    ],
)
def test_one_slip_is_mended(spelling: Spelling, written: str, read: str) -> None:
    assert spelling(written) == read


@given(st.text())
def test_the_rest_of_a_text_stays_as_it_is(text: str) -> None:
    mended = Spelling(LEARNED, np.array([], np.uint32))(text)
    assert [c for c in mended if not c.isalpha()] == [c for c in text if not c.isalpha()]


def test_a_text_in_another_language_costs_little(spelling: Spelling) -> None:
    assert spelling("pedifo " * (MOST + 5)).split().count("pedifo") == 5


def test_without_the_file_texts_are_read_as_they_are(tmp_path: Path) -> None:
    assert load(tmp_path) is None and not (tmp_path / FILE).exists()
