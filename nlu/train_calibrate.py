"""Temperatures and thresholds, fitted on the validation part with the int8 encoder that will serve."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlu.evaluate import embed, softmax
from nlu.train_data import LABELS, Example

TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(5.0), 80))
RECALL = 0.95  # of the alarms that the human_now threshold must keep
ACCURACY = 0.92  # of the types that are given without asking


def calibrate(
    out_dir: Path, heads: Mapping[str, tuple[np.ndarray, np.ndarray]], validation: Sequence[Example]
) -> dict[str, Any]:
    """What heads.json says beside the names: temperatures, the alarm's threshold, and when a type is sure."""
    embedding = embed(out_dir, [e.text for e in validation])
    logits = {task: embedding @ w.T + b for task, (w, b) in heads.items()}
    about: dict[str, Any] = {}
    for task, labels in LABELS.items():
        t = _temperature(logits[task], np.array([e.label(task) for e in validation]))
        about[task] = {"labels": list(labels), "temperature": t, "kind": "softmax"}
    alarm = np.array([e.human_now for e in validation])
    t = _temperature(np.hstack([np.zeros_like(logits["human_now"]), logits["human_now"]]), alarm.astype(int))
    p = 1 / (1 + np.exp(-logits["human_now"][:, 0] / t))
    about["human_now"] = {"kind": "sigmoid", "threshold": alarm_threshold(p, alarm), "temperature": t}
    probability = softmax(logits["type"] / about["type"]["temperature"])
    names = [LABELS["type"][i] for i in probability.argmax(1)]
    right = np.array([n in (e.type, e.second) for n, e in zip(names, validation, strict=True)])
    return {"heads": about, "sure": sure_threshold(probability.max(1), right)}


def _temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    def loss(t: float) -> float:
        p = softmax(logits / t)[np.arange(len(labels)), labels]
        return float(-np.log(np.clip(p, 1e-9, 1)).mean())

    return round(float(min(TEMPERATURES, key=loss)), 3)


def alarm_threshold(p: np.ndarray, alarm: np.ndarray) -> float:
    """The highest threshold that keeps RECALL of the alarms, never above one half nor under one tenth."""
    if not alarm.any():
        return 0.5
    ranked = np.sort(p[alarm])
    lowest = ranked[int(np.floor(len(ranked) * (1 - RECALL)))]
    return round(float(np.clip(lowest - 1e-3, 0.1, 0.5)), 3)


def sure_threshold(confidence: np.ndarray, right: np.ndarray) -> float:
    """The lowest confidence above which ACCURACY of the types are right; at most four in ten are asked back."""
    order = np.argsort(-confidence)
    running = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.nonzero(running >= ACCURACY)[0]
    covered = max(int(enough[-1]) if len(enough) else 0, int(0.6 * len(order)) - 1, 0)
    return round(float(confidence[order][covered]), 3)
