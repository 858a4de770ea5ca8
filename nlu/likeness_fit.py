"""Makes a model's `likeness.npz` and says how well alike messages find each other: python -m nlu.likeness_fit [model]

Fitted on messages that stand alone in their scenario, measured on those that do not: of one scenario means alike.
Where two scenarios happen to tell the same story, what is found counts as wrong; the figures are a lower bound.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlu import likeness
from nlu.model import MODELS, SHIPPED, Own
from nlu.train_data import Example, load

DATA = Path(__file__).parent / "data"
SHOWN = 3  # as many as an agent is shown
LARGEST = 10  # a scenario with more messages is a way of speaking ("no, thanks"), no happening
MESSAGES = 2000  # that the fit takes
_KIN = {"queja": "failed", "reclamo": "failed"}


class TooFew(ValueError):
    """Nothing can be fitted on so few messages; the text says how many there were."""


@dataclass(frozen=True)
class Found:
    """At one threshold: share of what is shown that is alike, of what is alike that is shown, of cases with any."""

    at_least: float
    precision: float
    recall: float
    shown: float


def main(directory: Path) -> None:
    """Fit, keep and print."""
    alone, together = parted(load(DATA))
    others = make(directory, alone)
    model = Own(directory)
    for found in measured(model, [*together, *others], [n / 100 for n in range(20, 75, 5)]):
        print(  # noqa: T201  this is the command's output
            f"at least {found.at_least:.2f}: precision {found.precision:.2f}, recall {found.recall:.2f},"
            f" something shown for {found.shown:.2f}"
        )


def make(directory: Path, alone: Sequence[Example]) -> list[Example]:
    """Fit on some of these reports and write likeness.npz into the model directory; as many that it has not seen.

    Raises TooFew, and writes nothing, where the directions of the encoder outnumber the reports.
    """
    model = Own(directory)
    order = np.random.default_rng(1).permutation(len(alone))
    vectors = vectors_of(model, [alone[n] for n in order[:MESSAGES]])
    if len(vectors) < 2 or len(vectors) < vectors.shape[1]:
        raise TooFew(f"{len(vectors)} reports are too few to make texts comparable")
    likeness.save(directory, vectors)
    return [alone[n] for n in order[MESSAGES : 2 * MESSAGES]]


def parted(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Reports that stand alone in their scenario, and those that share one."""
    reports = [one for one in examples if one.type != "otro"]
    count = Counter(one.scenario for one in reports)
    together = [one for one in reports if 2 <= count[one.scenario] <= LARGEST]
    return [one for one in reports if count[one.scenario] == 1], together


def vectors_of(model: Own, examples: Sequence[Example]) -> np.ndarray:
    """The encoder's own vectors."""
    return np.array([model.vector(one.text) for one in examples])


def measured(model: Own, examples: Sequence[Example], thresholds: Sequence[float]) -> list[Found]:
    """How well those of one scenario and kind find each other among all; the model must have its likeness."""
    assert model.likeness is not None
    numbers = np.array([model.likeness(one).numbers for one in vectors_of(model, examples)])
    kinds = np.array([_KIN.get(one.type, one.type) for one in examples])
    scenarios = np.array([one.scenario for one in examples])
    near = numbers @ numbers.T
    near[kinds[:, None] != kinds[None]] = -1
    np.fill_diagonal(near, -1)
    same = (scenarios[:, None] == scenarios[None]) & (near > -1)
    first = np.argsort(-near, axis=1)[:, :SHOWN]
    rows = np.arange(len(first))[:, None]
    hit, score = same[rows, first], near[rows, first]
    asked = same.any(axis=1)
    wanted = np.minimum(SHOWN, same.sum(axis=1))[asked].sum()
    found = []
    for at_least in thresholds:
        over = score >= at_least
        right = (hit & over)[asked].sum()
        precision = right / max(1, over[asked].sum())
        found.append(Found(at_least, float(precision), float(right / wanted), float(over[:, 0].mean())))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else MODELS / SHIPPED)
