"""L: the process of ISO 10002 as states of a case (contract 10)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.states import (
    CLOSED,
    MOVES,
    OPEN,
    REOPENABLE,
    CaseState,
    ForbiddenMove,
    bar,
    cell,
    check,
    moves,
    reopens,
    steps_to_reopened,
    steps_to_solved,
)

S = CaseState
states = st.sampled_from(list(S))


def reachable(start: CaseState) -> set[CaseState]:
    seen, ahead = set[CaseState](), [start]
    while ahead:
        for there in MOVES[ahead.pop()]:
            if there not in seen:
                seen.add(there)
                ahead.append(there)
    return seen


def test_the_whole_road_of_a_complaint_is_allowed() -> None:
    road = [
        "recibido",
        "acusado",
        "clasificado",
        "en_investigacion",
        "propuesta",
        "comunicado",
        "aceptado",
        "cumplido",
        "cerrado",
    ]
    for here, there in pairwise(road):
        check(here, there)


def test_every_state_has_moves_and_every_state_can_be_reached_and_closed() -> None:
    assert set(MOVES) == set(S) and all(MOVES.values())
    assert reachable(S.RECIBIDO) | {S.RECIBIDO} == set(S)
    assert all(S.CERRADO in reachable(state) for state in S)
    assert set(S) == OPEN | CLOSED and not OPEN & CLOSED


def test_L9_nothing_rejected_closes_without_alternatives() -> None:
    for here in ("rechazado", "escalado_interno"):
        with pytest.raises(ForbiddenMove) as refused:
            check(here, "cerrado")
        assert refused.value.reason == "alternatives" and "alternatives" in str(refused.value)
    check("rechazado", "cerrado", alternatives_sent=True)
    check("rechazado", "derivado_externo")
    check("derivado_externo", "cerrado")


def test_alternatives_open_no_other_shortcut() -> None:
    with pytest.raises(ForbiddenMove):
        check("recibido", "cerrado", alternatives_sent=True)


@pytest.mark.parametrize("here", ["comunicado", "cumplido", "cerrado"])
def test_R114_todavia_no_reopens(here: str) -> None:
    check(here, "en_investigacion")
    assert reopens(here, "en_investigacion")


@pytest.mark.parametrize("here", ["rechazado", "propuesta", "recibido"])
def test_going_on_is_no_reopening(here: str) -> None:
    check(here, "en_investigacion")
    assert not reopens(here, "en_investigacion")


def test_what_was_agreed_is_carried_out_before_it_closes() -> None:
    with pytest.raises(ForbiddenMove, match="cumplido first") as refused:
        check("aceptado", "cerrado")
    assert refused.value.reason == "fulfil"


@given(states, states)
def test_a_forbidden_move_names_a_remedy_that_works(here: CaseState, there: CaseState) -> None:
    try:
        check(here, there)
    except ForbiddenMove as refused:
        assert refused.remedy and refused.reason in ("same", "alternatives", "fulfil", "reopen", "order")
        assert there not in moves(here)
    else:
        assert there in moves(here) and here != there


def test_a_word_that_is_no_state_is_refused() -> None:
    with pytest.raises(ForbiddenMove, match="the states are recibido") as refused:
        check("recibido", "solved")
    assert refused.value.reason == "unknown"


@given(states)
def test_only_the_investigation_follows_what_was_closed(state: CaseState) -> None:
    assert moves("cerrado") == (S.EN_INVESTIGACION,)
    if state in REOPENABLE:
        assert S.EN_INVESTIGACION in moves(state)


def test_the_bar_has_seven_cells() -> None:
    assert bar("recibido") == ("now", *["next"] * 6)
    assert bar("en_investigacion") == ("done", "done", "done", "now", "next", "next", "next")
    assert bar("rechazado") == (*["done"] * 6, "now")
    assert bar("cerrado") == ("done",) * 7
    assert [cell(state) for state in ("recibido", "acusado", "clasificado", "propuesta", "comunicado", "aceptado")] == [
        1, 2, 3, 5, 6, 7,
    ]  # fmt: skip


@given(states)
def test_L9_the_customers_word_takes_only_lawful_steps(here: CaseState) -> None:
    for steps, end in ((steps_to_solved(here), S.CERRADO), (steps_to_reopened(here), S.EN_INVESTIGACION)):
        for before, after in pairwise((here, *steps)):
            check(before, after)
        assert (here, *steps)[-1] is end


def test_L9_who_rejected_the_answer_and_then_says_yes_has_accepted_it() -> None:
    assert steps_to_solved("rechazado") == (S.ACEPTADO, S.CUMPLIDO, S.CERRADO)
