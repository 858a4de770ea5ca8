"""Open and change cases on behalf of the dialogue; every change leaves an event."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from bot import states
from bot.absorbing import earliest
from bot.codes import new_code
from bot.deadlines import decide
from bot.dialogue import effects as fx
from bot.dialogue.state import CaseFacts
from bot.parts import Parts
from nlu.understanding import Understanding
from storage.tables import Case, Person
from storage.transaction import Transaction

SEVERITIES = ("low", "medium", "high", "critical")


class Casework:
    """What the bot may do with a case. It never refuses and never closes without the customer's word."""

    def __init__(self, parts: Parts, tx: Transaction, actor: str) -> None:
        self._parts = parts
        self._tx = tx
        self._actor = actor

    async def open(self, person: Person, account: str, wanted: fx.OpenCase, received: datetime | None = None) -> Case:
        """A new case under a free code; its term counts from the moment at which the report was received."""
        prefix: Literal["PQR", "FEL"] = "FEL" if wanted.type == "felicitacion" else "PQR"
        values: dict[str, Any] = {
            "type": wanted.type,
            "second_type": wanted.second_type,
            "type_confidence": wanted.type_confidence,
            "doubt": wanted.doubt,
            "severity": wanted.severity,
            "facts": {slot: list(said) for slot, said in wanted.facts.items()},
            "understanding": {"source": wanted.source, "alarms": list(wanted.alarms), "asked": []},
            # the Receipt leaves with this very transaction: received and acknowledged are one
            "status": "acusado",
            "acked_at": self._parts.now(),
            "receipt_at": self._parts.now(),
            **self.deadline(wanted.type, received),
        }
        told = {
            "type": wanted.type,
            "severity": wanted.severity,
            "source": wanted.source,
            "account": account,
            "doubt": wanted.doubt,
        }
        case = None
        while case is None:
            code = new_code(prefix, self._parts.choose)
            case = await self._tx.cases.open(
                actor=self._actor, told=told, code=code, person_id=person.id, account=account, **values
            )
        return case

    def keep_vector(self, case: Case, words: str, read: Understanding) -> None:
        """Keep what finds similar cases, when the case was opened with these very words (and not with a button)."""
        if read.embedding is not None and words.strip() in case.facts.get("what", []):
            self._tx.similar.keep(case.id, read.embedding.numbers, read.embedding.space)

    def deadline(self, type: str, received: datetime | None = None) -> dict[str, Any]:
        """When the decision is due, and why, for a case that was received then; without a moment, now."""
        company, received = self._parts.company, received or self._parts.now()
        found = decide(
            received,
            country=company.country,
            region=company.region,
            type=type,
            timezone=company.timezone,
            extra_holidays=company.holidays_extra,
            sector=company.sector,
            answer_terms={str(kind): term for kind, term in company.answer_terms.items()},
        )
        return {
            "due": found.due,
            "due_kind": found.kind,
            "due_reason": found.as_json() | {"received_at": received.isoformat()},
        }

    async def term(self, case: Case, type: str) -> dict[str, Any]:
        """The same for a case that turns out to be of this type; no later than what was merged into it."""
        own = self.deadline(type, self.received(case))
        return earliest(own, [other for _, other in await self._tx.merges.standing(case.id)])

    @staticmethod
    def received(case: Case) -> datetime:
        """When the report came that the case was opened for: a message of 23:59 may be answered after midnight."""
        told = case.due_reason.get("received_at")
        return datetime.fromisoformat(told) if told else case.opened_at

    async def change(self, case: Case, effect: fx.UpdateCase | fx.Reopen | fx.ConfirmSolved) -> None:
        """Write what the dialogue learned or the customer decided."""
        match effect:
            case fx.UpdateCase():
                await self._update(case, effect)
            case fx.Reopen():
                await self._walk(case, states.steps_to_reopened(case.status))
                case.solved_by = case.solved_at = case.closed_at = None
                await self._tx.cases.add_event(case, actor="customer", kind="reopened")
            case fx.ConfirmSolved():
                await self._walk(case, states.steps_to_solved(case.status))
                case.solved_by = "customer"
                case.solved_at = case.closed_at = self._parts.now()
                await self._tx.cases.add_event(case, actor="customer", kind="solved")

    async def _walk(self, case: Case, steps: Sequence[states.CaseState]) -> None:
        """Move the case step by step. The last step is told by the customer's own event, the others by one each."""
        for number, to in enumerate(steps, 1):
            states.check(case.status, to)
            was, case.status = case.status, to.value
            if number < len(steps):
                data = {"from": was, "to": to.value}
                await self._tx.cases.add_event(case, actor="customer", kind="moved", data=data)

    async def _update(self, case: Case, effect: fx.UpdateCase) -> None:
        data: dict[str, Any] = {}
        if effect.type is not None and effect.type != case.type:
            data["type"] = [case.type, effect.type]
            case.type = effect.type
            due = await self.term(case, effect.type)
            case.due, case.due_kind, case.due_reason = due["due"], due["due_kind"], due["due_reason"]
        if effect.severity is not None and SEVERITIES.index(effect.severity) > SEVERITIES.index(case.severity):
            data["severity"] = [case.severity, effect.severity]
            case.severity = effect.severity
        if effect.facts is not None:
            fresh = {slot: list(said) for slot, said in effect.facts.items() if case.facts.get(slot) != list(said)}
            if fresh:
                data["facts"] = fresh
        if effect.share_words is not None:
            data["share_words"] = case.share_words = effect.share_words
        if effect.alarms:
            data["alarms"] = list(effect.alarms)
            known = case.understanding.get("alarms", [])
            case.understanding = case.understanding | {"alarms": sorted({*known, *effect.alarms})}
        if effect.stage is not None and effect.stage != case.stage:
            data["stage"] = effect.stage
        if data:
            await self._tx.cases.add_event(case, actor=self._actor, kind="updated", data=data)

    @staticmethod
    def keep_facts(case: Case, known: CaseFacts) -> None:
        """The dialogue's view of the case is the case: facts, doubt, stage and what was asked."""
        case.facts = {slot: list(said) for slot, said in known.facts.items()}
        case.doubt = known.doubt
        case.stage = known.stage
        if list(known.asked) != case.understanding.get("asked", []):
            case.understanding = case.understanding | {"asked": list(known.asked)}
