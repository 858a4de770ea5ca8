"""The evaluation: intervals that mean something, pictures, the card out of the figures, and the two commands."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from main import app
from nlu.evaluate import evaluate
from nlu.evaluate_intervals import difference, intervals
from nlu.evaluate_pictures import draw
from nlu.train_data import LABELS, Example, load
from nlu.train_scores import Prediction, summary

DATA = Path(__file__).parents[2] / "nlu" / "data"
ONE = Example(
    id="1", text="x", language="es", type="queja", second=None, severity="low", act="report", human_now=False,
    scenario="1",
)  # fmt: skip
TYPES = LABELS["type"]


def answers(*names: str) -> Prediction:
    """Certain answers to the type; everything else as in ONE."""
    n = len(names)
    p = {"type": np.full((n, 6), 0.02), "severity": np.eye(4)[[0] * n], "act": np.eye(11)[[0] * n]}
    for row, name in enumerate(names):
        p["type"][row, TYPES.index(name)] = 0.9
    return Prediction(p, np.zeros(n, bool))


def labelled(*names: str, tellings: int = 1) -> list[Example]:
    return [replace(ONE, id=str(i), type=name, scenario=str(i // tellings)) for i, name in enumerate(names)]


def test_an_interval_holds_the_figure_and_is_narrower_with_more_messages() -> None:
    few, many = ["queja", "otro"] * 15, ["queja", "otro"] * 150
    wrong = dict.fromkeys(range(0, 300, 5), "reclamo")
    wide, narrow = (
        intervals(labelled(*names), answers(*(wrong.get(i, n) for i, n in enumerate(names)))) for names in (few, many)
    )
    found = summary(labelled(*few), answers(*(wrong.get(i, n) for i, n in enumerate(few))))
    assert wide["type_macro_f1"][0] < found["type"]["macro_f1"] < wide["type_macro_f1"][1]
    assert wide["type_accuracy"][0] < 0.8 < wide["type_accuracy"][1]
    assert narrow["type_accuracy"][1] - narrow["type_accuracy"][0] < 0.5 * (
        wide["type_accuracy"][1] - wide["type_accuracy"][0]
    )


def test_retellings_of_one_happening_count_as_one_piece_of_evidence() -> None:
    """Ten tellings that are wrong together say less than ten happenings that are."""
    names = ["queja"] * 100
    said = answers(*(["otro"] * 50 + ["queja"] * 50))
    apart, together = (intervals(labelled(*names, tellings=n), said)["type_accuracy"] for n in (1, 10))
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])


def test_a_difference_is_sure_only_when_its_interval_leaves_zero_out() -> None:
    truth = ["queja", "otro"] * 60
    bad = ["otro" if i % 3 == 0 else n for i, n in enumerate(truth)]
    gap, (low, high) = difference(labelled(*truth), bad, truth)
    assert 0 < low < gap < high
    gap, (low, high) = difference(labelled(*truth), bad, bad)
    assert gap == low == high == 0
    other = ["otro" if i % 3 == 1 else n for i, n in enumerate(truth)]
    low, high = difference(labelled(*truth), bad, other)[1]
    assert low < 0 < high


def test_the_pictures_are_drawn_and_name_what_they_show(tmp_path: Path) -> None:
    examples = labelled(*TYPES * 4)
    files = draw(examples, answers(*TYPES * 4), tmp_path)
    assert [f.name for f in files] == ["confusion.svg", "reliability.svg", "coverage.svg"]
    drawn = files[0].read_text(encoding="utf-8")
    assert drawn.startswith("<svg") and all(name in drawn for name in TYPES)
    assert "confidence" in files[1].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the messages, as somebody's own file."""
    file = tmp_path_factory.mktemp("few") / "few.jsonl"
    chosen = [e for e in load(DATA) if len(e.text) < 80][::250]
    keys = ("id", "text", "language", "type", "second", "severity", "act", "human_now", "scenario", "genre")
    file.write_text("".join(json.dumps({k: getattr(e, k) for k in keys}) + "\n" for e in chosen))
    return file


def test_all_figures_are_there_and_the_card_quotes_them(few: Path, tmp_path: Path) -> None:
    told: list[str] = []
    found = evaluate(None, few, told.append, out_dir=tmp_path, baseline=False, everything=True)
    assert told[0] == f"{found['messages']} of {found['messages']} messages are measured"
    assert found == json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    for part in ("language", "genre", "channel", "country", "length"):
        assert sum(c["messages"] for c in found[f"by_{part}"].values()) == found["messages"], part
    assert set(found["noise"]) == {"type_macro_f1", "without_accents", "capitals", "typos"}
    assert found["served"]["human_now"]["recall"] >= found["human_now"]["recall"]  # the rules only add alarms
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    low, high = found["interval_95"]["type_macro_f1"]
    assert f"{found['type']['macro_f1']:.3f} [{low:.3f}, {high:.3f}]" in card
    assert "key words and patterns" in card and "TF-IDF" not in card


def test_the_command_measures_one_s_own_file_whole(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlu.evaluate.baselines.tfidf", lambda *_: pytest.fail("nobody learned from these"))
    ran = CliRunner().invoke(app, ["evaluate", "acuse-pqrs-3", str(few)])
    assert ran.exit_code == 0, ran.output
    assert "type, macro-F1 with noise" in ran.output and "human_now, recall" in ran.output


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["evaluate", "no-such-model"], "is no model directory"),
        (["evaluate", "acuse-pqrs-3", "none.csv"], "none.csv cannot be read"),
        (["train"], "Give your labelled messages"),
        (["train", "none.csv"], "none.csv cannot be read"),
        (["train", "--base", "nowhere"], "is no Hugging Face directory"),
    ],
)
def test_what_can_be_mended_is_one_sentence(words: list[str], fault: str) -> None:
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 2
    assert fault in ran.output and len(ran.output.splitlines()) <= 2
    assert "Traceback" not in ran.output


if importlib.util.find_spec("sklearn"):  # the extra [train]

    def test_leaving_a_genre_out_costs_what_only_that_genre_shows() -> None:
        from nlu.evaluate_baselines import frozen, genre_left_out

        rng = np.random.default_rng(1)
        examples, vectors = [], {}
        for i in range(240):
            genre, kind = ("tweet", "email")[i % 2], ("queja", "otro")[i // 2 % 2]
            sign = (1 if kind == "queja" else -1) * (1 if genre == "email" else -1)  # tweets turn the meaning round
            direction = np.array([sign * 3.0, (genre == "tweet") * 6.0, sign * (genre == "tweet") * 3.0])
            examples.append(replace(ONE, id=str(i), type=kind, genre=genre, human_now=i % 9 == 0,
                                    act=("report", "status")[i % 2], severity=("low", "high")[i // 2 % 2]))  # fmt: skip
            vectors[str(i)] = direction + rng.normal(size=3) * 0.3
        found = genre_left_out(examples[:160], examples[160:], vectors, lambda line: None)
        assert set(found) == {"tweet", "email"} and found["tweet"]["messages"] == 40
        assert found["tweet"]["left_out_accuracy"] < 0.2
        assert frozen(examples[:160], examples[160:], vectors)["type_macro_f1"] > 0.5
