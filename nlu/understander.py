"""Rules, safety net, facts and model put together: what answers behind the port of nlu/understanding.py."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from nlu import rules, safety
from nlu.facts import find_facts
from nlu.language import default_language, detect
from nlu.model import Heads, Model, ModelUnusable, calls_a_person, load
from nlu.phrases import folder
from nlu.understanding import Embedding, Fact, Hint, Understanding

log = logging.getLogger(__name__)
SURE_STOP = 0.8  # from which chance the model alone may take a message for an opt-out
MAX_TEXT = 20_000  # characters read by the rules; nobody writes more by hand


class Settings(BaseModel):
    """The `nlu` section of config.yaml."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None  # a directory, a name under nlu/models, a hub name on this machine; null: the shipped one
    threshold: float | None = Field(default=None, ge=0, le=1)  # from which confidence the bot need not ask
    enabled: bool = True  # false: rules only
    speech: str | None = None  # a directory with a speech model: voice notes are listened to


class Reader:
    """The `Understander`. All reading happens in one thread of its own, never on the event loop."""

    def __init__(self, model: Model | None, *, threshold: float | None = None, problem: str | None = None) -> None:
        self._model = model
        self._threshold = threshold
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nlu")
        self.problem = problem  # why the model does not answer, in one sentence; None: it does, or none is wanted

    @property
    def source(self) -> str:
        """Who answers: "model:<name>" or "rules"."""
        return f"model:{self._model.name}" if self._model and not self.problem else "rules"

    @property
    def space(self) -> str | None:
        """Whose vectors `embed` gives; None without a model, or with one that cannot compare texts."""
        return self._model.space if self._model else None

    async def understand(self, text: str, hint: Hint) -> Understanding:
        """Read one message."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, text, hint)

    async def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Vectors of the texts, or None when there is no model."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, texts)

    async def warm(self) -> None:
        """Compile the rules and run the model once, so that the first message does not wait."""
        await asyncio.get_running_loop().run_in_executor(self._thread, _warm, self._model)

    async def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _read(self, text: str, hint: Hint) -> Understanding:
        by_rules = read_by_rules(text, hint)
        asked = self._ask(text) if text.strip() else None
        if asked is None or self._model is None:
            return by_rules.understanding
        heads, embedding = asked
        return replace(by_rules.with_model(heads, self._model, self._threshold), embedding=embedding)

    def _ask(self, text: str) -> tuple[Heads, Embedding | None] | None:
        if self._model is None:
            return None
        try:
            asked = self._model.read_whole(text)
        except Exception as why:  # whatever a model does, the rules answer
            self._fail(why)
            return None
        self.problem = None
        return asked

    def _embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        if self._model is None:
            return None
        try:
            vectors = [self._model.embed(text) for text in texts]
        except Exception as why:  # as above
            self._fail(why)
            return None
        return None if None in vectors else [vector for vector in vectors if vector is not None]

    def _fail(self, why: Exception) -> None:
        self.problem = f"the model {self._model.name if self._model else ''} failed: {type(why).__name__}: {why}"
        log.warning("nlu: %s", self.problem)


class ByRules:
    """What the rules made of a message, ready to be refined by a model."""

    def __init__(self, understanding: Understanding, verdict: rules.Verdict, floor: str, pending: str | None) -> None:
        self.understanding, self._verdict, self._floor, self._pending = understanding, verdict, floor, pending

    def with_model(self, heads: Heads, model: Model, threshold: float | None) -> Understanding:
        """The model's type, severity and act, within what the rules hold fast."""
        rule, mine = self._verdict, self.understanding
        scores = dict(heads["type"])
        act = self._act(heads)
        quiet = rule.firm and rule.type == "otro" and act != "human"
        kind = "otro" if quiet else max(scores, key=lambda label: scores[label])
        if kind == "otro" and self._floor != "low" and len(scores) > 1:
            kind = max((label for label in scores if label != "otro"), key=lambda label: scores[label])
        confidence = rule.confidence if quiet else scores[kind]
        severity = safety.worse(self._severity(heads, kind), self._floor)
        urgent = calls_a_person(model, heads)
        others = sorted((label for label in scores if label != kind), key=lambda label: -scores[label])
        return Understanding(
            language=mine.language, language_confidence=mine.language_confidence, type=kind,
            type_confidence=round(confidence, 4), sure=confidence >= (model.sure if threshold is None else threshold),
            second_type=others[0] if others and scores[others[0]] >= 0.15 else None, severity=severity, act=act,
            human_now=urgent or rule.human_now or severity == "critical", facts=mine.facts, triggers=mine.triggers,
            source=f"model:{model.name}", scores={label: round(score, 4) for label, score in scores.items()},
        )  # fmt: skip

    def _act(self, heads: Heads) -> str:
        rule = self._verdict
        if rule.firm or "act" not in heads:
            return rule.act
        acts = heads["act"]
        act = max(acts, key=lambda label: acts[label])
        if self._floor == "critical" and act not in ("human", "provide", "report"):
            return "report"
        if act == "stop" and rule.act != "stop" and rule.type != "otro" and not _surely_no_case(heads):
            return rule.act  # an opt-out silences us: a case is worth more than the model's guess
        return rule.act if self._pending and rule.act == "provide" and act == "report" else act

    def _severity(self, heads: Heads, kind: str) -> str:
        if kind == "otro":
            return "low"
        levels = heads.get("severity")
        return max(levels, key=lambda label: levels[label]) if levels else self._verdict.severity


