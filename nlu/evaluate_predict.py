"""What a model directory says of labelled messages: alone, and as it is served beside the rules."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from nlu.model import Model, calls_a_person
from nlu.model import load as load_model
from nlu.train_data import LABELS, Example
from nlu.train_scores import Prediction
from nlu.understander import ByRules, read_by_rules
from nlu.understanding import Hint, Understanding

WHEN = datetime(2026, 1, 1, 12, tzinfo=UTC)  # dates in a text move no label


def predict(model_dir: str | Path | None, texts: Sequence[str]) -> Prediction:
    """What the model alone says of these texts, one at a time."""
    return of_model(load_model(model_dir), texts)


def of_model(model: Model, texts: Sequence[str]) -> Prediction:
    """The same of a model that is loaded."""
    read = [model.read(text) for text in texts]
    tasks = [task for task in LABELS if task in read[0]]
    p = {t: np.array([[heads[t].get(name, 0.0) for name in LABELS[t]] for heads in read]) for t in tasks}
    if "human_now" not in read[0]:
        return Prediction(p)
    chance = np.array([heads["human_now"]["human_now"] for heads in read])
    alarm = np.array([calls_a_person(model, heads) for heads in read])
    return Prediction({**p, "human_now": chance}, alarm)


def served(model: Model, examples: Sequence[Example]) -> Prediction:
    """What the bot acts on: the model within the rules and the safety net."""
    return _of_understandings([_rules(e).with_model(model.read(e.text), model, None) for e in examples])


def by_rules(examples: Sequence[Example]) -> Prediction:
    """What the bot acts on without a model: key words, patterns, safety net."""
    return _of_understandings([_rules(e).understanding for e in examples])


def _rules(example: Example) -> ByRules:
    return read_by_rules(example.text, Hint(now=WHEN, country=example.country or "CO"))


def _of_understandings(read: Sequence[Understanding]) -> Prediction:
    """As probabilities: what was decided is the largest of its row."""
    p = {task: np.zeros((len(read), len(names))) for task, names in LABELS.items()}
    for i, one in enumerate(read):
        for task in ("severity", "act"):
            p[task][i, LABELS[task].index(getattr(one, task))] = 1.0
        chosen = LABELS["type"].index(one.type)
        row = np.array([one.scores.get(name, 0.0) for name in LABELS["type"]])
        p["type"][i] = np.minimum(row, one.type_confidence * 0.999)
        p["type"][i, chosen] = max(one.type_confidence, 1e-6)
    return Prediction(p, np.array([one.human_now for one in read]))
