"""How satisfied customers are, of the surveys that were counted: CSAT (I14), NPS (I15, I16), and who was asked (P3)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.dialogue.survey import BEST, DETRACTOR
from bot.views import SurveyView
from storage.surveys import SurveyCount
from storage.tables import Survey

GOOD = 4  # of five, or more: a satisfied customer
PROMOTER = 9  # of ten, or more


@dataclass(frozen=True)
class Satisfaction:
    """Of the cases that were called solved in a period."""

    cases: int
    asked: int
    arrived: int  # the provider says so; not every one does
    answered: int
    unanswered: int  # asked and ended, without a word
    open: int  # asked, and still time to answer
    waiting: int
    not_sent: Mapping[str, int]  # by reason, the most frequent first
    scores: Mapping[int, int]  # 1 to 5: how many chose it
    promoters: int
    passives: int
    detractors: int
    asked_again: int  # customers who had been detractors before and answered again
    won_back: int  # of them: promoters now

    @classmethod
    def of(cls, counts: Sequence[SurveyCount], *, asked_again: int = 0, won_back: int = 0) -> "Satisfaction":
        """Put it together."""

        def n(which: Callable[[SurveyCount], bool]) -> int:
            return sum(one.cases for one in counts if which(one))

        reasons = Counter[str]()
        for one in counts:
            if one.state == "not_sent":
                reasons[one.reason or ""] += one.cases
        sent = ("asked", "answered", "unanswered")
        return cls(
            cases=n(lambda one: True),
            asked=n(lambda one: one.state in sent),
            arrived=n(lambda one: one.state in sent and (one.arrived or one.state == "answered")),
            answered=n(lambda one: one.state == "answered"),
            unanswered=n(lambda one: one.state == "unanswered"),
            open=n(lambda one: one.state == "asked"),
            waiting=n(lambda one: one.state == "waiting"),
            not_sent=dict(reasons.most_common()),
            scores={score: sum(one.cases for one in counts if one.csat == score) for score in range(BEST, 0, -1)},
            promoters=n(lambda one: one.nps is not None and one.nps >= PROMOTER),
            passives=n(lambda one: one.nps is not None and DETRACTOR < one.nps < PROMOTER),
            detractors=n(lambda one: one.nps is not None and one.nps <= DETRACTOR),
            asked_again=asked_again,
            won_back=won_back,
        )

    @property
    def rated(self) -> int:
        """How many gave a score to the solution."""
        return sum(self.scores.values())

    @property
    def good(self) -> int:
        """How many of them a 4 or a 5."""
        return sum(n for score, n in self.scores.items() if score >= GOOD)

    @property
    def recommended(self) -> int:
        """How many said whether they would recommend the company."""
        return self.promoters + self.passives + self.detractors

    @property
    def nps(self) -> float | None:
        """−100 to 100; None: nobody said."""
        return 100 * (self.promoters - self.detractors) / self.recommended if self.recommended else None


def seen(row: Survey | None) -> SurveyView | None:
    """The survey of a case as its panel shows it."""
    if row is None:
        return None
    return SurveyView(row.state, row.reason, row.csat, row.nps, row.comment, row.asked_at, row.reminded_at)
