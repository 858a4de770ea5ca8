"""How good a model directory is on labelled messages, beside the baselines that it has to beat."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlu import evaluate_baselines as baselines
from nlu.evaluate_intervals import intervals
from nlu.evaluate_pictures import draw
from nlu.evaluate_predict import by_rules, of_model, served
from nlu.model import Model
from nlu.model import load as load_model
from nlu.train_card import write_card
from nlu.train_data import BadData, Example, load, split
from nlu.train_export import METRICS, write_metrics
from nlu.train_noise import noisy_all, typos_all, without_accents
from nlu.train_scores import Prediction, rounded, summary, type_f1
from nlu.train_vectors import vectors_of

Lines = Callable[[str], None]
LENGTHS = ((3, "1-3 words"), (10, "4-10 words"), (30, "11-30 words"), (60, "31-60 words"), (10**9, "over 60 words"))


def evaluate(
    model_dir: str | Path | None,
    data: Path,
    progress: Lines = lambda line: None,
    *,
    out_dir: Path | None = None,
    base_dir: Path | None = None,
    baseline: bool = True,
    everything: bool = False,
) -> dict[str, Any]:
    """Figures of a model (None: the shipped one) on the held-out part of `data`, as it is served.

    `baseline` trains TF-IDF on the rest (extra [train]); `base_dir`, a Hugging Face encoder, adds the frozen encoder
    and the figures with each genre left out. `everything` measures all of `data`: messages that no training has seen.
    `out_dir` gets metrics.json, the card and the pictures.
    """
    examples = load(data)
    parts = split(examples)
    held_out = examples if everything else parts.held_out
    if not held_out:
        raise BadData(f"{data} has no held-out messages: measure all of them with --all")
    progress(f"{len(held_out)} of {len(examples)} messages are measured")
    learn = [*parts.train, *parts.validation] if not everything else []
    vectors = _vectors(base_dir, examples, progress) if base_dir and learn else None
    model = load_model(model_dir)
    found = figures(model, held_out, learn if baseline else [], vectors, progress)
    result: dict[str, Any] = rounded(found | {"learned": 0 if everything else len(parts.train)})
    if out_dir:
        publish(out_dir, model, held_out, result)
        progress(f"{out_dir / METRICS}, the card and three pictures are written")
    return result


def publish(out_dir: Path, model: Model, held_out: Sequence[Example], result: Mapping[str, Any]) -> None:
    """Write metrics.json, the pictures and the card that quotes them."""
    out_dir.mkdir(parents=True, exist_ok=True)
    write_metrics(out_dir, result)
    pictures = draw(held_out, of_model(model, [e.text for e in held_out]), out_dir)
    write_card(out_dir, model.name, result, [p.name for p in pictures])


def figures(
    model: Model,
    held_out: Sequence[Example],
    learn: Sequence[Example] = (),
    vectors: Mapping[str, np.ndarray] | None = None,
    progress: Lines = lambda line: None,
) -> dict[str, Any]:
    """All figures of metrics.json. `learn` trains the baselines; without it they are left out."""
    predicted = of_model(model, [e.text for e in held_out])
    result = summary(held_out, predicted)
    result["interval_95"] = intervals(held_out, predicted)
    for key in ("language", "genre", "channel", "country"):
        result[f"by_{key}"] = _by(held_out, predicted, [getattr(e, key) for e in held_out])
    result["by_length"] = _by(held_out, predicted, [_length(e.text) for e in held_out])
    progress("with noise")
    result["noise"] = _noise(model, held_out)
    if "severity" in predicted.probability:
        progress("beside the rules")
        result["served"] = summary(held_out, served(model, held_out))
        result["rules_alone"] = summary(held_out, by_rules(held_out))
    if learn:
        progress("TF-IDF with a linear layer")
        result["baseline_tfidf"] = baselines.tfidf(learn, held_out)
    if learn and vectors is not None:
        progress("frozen encoder with a linear layer, whole and without each genre")
        result["baseline_frozen"] = baselines.frozen(learn, held_out, vectors)
        result["genre_left_out"] = baselines.genre_left_out(learn, held_out, vectors, progress)
    return result


def _vectors(base_dir: Path, examples: Sequence[Example], progress: Lines) -> dict[str, np.ndarray]:
    progress(f"reading {len(examples)} messages with {base_dir.name}, some minutes")
    found = vectors_of(base_dir, [e.text for e in examples])
    return {e.id: vector for e, vector in zip(examples, found, strict=True)}


def _noise(model: Model, examples: Sequence[Example]) -> dict[str, float]:
    """Type macro-F1 of the same messages, written carelessly."""
    texts = [e.text for e in examples]
    ways = {
        "type_macro_f1": noisy_all(texts),
        "without_accents": [without_accents(t) for t in texts],
        "capitals": [t.upper() for t in texts],
        "typos": typos_all(texts),
    }
    return {name: type_f1(examples, of_model(model, written)) for name, written in ways.items()}


def _length(text: str) -> str:
    words = len(text.split())
    return next(name for most, name in LENGTHS if words <= most)


def _by(examples: Sequence[Example], predicted: Prediction, values: Sequence[str]) -> dict[str, dict[str, float]]:
    result = {}
    for value in sorted(set(values)):
        keep = np.array([v == value for v in values])
        chosen = [e for e, k in zip(examples, keep, strict=True) if k]
        mine = predicted.part(keep)
        right = [n in (e.type, e.second) for n, e in zip(mine.names("type"), chosen, strict=True)]
        result[value] = {
            "messages": len(chosen),
            "type_macro_f1": type_f1(chosen, mine),
            "type_accuracy": float(np.mean(right)),
        }
    return result
