"""A company's own messages: the shipped model's heads move towards them, and stay only if that helped (issue 3, 2)."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlu.evaluate_predict import predict
from nlu.model import MODELS, SHIPPED, load
from nlu.train_data import BadData, Example
from nlu.train_data import load as load_examples
from nlu.train_heads import Weights, fitted, refit

DATA = Path(__file__).parents[2] / "nlu" / "data"


@pytest.fixture(scope="module")
def some() -> list[Example]:
    return random.Random(5).sample([e for e in load_examples(DATA) if len(e.text) < 60], 60)


def named(examples: list[Example], names: list[str]) -> list[Example]:
    return [replace(e, type=name, second=None) for e, name in zip(examples, names, strict=True)]


def test_what_a_company_calls_otherwise_is_learnt_and_written(some: list[Example], tmp_path: Path) -> None:
    """Here what carries no case is called praise and all else a suggestion: no doubt is left that fitting helps."""
    theirs = named(some, ["felicitacion" if e.type == "otro" else "sugerencia" for e in some])
    outcome = refit(theirs, tmp_path / "ours")
    assert outcome.better and outcome.sentence.startswith("Better on messages that the fit had not seen")
    assert outcome.figures["interval_95"][0] > 0
    said = predict(tmp_path / "ours", [e.text for e in theirs]).names("type")
    assert np.mean([name == e.type for name, e in zip(said, theirs, strict=True)]) > 0.85
    assert load(tmp_path / "ours").name == "ours"
    assert outcome.sentence in (tmp_path / "ours" / "README.md").read_text(encoding="utf-8")
    assert {f.name for f in (MODELS / SHIPPED).iterdir()} <= {f.name for f in (tmp_path / "ours").iterdir()}
    about = json.loads((tmp_path / "ours" / "heads.json").read_text(encoding="utf-8"))
    shipped = json.loads((MODELS / SHIPPED / "heads.json").read_text(encoding="utf-8"))
    assert 0 < about["sure"] < 1 and about["heads"]["type"]["temperature"] > 0
    assert about["heads"]["severity"] == shipped["heads"]["severity"]


def test_what_the_model_knows_already_is_not_called_better_and_not_written(some: list[Example], tmp_path: Path) -> None:
    shipped = predict(MODELS / SHIPPED, [e.text for e in some]).names("type")
    outcome = refit(named(some, shipped), tmp_path / "ours")
    assert not outcome.better and not (tmp_path / "ours").exists()
    assert outcome.figures["before"] == 1.0
    assert "No better than chance allows" in outcome.sentence or "Worse" in outcome.sentence


def test_labels_without_sense_are_not_called_better(some: list[Example], tmp_path: Path) -> None:
    shuffled = [e.type for e in some]
    random.Random(9).shuffle(shuffled)
    outcome = refit(named(some, shuffled), tmp_path / "ours")
    assert not outcome.better and not (tmp_path / "ours").exists()


def test_too_few_messages_are_refused_with_the_counts(some: list[Example], tmp_path: Path) -> None:
    with pytest.raises(BadData, match="too few to learn from: 20 messages"):
        refit(some[:20], tmp_path)
    with pytest.raises(BadData, match=r"\(otro 60\); at least 40 are needed, of at least two types 5 each"):
        refit(named(some, ["otro"] * 60), tmp_path)


def test_a_tight_pull_leaves_the_head_where_it_was_and_a_loose_one_lets_it_go() -> None:
    random_ = np.random.default_rng(1)
    x, target = random_.normal(size=(60, 8)), np.eye(6)[[0, 1] * 30]
    x[:, 0] = np.where(target[:, 0] > 0, 2.0, -2.0)
    prior = Weights(np.zeros((6, 8)), np.zeros(6))
    tight, loose = fitted(x, target, prior, 1e6), fitted(x, target, prior, 0.1)
    assert abs(tight.weight).max() < 0.01
    assert (loose.logits(x).argmax(1) == target.argmax(1)).all()
