"""When a solved case is followed by a survey, why it is not, and what the customer answered (P3, R112)."""

from datetime import datetime, timedelta

from bot.dialogue import effects as fx
from bot.dialogue.forms import BODILY
from bot.dialogue.survey import DETRACTOR, POOR
from bot.parts import Parts
from storage.tables import Case, Conversation, Survey
from storage.transaction import Transaction

TIMER = "survey"
"""The kind of the timer, and of the internal row that it becomes."""
SOLVED = ("cumplido", "cerrado")
"""States in which a customer may be asked: never before the resolution (L-11)."""


class Surveys:
    """Within one transaction that has the case locked."""

    def __init__(self, parts: Parts, tx: Transaction, actor: str = "bot") -> None:
        self._parts = parts
        self._tx = tx
        self._actor = actor

    async def solved(self, case: Case, conversation: Conversation) -> None:
        """Somebody called it solved: the customer is asked soon, or after an agent's word some days later. Once."""
        found = await self._tx.surveys.get(case.id)
        if found is not None and found.asked_at is not None:
            return
        survey = found or self._tx.surveys.plan(case.id)
        if survey.state != "waiting":
            survey.state, survey.planned_at = "waiting", self._parts.now()
        survey.reason = self._reason(case, survey)
        if survey.reason is not None:
            survey.state = "not_sent"
            self.forget(case)
            return
        wanted = self._parts.policy.survey
        by_customer = case.solved_by == "customer"
        pause = timedelta(minutes=wanted.delay_minutes) if by_customer else timedelta(days=wanted.unconfirmed_days)
        self.look(case, conversation, self._parts.now() + pause)

    def _reason(self, case: Case, survey: Survey) -> str | None:
        """Why nobody is asked about this case, whoever they are."""
        wanted = self._parts.policy.survey
        if not wanted.enabled:
            return "off"
        if case.type not in wanted.types:
            return "type"
        harmed = case.severity == "critical" or not BODILY.isdisjoint(case.understanding.get("alarms", ()))
        return "harm" if harmed and survey.approved_by is None else None

    async def reopened(self, case: Case) -> None:
        """It is not solved: nobody is asked for now, and whoever was asked is not reminded."""
        survey = await self._tx.surveys.get(case.id)
        if survey is None or survey.state not in ("waiting", "asked"):
            return
        survey.state = "unanswered" if survey.asked_at is not None else "not_sent"
        survey.reason = "reopened"
        self.forget(case)

    async def after(self, effect: fx.Effect, case: Case, conversation: Conversation) -> None:
        """What the customer's own word about the case means for it."""
        if isinstance(effect, fx.ConfirmSolved):
            await self.solved(case, conversation)
        elif isinstance(effect, fx.Reopen):
            await self.reopened(case)

    async def approve(self, case: Case, conversation: Conversation) -> bool:
        """A person says that it may be asked, harm or not. False: nothing waited for such a word."""
        survey = await self._tx.surveys.get(case.id)
        if survey is None or survey.reason != "harm" or case.status not in SOLVED:
            return False
        survey.approved_by, survey.state, survey.reason = self._actor, "waiting", None
        survey.planned_at = self._parts.now()  # the patience with other talk begins now
        await self._tx.cases.add_event(case, actor=self._actor, kind="survey approved")
        self.look(case, conversation, self._parts.now())
        return True

    async def ended(self, case: Case, survey: Survey, state: str, reason: str | None = None) -> None:
        """Nothing more is sent; why, stands in the history too."""
        survey.state, survey.reason = state, reason
        if reason is not None:
            await self._tx.cases.add_event(case, actor=self._actor, kind="survey ended", data={"reason": reason})

    async def record(self, case: Case, said: fx.RecordSurvey) -> bool:
        """Keep what the customer says. True: it has become one that a person must look at (I16)."""
        survey = await self._tx.surveys.get(case.id)
        if survey is None:
            return False
        self.forget(case)
        if said.declined:
            if survey.state != "answered":
                await self.ended(case, survey, "unanswered", "declined")
            return False
        was_low = is_low(survey)
        if said.csat is not None:
            survey.csat = said.csat
        if said.nps is not None:
            survey.nps = said.nps
        if said.comment:
            survey.comment = "\n".join(filter(None, (survey.comment, said.comment)))
        survey.state, survey.reason = "answered", None
        survey.answered_at = survey.answered_at or self._parts.now()
        told = {"csat": said.csat, "nps": said.nps, "comment": said.comment}
        data = {name: value for name, value in told.items() if value is not None}
        await self._tx.cases.add_event(case, actor="customer", kind="survey answered", data=data)
        return (said.low or is_low(survey)) and not was_low

    def look(self, case: Case, conversation: Conversation, at: datetime) -> None:
        """Look at it then."""
        self._tx.timers.start(_key(case), conversation.id, TIMER, at, {"case": str(case.id)})

    def forget(self, case: Case) -> None:
        """No more looks."""
        self._tx.timers.stop(_key(case))


def is_low(survey: Survey) -> bool:
    """Whether a person must look at it."""
    poor = survey.csat is not None and survey.csat <= POOR
    return poor or (survey.nps is not None and survey.nps <= DETRACTOR)


def _key(case: Case) -> str:
    return f"{TIMER}:{case.id}"
