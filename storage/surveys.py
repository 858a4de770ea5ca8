"""What customers say of solved cases, and how many were asked."""

from dataclasses import dataclass
from uuid import UUID

from storage.direct import reading
from storage.scope import Scope
from storage.tables import Case, Outgoing, Survey

_LAST = "WHERE case_id = %s AND kind IN ('survey', 'reminder') ORDER BY created_at DESC, number DESC LIMIT 1"
_TAKEN = "SELECT EXISTS (SELECT 1 FROM conversations WHERE case_id = %s AND speaker <> 'bot')"
COUNTED = """
SELECT s.state, s.reason, s.csat, s.nps, coalesce(sent.arrived, false) AS arrived, count(*) AS cases
  FROM surveys s
  LEFT JOIN LATERAL (SELECT bool_or(o.state IN ('delivered', 'read')) AS arrived FROM outgoing o
       WHERE o.case_id = s.case_id AND o.kind IN ('survey', 'reminder')) sent ON true
 WHERE s.planned_at >= :start AND s.planned_at < :end GROUP BY 1, 2, 3, 4, 5"""
"""Surveys of cases that were called solved from :start on and before :end, as `SurveyCount` has them (P3, I14, I15)."""

_BEFORE = """
SELECT old.nps FROM surveys old JOIN cases of ON of.id = old.case_id
 WHERE of.person_id = c.person_id AND old.case_id <> s.case_id AND (old.nps <= 6 OR old.nps >= 9)
   AND coalesce(old.answered_at, old.planned_at) < coalesce(s.answered_at, s.planned_at)
 ORDER BY coalesce(old.answered_at, old.planned_at) DESC LIMIT 1"""
ASKED_AGAIN = f"""
SELECT DISTINCT ON (c.person_id) s.case_id, s.nps
  FROM surveys s JOIN cases c ON c.id = s.case_id AND c.merged_into IS NULL
 WHERE s.planned_at >= :start AND s.planned_at < :end AND s.nps IS NOT NULL AND ({_BEFORE}) <= 6
 ORDER BY c.person_id, s.nps DESC, s.planned_at DESC"""  # noqa: S608  constants
"""Customers who were detractors when they answered before (7 and 8 change nothing of that), and their best answer about
a case that was called solved from :start on and before :end (I16)."""


@dataclass(frozen=True)
class SurveyCount:
    """How many cases, solved in a period, have a survey that stands so."""

    state: str
    reason: str | None
    csat: int | None
    nps: int | None
    arrived: bool  # the provider says that it was delivered or read
    cases: int


class Surveys:
    """One row for each case that was called solved."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self, case_id: UUID) -> Survey | None:
        """The survey of a (locked) case."""
        return next(iter(await self._scope.direct.find(Survey, "WHERE case_id = %s", case_id)), None)

    def plan(self, case_id: UUID) -> Survey:
        """A new one, which waits."""
        return self._scope.direct.new(Survey, case_id=case_id, state="waiting", planned_at=self._scope.now())

    async def due(self, case_id: UUID) -> tuple[Case | None, Survey | None, Outgoing | None, bool]:
        """A case, locked, with its survey, what was last sent of it, and whether a person has the word in the case."""
        direct = self._scope.direct
        cases, surveys, sent, [[taken]] = await direct.run(
            reading(Case, "WHERE id = %s FOR NO KEY UPDATE", case_id),
            reading(Survey, "WHERE case_id = %s", case_id),
            reading(Outgoing, _LAST, case_id),
            (_TAKEN, (case_id,)),
        )
        return (
            next(iter(direct.load(Case, cases)), None),
            next(iter(direct.load(Survey, surveys)), None),
            next(iter(direct.load(Outgoing, sent)), None),
            bool(taken),
        )
