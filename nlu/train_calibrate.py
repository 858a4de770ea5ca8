"""Temperatures, leanings and thresholds, fitted on the validation part with the int8 encoder that will serve."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from nlu.evaluate_predict import by_rules, predict
from nlu.train_data import LABELS, Example
from nlu.train_export import HEADS_META
from nlu.train_scores import alarm_figures, macro_f1, softmax

TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(5.0), 80))
RECALL = 0.98  # of the alarms that model and rules together must hear
ROOM = 0.5  # of the highest threshold that does: what is new is told with less certainty
PRECISION = 0.66  # that it should not fall below, for the same reason
GRAVE = 0.1  # what is less likely grave than this calls nobody: every alarm is high or critical (docs/labels.md)
ACCURACY = 0.92  # of the types that are given without asking
GRAVE_RECALL, WITHIN_ONE = 0.88, 0.96  # of severity, with the same room
LEANS = np.linspace(-0.5, 1.5, 9)  # how far high and critical may be favoured, in logits


def calibrate(out_dir: Path, validation: Sequence[Example]) -> None:
    """Rewrite heads.json with temperatures, the severity's leaning, the alarm's threshold, and when a type is sure.

    Whatever the file holds of these is replaced; calling it twice changes nothing.
    """
    file = out_dir / HEADS_META
    about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for head in about["heads"].values():
        head["temperature"] = 1.0
        head.pop("lean", None)
    file.write_text(json.dumps(about), encoding="utf-8")
    found = predict(out_dir, [e.text for e in validation]).probability
    logits = {task: np.log(np.clip(found[task], 1e-9, 1.0)) for task in LABELS}
    truth = {task: np.array([e.label(task) for e in validation]) for task in LABELS}
    for task in LABELS:
        about["heads"][task]["temperature"] = temperature(logits[task], truth[task])
    level = logits["severity"] / about["heads"]["severity"]["temperature"]
    lean = severity_lean(level, truth["severity"])
    about["heads"]["severity"]["lean"] = lean
    critical = (level + np.array(lean)).argmax(1) == len(lean) - 1
    possible = softmax(level + np.array(lean))[:, 2:].sum(1) >= GRAVE
    alarms = np.array([e.human_now for e in validation])
    rules = by_rules(validation).alarm
    anyway = critical if rules is None else critical | rules
    about["heads"]["human_now"] |= _alarm(found["human_now"], alarms, anyway, possible)
    p = softmax(logits["type"] / about["heads"]["type"]["temperature"])
    names = [LABELS["type"][i] for i in p.argmax(1)]
    right = np.array([n in (e.type, e.second) for n, e in zip(names, validation, strict=True)])
    about["sure"] = sure_threshold(p.max(1), right)
    file.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _alarm(chance: np.ndarray, alarm: np.ndarray, anyway: np.ndarray, possible: np.ndarray) -> dict[str, float]:
    chance = np.clip(chance, 1e-9, 1 - 1e-9)
    logit = np.log(chance / (1 - chance))
    t = temperature(np.stack([np.zeros_like(logit), logit], 1), alarm.astype(int))
    heard = np.where(possible, 1 / (1 + np.exp(-logit / t)), 0.0)
    return {"temperature": t, "threshold": round(ROOM * alarm_threshold(heard, alarm, anyway), 3), "grave": GRAVE}


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """What the logits are divided by, so that the labels become most likely."""

    def loss(t: float) -> float:
        p = softmax(logits / t)[np.arange(len(labels)), labels]
        return float(-np.log(np.clip(p, 1e-9, 1)).mean())

    return round(float(min(TEMPERATURES, key=loss)), 3)


def severity_lean(logits: np.ndarray, truth: np.ndarray) -> list[float]:
    """What is added to each level: the best macro-F1 among those that miss few grave cases and are seldom far off."""
    grave = truth >= 2

    def worth(lean: Sequence[float]) -> tuple[float, float]:
        said = (logits + np.array(lean)).argmax(1)
        recall = float((said[grave] >= 2).mean()) if grave.any() else 1.0
        near = float((abs(said - truth) <= 1).mean())
        lacking = max(0.0, GRAVE_RECALL - recall) + max(0.0, WITHIN_ONE - near)
        return -lacking, macro_f1([str(t) for t in truth], [str(s) for s in said])

    rows = [[0.0, round(medium, 2), round(high, 2), round(critical, 2)]
            for medium, high, critical in product(LEANS[:7:2], LEANS, LEANS)]  # fmt: skip
    return max(rows, key=worth)


def alarm_threshold(p: np.ndarray, alarm: np.ndarray, critical: np.ndarray | None = None) -> float:
    """The highest threshold that keeps RECALL of the alarms, never above one half nor under one fiftieth.

    `critical`: messages that call a person anyway. Where RECALL would cost PRECISION, the best recall within it.
    """
    if not alarm.any():
        return 0.5
    anyway = np.zeros_like(alarm) if critical is None else critical
    best, found = -1.0, 0.5
    for threshold in np.arange(0.5, 0.019, -0.005):
        figure = alarm_figures(alarm, (p >= threshold) | anyway)
        if figure["recall"] > best and (figure["precision"] >= PRECISION or best < 0):
            best, found = figure["recall"], float(threshold)
        if best >= RECALL:
            break
    return round(found, 3)


def sure_threshold(confidence: np.ndarray, right: np.ndarray) -> float:
    """The lowest confidence above which ACCURACY of the types are right; at most four in ten are asked back."""
    order = np.argsort(-confidence)
    running = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.nonzero(running >= ACCURACY)[0]
    covered = max(int(enough[-1]) if len(enough) else 0, int(0.6 * len(order)) - 1, 0)
    return round(float(confidence[order][covered]), 3)