def _surely_no_case(heads: Heads) -> bool:
    """Both heads must say so, and the one that hears an opt-out must be sure."""
    return heads["act"].get("stop", 0.0) >= SURE_STOP and heads["type"].get("otro", 0.0) >= 0.5


def read_by_rules(text: str, hint: Hint) -> ByRules:
    """Everything that needs no model."""
    text = text[:MAX_TEXT]
    folded = folder().fold(text)
    language = detect(text, hint.language, default_language(hint.country))
    triggers = safety.alarms(text, folded)
    facts = find_facts(text, folded, hint)
    verdict = rules.judge(
        folded, triggers, pending=hint.pending, facts_only=_facts_only(text, facts), money=_money(facts)
    )
    floor = safety.floor(triggers, past=safety.is_past(folded))
    understanding = Understanding(
        language=language.language, language_confidence=language.confidence, type=verdict.type,
        type_confidence=verdict.confidence, sure=verdict.sure, second_type=verdict.second, severity=verdict.severity,
        act=verdict.act, human_now=verdict.human_now, facts=facts, triggers=triggers, source="rules",
        scores=verdict.scores,
    )  # fmt: skip
    return ByRules(understanding, verdict, floor, hint.pending)


def _facts_only(text: str, facts: Sequence[Fact]) -> bool:
    """Little but facts: "pedido 48213", "ana@nube.co". A wish is no such fact."""
    rest = list(text)
    hard = [fact for fact in facts if fact.kind != "wish"]
    for fact in hard:
        rest[fact.start : fact.end] = " " * (fact.end - fact.start)
    return bool(hard) and len("".join(rest).split()) <= 3


def _money(facts: Sequence[Fact]) -> float:
    """The largest amount, in multiples of what counts as large in its currency."""
    amounts = (fact.value.split() for fact in facts if fact.kind == "amount")
    return max((float(number) / rules.large(currency) for number, currency in amounts), default=0.0)


def _warm(model: Model | None) -> None:
    """The first message must not pay for compiling expressions and for the session's first run."""
    read_by_rules("hola, 27/11/2026 $1.000", Hint(now=datetime(2026, 1, 1, tzinfo=UTC)))
    if model is not None:
        with contextlib.suppress(Exception):  # it will fail again, and be reported, at a message
            model.read("hola")


async def open_understander(settings: Settings) -> Reader:
    """Load the model, warm it and the rules, and be ready. A missing model is no failure: `problem` says why."""
    model: Model | None = None
    problem: str | None = None
    if settings.enabled:
        try:
            model = await asyncio.to_thread(load, settings.model)
        except ModelUnusable as why:
            problem = str(why)
        except Exception as why:  # a broken file must not keep the bot from answering
            problem = f"nlu.model could not be loaded: {type(why).__name__}: {why}"
    if problem:
        log.warning("%s; rules answer", problem)
    reader = Reader(model, threshold=settings.threshold, problem=problem)
    await reader.warm()
    return reader
