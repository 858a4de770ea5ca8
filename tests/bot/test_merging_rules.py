"""P9: which cases may be merged and which term counts, without a database."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.deadlines import Deadline, first_to_end
from bot.states import OWES_ANSWER, UNDECIDED, CaseState, ForbiddenMove, check_merge, decides

S = CaseState


@pytest.mark.parametrize("state", list(S))
def test_P9_only_a_report_that_nobody_answered_goes_on_in_another(state: CaseState) -> None:
    if state in (S.RECIBIDO, S.ACUSADO, S.CLASIFICADO, S.EN_INVESTIGACION):
        check_merge(state, S.EN_INVESTIGACION)
        assert not decides(state)
    else:
        assert decides(state)
        with pytest.raises(ForbiddenMove) as refusal:
            check_merge(state, S.EN_INVESTIGACION)
        assert refusal.value.reason == "answered"


@pytest.mark.parametrize("state", list(S))
def test_P9_only_in_a_case_that_still_owes_an_answer(state: CaseState) -> None:
    answered = (S.COMUNICADO, S.ACEPTADO, S.CUMPLIDO, S.DERIVADO_EXTERNO, S.CERRADO)
    if state in answered:
        with pytest.raises(ForbiddenMove, match="reopen") as refusal:
            check_merge(S.ACUSADO, state)
        assert refusal.value.reason == "waits"
    else:
        check_merge(S.ACUSADO, state)
    assert UNDECIDED < OWES_ANSWER == frozenset(S) - frozenset(answered)


def _terms() -> st.SearchStrategy[Deadline]:
    day = st.none() | st.dates(date(2026, 1, 1), date(2026, 12, 31))
    return st.builds(Deadline, kind=st.sampled_from(["legal", "internal"]), due=day)


@given(st.lists(_terms(), min_size=1, max_size=5))
def test_P9_no_date_that_was_promised_becomes_a_later_one(terms: list[Deadline]) -> None:
    first = first_to_end(terms)
    assert first in terms
    dated = [term.due for term in terms if term.due is not None]
    assert first.due == (min(dated) if dated else None)
    same_day = [term for term in terms if term.due == first.due]
    assert first.kind == "legal" or all(term.kind == "internal" for term in same_day)


def test_P9_on_one_day_the_hour_comes_first_and_then_the_law() -> None:
    day = date(2026, 3, 24)
    own = Deadline(kind="internal", due=day)
    law = Deadline(kind="legal", due=day)
    hours = Deadline(kind="internal", due=day, due_at=datetime(2026, 3, 24, 15, tzinfo=UTC))
    none = Deadline(kind="none")
    assert first_to_end([none, own, law]) is law
    assert first_to_end([law, hours, own]) is hours
    assert first_to_end([none]) is none
