"""The figures that say how good predictions are. Numpy only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlu.train_data import LABELS, Example


@dataclass(frozen=True)
class Prediction:
    """Probabilities per task, one row a message (columns as in LABELS), and the alarm as a decision.

    A foreign classifier has only the task `type`.
    """

    probability: Mapping[str, np.ndarray]
    alarm: np.ndarray | None = None

    @classmethod
    def of_logits(cls, logits: Mapping[str, np.ndarray]) -> "Prediction":
        """Before calibration: temperature one, alarm from one half."""
        chance = 1 / (1 + np.exp(-logits["human_now"][:, 0]))
        p = {task: softmax(logits[task]) for task in LABELS}
        return cls({**p, "human_now": chance}, chance >= 0.5)

    def part(self, keep: np.ndarray) -> "Prediction":
        """Only the rows that `keep` marks."""
        alarm = None if self.alarm is None else self.alarm[keep]
        return Prediction({k: v[keep] for k, v in self.probability.items()}, alarm)

    def names(self, task: str) -> list[str]:
        """The most probable label of each message."""
        return [LABELS[task][i] for i in self.probability[task].argmax(1)]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row by row."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    result: np.ndarray = e / e.sum(-1, keepdims=True)
    return result


def summary(examples: Sequence[Example], predicted: Prediction) -> dict[str, Any]:
    """The figures of one set of messages."""
    result: dict[str, Any] = {"messages": len(examples)}
    for task in LABELS:
        if task in predicted.probability:
            names = predicted.names(task)
            truth = accepted(examples, task, names)
            result[task] = {"macro_f1": macro_f1(truth, names), "per_class": per_class(truth, names)}
    if "severity" in result:
        result["severity"] |= _severity(examples, predicted)
    if predicted.alarm is not None:
        result["human_now"] = alarm_figures(np.array([e.human_now for e in examples]), predicted.alarm)
    right = np.array([n in (e.type, e.second) for n, e in zip(predicted.names("type"), examples, strict=True)])
    confidence = predicted.probability["type"].max(1)
    result["type"] |= {"accuracy": float(right.mean()), "ece": ece(confidence, right)}
    result["type"]["accuracy_at_coverage"] = at_coverage(confidence, right)
    return result


def accepted(examples: Sequence[Example], task: str, names: Sequence[str]) -> list[str]:
    """The labels; a second type that was answered counts as right."""
    if task != "type":
        return [str(getattr(e, task)) for e in examples]
    return [n if n == e.second else e.type for e, n in zip(examples, names, strict=True)]


def type_f1(examples: Sequence[Example], predicted: Prediction) -> float:
    """Macro-F1 of the type; the second label counts."""
    names = predicted.names("type")
    return macro_f1(accepted(examples, "type", names), names)


def per_class(truth: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and number of each label that occurs in the truth."""
    result = {}
    for label in sorted(set(truth)):
        hit = sum(t == n == label for t, n in zip(truth, names, strict=True))
        said, there = sum(n == label for n in names), sum(t == label for t in truth)
        precision = hit / said if said else 0.0
        result[label] = {
            "precision": precision,
            "recall": hit / there,
            "f1": 2 * hit / (said + there),
            "messages": there,
        }
    return result


def macro_f1(truth: Sequence[str], names: Sequence[str]) -> float:
    """The plain mean of the classes that occur."""
    return float(np.mean([c["f1"] for c in per_class(truth, names).values()]))


def _severity(examples: Sequence[Example], predicted: Prediction) -> dict[str, float]:
    truth = np.array([e.label("severity") for e in examples])
    said = predicted.probability["severity"].argmax(1)
    grave = truth >= 2
    return {
        "exact": float((truth == said).mean()),
        "within_one": float((abs(truth - said) <= 1).mean()),
        "high_or_critical_recall": float((said[grave] >= 2).mean()) if grave.any() else 1.0,
        "high_or_critical_precision": float(grave[said >= 2].mean()) if (said >= 2).any() else 1.0,
    }


def alarm_figures(truth: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of the alarm."""
    hit = float((truth & said).sum())
    precision = hit / said.sum() if said.any() else 1.0
    recall = hit / truth.sum() if truth.any() else 1.0
    f1 = 2 * hit / (said.sum() + truth.sum()) if hit else 0.0
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1), "messages": int(truth.sum())}


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins that hold equally many messages."""
    order = np.array_split(np.argsort(confidence), bins)
    gaps = [len(b) * abs(confidence[b].mean() - right[b].mean()) for b in order if len(b)]
    return float(sum(gaps) / len(confidence))


def at_coverage(confidence: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Accuracy of the surest 100, 85 and 70 per cent."""
    order = right[np.argsort(-confidence)]
    return {str(share): float(order[: max(1, round(len(order) * share / 100))].mean()) for share in (100, 85, 70)}


def rounded(value: Any, digits: int = 3) -> Any:
    """The figures for people: three digits."""
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v, digits) for v in value]
    return round(value, digits) if isinstance(value, float) else value
