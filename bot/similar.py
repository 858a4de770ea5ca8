"""What an agent is shown of cases that read like the one at hand, and how it ended there."""

from collections.abc import Sequence
from uuid import UUID

from bot.views import SimilarView
from storage.similar import SimilarCase
from storage.transaction import Transaction

# Cosines of the shipped model. On the scenarios of its data (nlu/likeness_fit.py) at least 51, 58 and 69 of a hundred
# that lie so near are truly alike; the page says it in words.
ALIKE = 0.45
MUCH = 0.55
VERY = 0.65
SHOWN = 3


async def similar_to(tx: Transaction, case_id: UUID) -> Sequence[SimilarView]:
    """The nearest, in one query; nothing where the database or the model has no vectors."""
    return [_view(one) for one in await tx.similar.to(case_id, at_least=ALIKE, limit=SHOWN)]


def _view(case: SimilarCase) -> SimilarView:
    return SimilarView(
        code=case.code,
        type=case.type,
        status=case.status,
        how="very" if case.likeness >= VERY else "much" if case.likeness >= MUCH else "some",
        ended=case.solved_by or ("closed" if case.closed_at is not None else None),
        ended_at=case.solved_at or case.closed_at,
        gist=(case.gist or "").strip(),
    )
