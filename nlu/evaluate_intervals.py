"""How far chance alone could have moved a figure: bootstrap over happenings, because retellings are not independent."""

from collections.abc import Callable, Sequence

import numpy as np

from nlu.train_data import LABELS, Example
from nlu.train_scores import Prediction, accepted, at_coverage, ece

ROUNDS = 1000
LOW, HIGH = 2.5, 97.5  # the middle 95 of 100 rounds
Rows = np.ndarray  # indices of messages, some several times


def intervals(examples: Sequence[Example], predicted: Prediction, seed: int = 3) -> dict[str, list[float]]:
    """The 95 % interval of each main figure."""
    figures = _figures(examples, predicted)
    rounds = [{name: figure(rows) for name, figure in figures.items()} for rows in resampled(examples, seed)]
    return {name: _middle([r[name] for r in rounds]) for name in figures}


def difference(
    examples: Sequence[Example], before: Sequence[str], after: Sequence[str], seed: int = 3
) -> tuple[float, list[float]]:
    """Type macro-F1 of `after` less that of `before` on the same messages, and its 95 % interval (paired)."""
    old, new = _f1_of(examples, "type", before), _f1_of(examples, "type", after)
    whole = np.arange(len(examples))
    gaps = [new(rows) - old(rows) for rows in resampled(examples, seed)]
    return new(whole) - old(whole), _middle(gaps)


def resampled(examples: Sequence[Example], seed: int) -> list[Rows]:
    """As many happenings as there are, drawn with repetition, ROUNDS times; of each all its messages."""
    random = np.random.default_rng(seed)
    groups: dict[str, list[int]] = {}
    for i, example in enumerate(examples):
        groups.setdefault(example.scenario, []).append(i)
    members = [np.array(g) for g in groups.values()]
    return [np.concatenate([members[k] for k in random.integers(0, len(members), len(members))]) for _ in range(ROUNDS)]


def _figures(examples: Sequence[Example], predicted: Prediction) -> dict[str, Callable[[Rows], float]]:
    result: dict[str, Callable[[Rows], float]] = {}
    for task in LABELS:
        if task in predicted.probability:
            result[f"{task}_macro_f1"] = _f1_of(examples, task, predicted.names(task))
    right = np.array([n in (e.type, e.second) for n, e in zip(predicted.names("type"), examples, strict=True)])
    confidence = predicted.probability["type"].max(1)
    result["type_accuracy"] = lambda rows: float(right[rows].mean())
    result["type_ece"] = lambda rows: ece(confidence[rows], right[rows])
    result["accuracy_at_85"] = lambda rows: at_coverage(confidence[rows], right[rows])["85"]
    if "severity" in predicted.probability:
        truth = np.array([e.label("severity") for e in examples])
        said = predicted.probability["severity"].argmax(1)
        result["severity_within_one"] = lambda rows: float((abs(truth[rows] - said[rows]) <= 1).mean())
        result["grave_recall"] = lambda rows: _share(said[rows] >= 2, truth[rows] >= 2)
    if predicted.alarm is not None:
        alarm, raised = np.array([e.human_now for e in examples]), predicted.alarm
        result["alarm_recall"] = lambda rows: _share(raised[rows], alarm[rows])
        result["alarm_precision"] = lambda rows: _share(alarm[rows], raised[rows])
    return result


def _f1_of(examples: Sequence[Example], task: str, names: Sequence[str]) -> Callable[[Rows], float]:
    labels = list(LABELS[task])
    truth = np.array([labels.index(t) for t in accepted(examples, task, names)])
    said = np.array([labels.index(n) for n in names])

    def figure(rows: Rows) -> float:
        table = np.bincount(truth[rows] * len(labels) + said[rows], minlength=len(labels) ** 2)
        square = table.reshape(len(labels), -1)
        there = square.sum(1) > 0  # the plain mean of the classes that occur, as in train_scores.macro_f1
        both = square.sum(0) + square.sum(1)
        return float((2 * np.diag(square)[there] / both[there]).mean())

    return figure


def _share(of: np.ndarray, among: np.ndarray) -> float:
    return float(of[among].mean()) if among.any() else 1.0


def _middle(values: Sequence[float]) -> list[float]:
    return [float(v) for v in np.percentile(values, (LOW, HIGH))]
