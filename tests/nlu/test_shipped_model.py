"""The shipped model directory is whole, answers, and is as good as its card says."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlu.evaluate_predict import predict
from nlu.model import SHIPPED, ModelUnusable, calls_a_person, foreign_tokens, load, own_tokens
from nlu.train_data import LABELS, Example, split
from nlu.train_data import load as load_examples
from nlu.train_scores import Prediction, summary, type_f1

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "nlu" / "models" / SHIPPED
FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "encoder.int8.onnx", "heads.npz", "heads.json",
    "metrics.json", "README.md",
)  # fmt: skip


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MODEL / "metrics.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def held_out() -> list[Example]:
    return split(load_examples(ROOT / "nlu" / "data")).held_out


@pytest.fixture(scope="module")
def predicted(held_out: list[Example]) -> Prediction:
    return predict(MODEL, [e.text for e in held_out])


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_there(name: str) -> None:
    assert (MODEL / name).stat().st_size > 100


def test_the_files_stay_under_45_mb() -> None:
    assert sum(f.stat().st_size for f in MODEL.iterdir()) < 45e6


def test_the_heads_have_the_shapes_that_serving_expects() -> None:
    about = json.loads((MODEL / "heads.json").read_text(encoding="utf-8"))
    assert about["name"] == SHIPPED and about["prefix"] == "query: " and about["max_tokens"] == 256
    assert 0.2 < about["sure"] < 1.0 and 0.02 <= about["heads"]["human_now"]["threshold"] <= 0.5
    with np.load(MODEL / "heads.npz") as arrays:
        for task, labels in LABELS.items():
            assert tuple(about["heads"][task]["labels"]) == labels
            assert arrays[f"{task}.w"].shape == (len(labels), 384) and arrays[f"{task}.b"].shape == (len(labels),)
        assert arrays["human_now.w"].shape == (1, 384)


def test_the_held_out_figures_are_those_of_metrics_json(
    held_out: list[Example], predicted: Prediction, metrics: dict[str, Any]
) -> None:
    """Another CPU may round int8 otherwise: a few messages of difference are allowed."""
    found = summary(held_out, predicted)
    assert found["messages"] == metrics["messages"]
    for task in LABELS:
        assert found[task]["macro_f1"] == pytest.approx(metrics[task]["macro_f1"], abs=0.03), task
    for key in ("recall", "precision"):
        assert found["human_now"][key] == pytest.approx(metrics["human_now"][key], abs=0.04), key
    assert found["severity"]["within_one"] == pytest.approx(metrics["severity"]["within_one"], abs=0.02)


FLOORS = {"type": 0.81, "act": 0.67, "within_one": 0.94, "grave": 0.85, "alarm": 0.91}


def test_the_held_out_figures_stay_above_the_floor(held_out: list[Example], predicted: Prediction) -> None:
    found = summary(held_out, predicted)
    assert found["type"]["macro_f1"] >= FLOORS["type"]
    assert found["act"]["macro_f1"] >= FLOORS["act"]
    assert found["severity"]["within_one"] >= FLOORS["within_one"]
    assert found["severity"]["high_or_critical_recall"] >= FLOORS["grave"]
    assert found["human_now"]["recall"] >= FLOORS["alarm"]


def test_it_beats_words_alone(metrics: dict[str, Any]) -> None:
    assert metrics["type"]["macro_f1"] - metrics["baseline_tfidf"]["type_macro_f1"] >= 0.1


def test_each_language_is_served(held_out: list[Example], predicted: Prediction) -> None:
    for language in ("es", "en", "pt"):
        keep = np.array([e.language == language for e in held_out])
        mine = [e for e in held_out if e.language == language]
        assert type_f1(mine, predicted.part(keep)) >= FLOORS["type"] - 0.15, language


def test_the_same_text_gives_the_same_answer_whatever_came_before() -> None:
    text = "Se fue la luz y mi papá depende de un concentrador de oxígeno"
    model = load(MODEL)
    first = model.read(text)
    model.read("hola")
    assert model.read(text) == first == load(MODEL).read(text)


@pytest.mark.parametrize("name", ["encoder.int8.onnx", "heads.npz", "tokenizer.json"])
def test_a_directory_without_a_needed_file_is_refused(name: str, tmp_path: Path) -> None:
    for file in MODEL.iterdir():
        if file.name != name and file.suffix != ".onnx":
            shutil.copy(file, tmp_path)
    if name != "encoder.int8.onnx":
        (tmp_path / "encoder.int8.onnx").symlink_to(MODEL / "encoder.int8.onnx")
    with pytest.raises(ModelUnusable, match=name):
        load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "fue ayer en mi casa, quiero que me la cambien",
        "ayer en mi casa",
        "fue anoche en el restaurante",
        "en la noche, cuando llegué a mi casa",
        "fue en el hospital San José el jueves",
        "eso fue en el parqueadero",
        "mi mamá lo recibió en el apartamento",
        "me llegó ayer por la tarde a la casa",
        "it was yesterday at home, I want a replacement",
        "foi ontem na minha casa, quero a troca",
    ],
)
def test_an_ordinary_answer_to_our_question_alarms_nobody(text: str) -> None:
    """ "When and where was it?" is asked of everybody; whoever answers must not be told that somebody comes at once."""
    model = load(MODEL)
    assert not calls_a_person(model, model.read(text))


def test_no_alarm_where_the_other_head_takes_the_case_for_slight() -> None:
    """Every alarm is high or critical (docs/labels.md): two heads that contradict each other page nobody."""
    model = load(MODEL)
    slight = {"human_now": {"human_now": 0.3}, "severity": {"low": 0.5, "medium": 0.45, "high": 0.04, "critical": 0.01}}
    grave = {**slight, "severity": {"low": 0.3, "medium": 0.4, "high": 0.2, "critical": 0.1}}
    assert (calls_a_person(model, slight), calls_a_person(model, grave)) == (False, True)
    assert calls_a_person(model, {"human_now": {"human_now": 0.3}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hola",
        "¿Qué pasó con mi pedido Nº 48213?\n\nGracias 😡",
        "SE FUE LA LUZ!!!",
        "ação  ñandú\tx",
        "a b c " * 400,
    ],
)
def test_its_tokens_are_those_that_transformers_makes(text: str) -> None:
    """Which a start does not load: it takes a second and a half."""
    assert own_tokens(MODEL)("query: " + text) == foreign_tokens(MODEL)("query: " + text)


def test_a_start_loads_neither_transformers_nor_alembic() -> None:
    program = (
        "import asyncio, sys, main\n"
        "from nlu.understander import Settings, open_understander\n"
        "reader = asyncio.run(open_understander(Settings()))\n"
        "print(reader.source, *({'transformers', 'alembic', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"model:{SHIPPED}"]
