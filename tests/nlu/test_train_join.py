"""Retellings are found by meaning and joined, whatever file they stand in."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from nlu.train_data import Example, load
from nlu.train_join import RECORD, digest, joined, resembling, rewrite

LONG = "el pedido llegó roto y tarde otra vez"
ONE = Example(
    id="a-1", text=LONG, language="es", type="queja", second=None, severity="low", act="report", human_now=False,
    scenario="a-s1",
)  # fmt: skip


def several(*scenarios: str, text: str = LONG) -> list[Example]:
    return [replace(ONE, id=f"m{i}", scenario=s, text=f"{text} {i}") for i, s in enumerate(scenarios)]


def test_close_meanings_are_a_pair_and_distant_ones_are_not() -> None:
    vectors = np.array([[1, 0, 0], [0.99, 0.1, 0], [0, 1, 0], [0, 0, 1.0]])
    assert resembling(several("s1", "s2", "s3", "s4"), vectors) == [("m0", "m1")]


def test_short_notes_are_joined_only_when_they_are_nearly_the_same() -> None:
    """They resemble each other by their form: "no, gracias" and "nones, gracias" are two happenings."""
    vectors = np.array([[1, 0, 0], [0.9, 0.75, 0], [0, 1, 0], [-1, 0, 1.0]])
    assert resembling(several("s1", "s2", "s3", "s4"), vectors) == [("m0", "m1")]
    assert resembling(several("s1", "s2", "s3", "s4", text="no"), vectors) == []


def test_pairs_join_whole_scenarios_under_the_first_name() -> None:
    examples = several("b", "b", "a", "c", "d")
    found = joined(examples, [("m1", "m3"), ("m3", "m2")])
    assert found == {"m0": "a", "m1": "a", "m2": "a", "m3": "a", "m4": "d"}


def test_the_files_get_the_scenarios_and_the_record_tells_when_it_is_out_of_date(tmp_path: Path) -> None:
    rows = [{"id": e.id, "text": e.text, "type": "queja", "scenario": e.scenario} for e in several("b", "a")]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    rewrite(tmp_path, joined(load(tmp_path), [("m0", "m1")]), [("m0", "m1")])
    assert [e.scenario for e in load(tmp_path)] == ["a", "a"]
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["pairs"] == [["m0", "m1"]] and record["digest"] == digest(load(tmp_path))
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write(json.dumps({"text": "uno más", "type": "otro"}) + "\n")
    assert record["digest"] != digest(load(tmp_path))
