"""Temperatures and thresholds, fitted on the validation part with the int8 encoder that will serve."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlu.evaluate import predict
from nlu.train_data import LABELS, Example
from nlu.train_export import HEADS_META
from nlu.train_scores import softmax

TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(5.0), 80))
RECALL = 0.95  # of the alarms that the human_now threshold must keep
ACCURACY = 0.92  # of the types that are given without asking


def calibrate(out_dir: Path, validation: Sequence[Example]) -> None:
    """Rewrite heads.json with temperatures, the alarm's threshold, and the confidence from which a type is sure.

    Whatever temperatures the file holds are replaced; calling it twice changes nothing.
    """
    file = out_dir / HEADS_META
    about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for head in about["heads"].values():
        head["temperature"] = 1.0
    file.write_text(json.dumps(about), encoding="utf-8")
    found = predict(out_dir, [e.text for e in validation]).probability
    logits = {task: np.log(np.clip(p, 1e-9, 1.0)) for task, p in found.items() if task in LABELS}
    for task in LABELS:
        labels = np.array([e.label(task) for e in validation])
        about["heads"][task]["temperature"] = _temperature(logits[task], labels)
    alarm = np.array([e.human_now for e in validation])
    chance = np.clip(found["human_now"], 1e-9, 1 - 1e-9)
    logit = np.log(chance / (1 - chance))
    t = _temperature(np.stack([np.zeros_like(logit), logit], 1), alarm.astype(int))
    threshold = alarm_threshold(1 / (1 + np.exp(-logit / t)), alarm)
    about["heads"]["human_now"] |= {"temperature": t, "threshold": threshold}
    p = softmax(logits["type"] / about["heads"]["type"]["temperature"])
    names = [LABELS["type"][i] for i in p.argmax(1)]
    right = np.array([n in (e.type, e.second) for n, e in zip(names, validation, strict=True)])
    about["sure"] = sure_threshold(p.max(1), right)
    file.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


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
