"""Fit the heads of the shipped model to a company's own labelled messages: seconds, and no torch.

The shipped artefact is an int8 encoder, which cannot be trained further; its heads can. They are fitted anew on the
encoder's vectors, pulled towards what they were (a Gaussian prior around the shipped weights): few messages move them
a little, many move them far. Whether that helped is measured on messages that the fit had not seen, in five folds.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from nlu.evaluate_intervals import difference
from nlu.model import MODELS, SHIPPED, Own
from nlu.train_calibrate import sure_threshold, temperature
from nlu.train_data import LABELS, BadData, Example
from nlu.train_export import HEADS, HEADS_META, METRICS
from nlu.train_net import soft_label
from nlu.train_scores import accepted, macro_f1, rounded, softmax

FEWEST, FEWEST_A_TYPE = 40, 5
FOLDS = 5
PULLS = (0.3, 1.0, 3.0, 10.0, 100.0)  # towards the shipped weights, tried from free to tight
STEPS = 150


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    better: bool
    sentence: str
    figures: dict[str, Any]


@dataclass(frozen=True)
class Weights:
    """One head."""

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, x: np.ndarray) -> np.ndarray:
        """One row a message."""
        result: np.ndarray = x @ self.weight.T + self.bias
        return result


def refit(
    examples: Sequence[Example],
    out_dir: Path,
    progress: Callable[[str], None] = lambda line: None,
    model_dir: Path | None = None,
) -> Outcome:
    """Fit the type head; write a model directory to `out_dir` only if it is better beyond chance."""
    directory = model_dir or MODELS / SHIPPED
    _enough(examples)
    model = Own(directory)
    progress(f"reading {len(examples)} messages with {model.name}")
    x = np.stack([model.vector(e.text) for e in examples])
    about = json.loads((directory / HEADS_META).read_text(encoding="utf-8"))
    with np.load(directory / HEADS) as arrays:
        shipped = Weights(arrays["type.w"], arrays["type.b"])
    progress(f"fitting in {FOLDS} folds")
    after, pull = _cross_fitted(x, examples, shipped)
    outcome = _outcome(examples, _names(shipped.logits(x)), _names(after), model.name, pull)
    if outcome.better:
        right = np.array([n in (e.type, e.second) for n, e in zip(_names(after), examples, strict=True)])
        t = temperature(after, np.array([e.label("type") for e in examples]))
        about["heads"]["type"]["temperature"] = t
        about |= {"sure": sure_threshold(softmax(after / t).max(1), right), "name": out_dir.name}
        _write(directory, out_dir, about, fitted(x, _targets(examples), shipped, pull), outcome)
    return outcome


def _enough(examples: Sequence[Example]) -> None:
    counts = {name: sum(e.type == name for e in examples) for name in LABELS["type"]}
    enough = [name for name, n in counts.items() if n >= FEWEST_A_TYPE]
    if len(examples) < FEWEST or len(enough) < 2:
        found = ", ".join(f"{name} {n}" for name, n in counts.items() if n)
        raise BadData(
            f"too few to learn from: {len(examples)} messages ({found}); at least {FEWEST} are needed, of at least two "
            f"types {FEWEST_A_TYPE} each"
        )


def _cross_fitted(x: np.ndarray, examples: Sequence[Example], shipped: Weights) -> tuple[np.ndarray, float]:
    """The logits of each message by a fit that had not seen it, and the pull that did best.

    Within each fold the pull is chosen on the other folds alone, so that the figure stays honest.
    """
    fold = np.array([int(sha256(e.scenario.encode()).hexdigest(), 16) % FOLDS for e in examples])
    target = _targets(examples)
    logits = {pull: np.zeros((len(x), len(LABELS["type"]))) for pull in PULLS}
    for k in range(FOLDS):
        unseen = fold == k
        if unseen.all() or not unseen.any():
            continue
        for pull in PULLS:
            logits[pull][unseen] = fitted(x[~unseen], target[~unseen], shipped, pull).logits(x[unseen])
    result = np.zeros_like(logits[PULLS[0]])
    for k in range(FOLDS):
        others = fold != k
        result[fold == k] = logits[_best(logits, target, others)][fold == k]
    return result, _best(logits, target, np.ones(len(x), bool))


def _best(logits: dict[float, np.ndarray], target: np.ndarray, rows: np.ndarray) -> float:
    def loss(pull: float) -> float:
        return -float((target[rows] * np.log(softmax(logits[pull][rows]) + 1e-9)).sum(1).mean())

    return min(PULLS, key=loss)


def fitted(x: np.ndarray, target: np.ndarray, prior: Weights, pull: float) -> Weights:
    """Softmax regression with a Gaussian prior around `prior`; steps of full gradients with momentum.

    The vectors are centred first: they all share one large direction, which would make the steps tiny.
    """
    middle = x.mean(0)
    wide = np.concatenate([x - middle, np.ones((len(x), 1))], 1)
    start = np.concatenate([prior.weight, (prior.bias + prior.weight @ middle)[:, None]], 1).astype(np.float64)
    rate = 1.0 / (0.5 * float((wide**2).sum(1).mean()) + pull / len(x))
    weight, speed = start.copy(), np.zeros_like(start)
    for _ in range(STEPS):
        ahead = weight + 0.9 * speed
        slope = (softmax(wide @ ahead.T) - target).T @ wide / len(x) + pull / len(x) * (ahead - start)
        speed = 0.9 * speed - rate * slope
        weight = weight + speed
    return Weights(weight[:, :-1], weight[:, -1] - weight[:, :-1] @ middle)


def _targets(examples: Sequence[Example]) -> np.ndarray:
    return np.stack([soft_label(e, "type") for e in examples])


def _names(logits: np.ndarray) -> list[str]:
    return [LABELS["type"][i] for i in logits.argmax(1)]


def _outcome(examples: Sequence[Example], old: Sequence[str], new: Sequence[str], name: str, pull: float) -> Outcome:
    before = macro_f1(accepted(examples, "type", old), old)
    after = macro_f1(accepted(examples, "type", new), new)
    gap, (low, high) = difference(examples, old, new)
    better = low > 0
    told = f"type macro-F1 {before:.3f} → {after:.3f}, difference {gap:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
    verdict = "Better" if better else "Worse" if high < 0 else "No better than chance allows"
    figures = {"messages": len(examples), "before": before, "after": after, "difference": gap,
               "interval_95": [low, high], "fitted_from": name, "pull": pull}  # fmt: skip
    return Outcome(better, f"{verdict} on messages that the fit had not seen: {told}.", rounded(figures))


def _write(directory: Path, out_dir: Path, about: dict[str, Any], head: Weights, outcome: Outcome) -> None:
    out_dir.mkdir(parents=True, exist_ok=True)
    for file in directory.iterdir():
        if file.name not in (HEADS, HEADS_META, METRICS, "README.md") and file.is_file():
            shutil.copyfile(file, out_dir / file.name)
    with np.load(directory / HEADS) as arrays:
        whole = {name: arrays[name] for name in arrays.files}
    whole |= {"type.w": head.weight.astype(np.float32), "type.b": head.bias.astype(np.float32)}
    np.savez(out_dir / HEADS, **whole)
    (out_dir / HEADS_META).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out_dir / METRICS).write_text(json.dumps(outcome.figures, indent=1) + "\n", encoding="utf-8")
    name = outcome.figures["fitted_from"]
    (out_dir / "README.md").write_text(
        f"# {out_dir.name}\n\nThe type head of {name} fitted to {outcome.figures['messages']} messages of our\n"
        f"own (`acuse train`). {outcome.sentence}\nSeverity, act and alarm are those of {name}.\n",
        encoding="utf-8",
    )
