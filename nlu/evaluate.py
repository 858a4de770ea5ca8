"""How good a model directory is on labelled messages, beside the baseline that it has to beat."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlu.model import load as load_model
from nlu.train_data import LABELS, Example, extra, load, noisy_all, split
from nlu.train_scores import Prediction, accepted, alarm_figures, macro_f1, rounded, summary, type_f1


def evaluate(
    model_dir: str | Path | None,
    data: Path,
    progress: Callable[[str], None] = lambda line: None,
    *,
    baseline: bool = True,
    everything: bool = False,
) -> dict[str, Any]:
    """Figures of a model (None: the shipped one) on the held-out part of `data`, as it is served.

    `baseline` trains TF-IDF on the rest (extra [train]); `everything` measures all of `data`, for messages that no
    training has seen.
    """
    examples = load(data)
    parts = split(examples)
    held_out = examples if everything else parts.held_out
    progress(f"{len(held_out)} of {len(examples)} messages are measured")
    learn = [*parts.train, *parts.validation] if baseline and not everything else []
    result: dict[str, Any] = rounded(figures(model_dir, held_out, learn=learn))
    return result


def predict(model_dir: str | Path | None, texts: Sequence[str]) -> Prediction:
    """What serving says of these texts, one at a time."""
    model = load_model(model_dir)
    read = [model.read(text) for text in texts]
    tasks = [task for task in LABELS if task in read[0]]
    p = {t: np.array([[heads[t].get(name, 0.0) for name in LABELS[t]] for heads in read]) for t in tasks}
    if "human_now" not in read[0]:
        return Prediction(p)
    chance = np.array([heads["human_now"]["human_now"] for heads in read])
    return Prediction({**p, "human_now": chance}, chance >= model.urgent)


def figures(model_dir: str | Path | None, held_out: Sequence[Example], learn: Sequence[Example] = ()) -> dict[str, Any]:
    """All figures of metrics.json. `learn` trains the baseline; empty leaves it out."""
    predicted = predict(model_dir, [e.text for e in held_out])
    result = summary(held_out, predicted)
    for name, key in (("by_language", "language"), ("by_genre", "genre"), ("by_channel", "channel")):
        result[name] = _by(held_out, predicted, key)
    noise = predict(model_dir, noisy_all([e.text for e in held_out]))
    result["noise"] = {"type_macro_f1": type_f1(held_out, noise)}
    if learn:
        result["baseline_tfidf"] = _tfidf(learn, held_out)
    return result


def _by(examples: Sequence[Example], predicted: Prediction, key: str) -> dict[str, dict[str, float]]:
    values = np.array([getattr(e, key) for e in examples])
    result = {}
    for value in sorted(set(values)):
        keep = values == value
        chosen = [e for e, k in zip(examples, keep, strict=True) if k]
        mine = predicted.part(keep)
        right = [n in (e.type, e.second) for n, e in zip(mine.names("type"), chosen, strict=True)]
        result[str(value)] = {
            "messages": len(chosen),
            "type_macro_f1": type_f1(chosen, mine),
            "type_accuracy": float(np.mean(right)),
        }
    return result


def _tfidf(learn: Sequence[Example], held_out: Sequence[Example]) -> dict[str, float]:
    """Words and character n-grams with logistic regression: what a model without pretraining would reach."""
    text, linear, pipeline = (extra(f"sklearn.{m}") for m in ("feature_extraction.text", "linear_model", "pipeline"))
    features = pipeline.make_union(
        text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    x, unseen = features.fit_transform([e.text for e in learn]), features.transform([e.text for e in held_out])
    result = {}
    for task in LABELS:
        model = linear.LogisticRegression(max_iter=2000, C=10, class_weight="balanced")
        names = list(model.fit(x, [getattr(e, task) for e in learn]).predict(unseen))
        result[f"{task}_macro_f1"] = macro_f1(accepted(held_out, task, names), names)
    model = linear.LogisticRegression(max_iter=2000, C=10, class_weight="balanced")
    said = model.fit(x, [e.human_now for e in learn]).predict(unseen)
    alarm = alarm_figures(np.array([e.human_now for e in held_out]), said)
    return result | {"human_now_precision": alarm["precision"], "human_now_recall": alarm["recall"]}
