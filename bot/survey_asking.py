"""Ask how the solution was: where the customer wants to read it, when they may be written to, and once more at most."""

from datetime import timedelta
from uuid import UUID

from bot.consent import refusal
from bot.contact_hours import allowed_at
from bot.dialogue import events as ev
from bot.dialogue.reply import Reply
from bot.dialogue.survey import free
from bot.parts import Parts
from bot.reach import Way, best_way
from bot.surveys import SOLVED, Surveys
from bot.talking import Talking
from storage.tables import Case, Conversation, Outgoing, Survey
from storage.transaction import Transaction

BUSY = timedelta(hours=1)  # somebody has the word, or another question is open: we look again after so long
PATIENCE = timedelta(days=14)  # and give up after so much of it
KIND = "survey"


class Asking:
    """What a survey's timer does when it is due. Within a turn, which has a conversation of the case locked."""

    def __init__(self, parts: Parts, tx: Transaction) -> None:
        self._parts = parts
        self._tx = tx
        self._surveys = Surveys(parts, tx)

    async def due(self, home: Conversation, case_id: UUID) -> None:
        """Ask, remind, wait a little longer, or end it with a reason."""
        case, survey, sent, taken = await self._tx.surveys.due(case_id)
        if case is None or survey is None or survey.state not in ("waiting", "asked"):
            return
        if case.merged_into is not None:  # whoever asks, asks about the case that it went on in
            survey.state, survey.reason = ("unanswered" if survey.asked_at else "not_sent"), "merged"
        elif case.status not in SOLVED:
            await self._surveys.reopened(case)
        elif taken:
            await self._later(home, case, survey)
        elif survey.asked_at is None or (sent is not None and sent.state == "withdrawn" and survey.reminded_at is None):
            await self._ask(home, case, survey)
        else:
            await self._go_on(home, case, survey, sent)

    async def _go_on(self, home: Conversation, case: Case, survey: Survey, sent: Outgoing | None) -> None:
        """Nobody has answered: was it heard at all, and was it the last time?"""
        state = sent.state if sent is not None else "failed"
        if state == "queued":
            self._surveys.look(case, home, self._parts.now() + BUSY)  # the account rests
        elif survey.reminded_at is None and state in ("sent", "delivered", "read"):
            await self._ask(home, case, survey, reminder=True)
        elif state == "failed" and survey.reminded_at is None:
            await self._surveys.ended(case, survey, "not_sent", "undelivered")
        else:  # where it is uncertain whether it arrived, a second one would be one too many
            await self._surveys.ended(case, survey, "unanswered")

    async def _ask(self, home: Conversation, case: Case, survey: Survey, *, reminder: bool = False) -> None:
        now = self._parts.now()
        opens = allowed_at(self._parts.company, KIND, now)
        if opens > now:
            self._surveys.look(case, home, opens)
            return
        way, why = await self._way(home, case)
        if way is None:
            await self._surveys.ended(case, survey, "unanswered" if reminder else "not_sent", why)
            return
        talking = await Talking.begin(self._parts, self._tx, way.conversation)
        if not free(Reply(talking.state)):
            await self._later(home, case, survey)
            return
        await talking.feed(ev.SurveyDue(case.code, reminder))
        await talking.finish(kind="reminder" if reminder else KIND, about=case)
        survey.state, survey.reason = "asked", None
        if reminder:
            survey.reminded_at = now
        else:
            survey.asked_at = now
        self._surveys.look(case, home, now + timedelta(days=self._parts.policy.survey.remind_days))

    async def _later(self, home: Conversation, case: Case, survey: Survey) -> None:
        """A person has the word, or something else is being asked there: that comes first."""
        now = self._parts.now()
        if now - (survey.asked_at or survey.planned_at) > PATIENCE:
            await self._surveys.ended(case, survey, "unanswered" if survey.asked_at else "not_sent", "busy")
        else:
            self._surveys.look(case, home, now + BUSY)

    async def _way(self, home: Conversation, case: Case) -> tuple[Way | None, str]:
        """The best way whose owner wants to be asked there; without one, why."""
        known = await self._tx.people.contacts(case.person_id)
        unwilling = frozenset(one.id for one in known if refusal(one, KIND) is not None)
        way = await best_way(self._parts, self._tx, case, home, without=unwilling)
        if way is not None:
            return way, ""
        could = [one for one in known if one.blocked_at is None and one.account in self._parts.channels]
        refused = [one for one in could if one.id in unwilling]
        return None, "consent" if refused else "unreachable"
