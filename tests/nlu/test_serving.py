"""A model over the rules: who wins where, what happens without one, and how strange directories are read."""

import asyncio
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from nlu import likeness
from nlu.classify import classify_lines
from nlu.model import MODELS, SHIPPED, ModelUnusable, load
from nlu.trim import head_and_tail, meaning
from nlu.understander import Reader, Settings, open_understander
from nlu.understanding import ACTS, SEVERITIES, TYPES, Embedding, Hint

HINT = Hint(now=datetime(2026, 11, 27, 10, 0, tzinfo=UTC))
WORDS = ["<unk>", "query", ":", "rojo", "verde", "azul", "hola", "urgente", "grave"]


# -- a small real model: ONNX is protobuf, and a handful of its fields is enough ---


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _int(field: int, value: int) -> bytes:
    return _number(field << 3) + _number(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return _number(field << 3 | 2) + _number(len(raw)) + raw


def _node(kind: str, inputs: list[str], output: str, axis: int | None = None) -> bytes:
    node = b"".join(_bytes(1, name) for name in inputs) + _bytes(2, output) + _bytes(4, kind)
    if axis is not None:
        node += _bytes(5, _bytes(1, "axes") + _int(8, axis) + _int(20, 7))
        node += _bytes(5, _bytes(1, "keepdims") + _int(3, 0) + _int(20, 2))
    return _bytes(1, node)


def _value(name: str, element: int, dims: list[str]) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, dim)) for dim in dims)
    return _bytes(1, name) + _bytes(2, _bytes(1, _int(1, element) + _bytes(2, shape)))


def onnx_of(table: np.ndarray, output: str) -> bytes:
    """A graph that takes the mean of the rows of `table` that the tokens name."""
    tensor = b"".join(_int(1, d) for d in table.shape) + _int(2, 1) + _bytes(8, "table")
    tensor += _bytes(9, table.astype("<f4").tobytes())
    graph = _node("Gather", ["table", "input_ids"], "rows") + _node("ReduceMean", ["rows"], output, axis=1)
    graph += _node("Identity", ["attention_mask"], "unused")
    graph += _bytes(2, "g") + _bytes(5, tensor)
    graph += _bytes(11, _value("input_ids", 7, ["n", "t"])) + _bytes(11, _value("attention_mask", 7, ["n", "t"]))
    graph += _bytes(12, _value(output, 1, ["n", "d"]))
    return _int(1, 8) + _bytes(7, graph) + _bytes(8, _int(2, 13))


def write_tokenizer(directory: Path) -> None:
    tokens = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped: Any = PreTrainedTokenizerFast
    wrapped(tokenizer_object=tokens, unk_token="<unk>").save_pretrained(directory)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Our layout: each word has its own direction, and the heads know what each means."""
    write_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "encoder.int8.onnx").write_bytes(onnx_of(np.eye(len(WORDS)) * 8, "embedding"))
    meant: Mapping[str, tuple[tuple[str, ...], dict[str, str]]] = {
        "type": (
            TYPES,
            {"rojo": "sugerencia", "verde": "queja", "azul": "otro", "hola": "reclamo", "grave": "reclamo"},
        ),
        "severity": (SEVERITIES, {"rojo": "low", "verde": "medium", "grave": "critical", "azul": "low"}),
        "act": (ACTS, {"rojo": "report", "verde": "report", "azul": "spam", "hola": "status"}),
    }
    arrays: dict[str, np.ndarray] = {}
    for name, (labels, table) in meant.items():
        weight = np.zeros((len(labels), len(WORDS)), np.float32)
        for word, label in table.items():
            weight[labels.index(label), WORDS.index(word)] = 3
        arrays[f"{name}.w"], arrays[f"{name}.b"] = weight, np.zeros(len(labels), np.float32)
    arrays["human_now.w"] = np.eye(len(WORDS), dtype=np.float32)[[WORDS.index("urgente")]] * 6
    arrays["human_now.b"] = np.array([-3], np.float32)
    np.savez(tmp_path / "heads.npz", **arrays)  # type: ignore[arg-type]  # numpy's stub mistakes **arrays for allow_pickle
    heads: dict[str, object] = {
        name: {"labels": labels, "temperature": 1.0, "kind": "softmax"} for name, (labels, _) in meant.items()
    }
    heads["human_now"] = {"kind": "sigmoid", "threshold": 0.5}
    about = {"heads": heads, "max_tokens": 16, "prefix": "query: ", "sure": 0.6, "name": "small"}
    (tmp_path / "heads.json").write_text(json.dumps(about))
    likeness.save(tmp_path, np.random.default_rng(1).normal(size=(80, len(WORDS))))
    return tmp_path


async def test_the_model_answers_and_says_so(own: Path) -> None:
    async with await open_understander(Settings(model=str(own))) as reader:
        understood = await reader.understand("rojo rojo", HINT)
        assert (understood.type, understood.severity, understood.act) == ("sugerencia", "low", "report")
        assert understood.source == reader.source == "model:small"
        assert understood.sure and understood.scores["sugerencia"] == understood.type_confidence
        assert reader.problem is None


async def test_a_neighbour_does_not_change_a_message(own: Path) -> None:
    async with await open_understander(Settings(model=str(own))) as reader:
        alone = await reader.understand("rojo", HINT)
        together = await asyncio.gather(*(reader.understand(t, HINT) for t in ("verde " * 9, "rojo", "azul")))
        assert together[1] == alone


async def test_the_model_never_overrules_the_safety_net_downward(own: Path) -> None:
    async with await open_understander(Settings(model=str(own))) as reader:
        understood = await reader.understand("azul azul azul: huele a gas", HINT)
        assert (understood.severity, understood.human_now, understood.act) == ("critical", True, "report")
        assert understood.type != "otro"


async def test_the_model_may_raise_what_the_rules_did_not_see(own: Path) -> None:
    async with await open_understander(Settings(model=str(own))) as reader:
        assert (await reader.understand("urgente rojo urgente", HINT)).human_now
        grave = await reader.understand("grave grave", HINT)
        assert (grave.severity, grave.human_now) == ("critical", True)


@pytest.mark.parametrize(
    ("text", "act"),
    [("persona", "human"), ("estado 7K3M9QX", "status"), ("sí", "affirm"), ("no me escriban más", "stop")],
)
async def test_firm_acts_of_the_rules_win(own: Path, text: str, act: str) -> None:
    async with await open_understander(Settings(model=str(own))) as reader:
        understood = await reader.understand(text, HINT)
        assert (understood.act, understood.source) == (act, "model:small")


async def test_the_threshold_can_be_set(own: Path) -> None:
    async with await open_understander(Settings(model=str(own), threshold=1.0)) as reader:
        assert not (await reader.understand("rojo rojo", HINT)).sure


async def test_vectors_have_length_one(own: Path) -> None:
    async with await open_understander(Settings(model=str(own))) as reader:
        vectors = await reader.embed(["rojo", "verde"])
        assert vectors is not None
        assert [pytest.approx(1.0, abs=1e-5)] * 2 == [float(np.linalg.norm(v)) for v in vectors]


async def test_a_message_and_its_vector_come_of_one_run(own: Path) -> None:
    async with await open_understander(Settings(model=str(own))) as reader:
        understood, again = [await reader.understand("rojo", HINT) for _ in range(2)]
        assert understood.embedding is not None and understood.embedding == again.embedding
        assert [list(understood.embedding.numbers)] == await reader.embed(["rojo"])
        assert understood.embedding.space.startswith("small:")
        assert (await reader.understand("   ", HINT)).embedding is None


@pytest.mark.parametrize("kept", ["nothing", "another encoder's"])
async def test_without_its_own_likeness_a_model_reads_and_gives_no_vectors(own: Path, kept: str) -> None:
    if kept == "nothing":
        (own / likeness.FILE).unlink()
    else:
        (own / likeness.ENCODER).write_bytes(onnx_of(np.eye(len(WORDS)) * 9, "embedding"))
    async with await open_understander(Settings(model=str(own))) as reader:
        understood = await reader.understand("rojo", HINT)
        assert (understood.source, understood.embedding) == ("model:small", None)
        assert await reader.embed(["rojo"]) is None


@pytest.mark.parametrize("settings", [Settings(model="no-such-model"), Settings(enabled=False)])
async def test_without_a_model_the_rules_answer(settings: Settings) -> None:
    async with await open_understander(settings) as reader:
        understood = await reader.understand("quiero que me devuelvan el dinero", HINT)
        assert (understood.type, understood.source, reader.source) == ("reclamo", "rules", "rules")
        assert await reader.embed(["hola"]) is None
        assert understood.embedding is None
        assert (reader.problem is None) is not settings.enabled


class Breaking:
    """Somebody's model that fails at every second message."""

    name, sure, urgent, grave, space = "breaking", 0.6, 0.5, 0.0, None

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, text: str) -> Mapping[str, Mapping[str, float]]:
        self.asked.append(threading.current_thread().name)
        if len(self.asked) % 2:
            raise RuntimeError("out of memory")
        return {"type": {"queja": 1.0}}

    def read_whole(self, text: str) -> tuple[Mapping[str, Mapping[str, float]], Embedding | None]:
        return self.read(text), None

    def embed(self, text: str) -> list[float] | None:
        raise RuntimeError("out of memory")


async def test_a_failing_model_stops_nothing_and_is_reported() -> None:
    model = Breaking()
    async with Reader(model) as reader:
        assert (await reader.understand("me devuelvan el dinero", HINT)).source == "rules"
        assert reader.problem is not None and "out of memory" in reader.problem
        assert (await reader.understand("me devuelvan el dinero", HINT)).source == "model:breaking"
        assert reader.problem is None
        assert await reader.embed(["x"]) is None
    assert all(name.startswith("nlu") for name in model.asked)


def test_another_directory_in_hugging_faces_layout(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    labels = {"0": "Complaint", "1": "Petición", "2": "suggestion", "3": "unheard of"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "id2label": labels}))
    table = np.zeros((len(WORDS), 4))
    table[WORDS.index("rojo")] = [9, 0, 0, 0]
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(onnx_of(table, "logits"))
    heads = load(tmp_path).read("rojo")
    assert heads["type"]["queja"] > 0.9
    assert set(heads["type"]) == {"queja", "peticion", "sugerencia"}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "no model directory"),
        ({"config.json": '{"id2label": {"0": "cat", "1": "dog"}}'}, "no label of"),
        ({"config.json": "{}", "heads.json": "{}"}, "lacks encoder.int8.onnx, heads.npz, tokenizer.json"),
    ],
)
def test_an_unusable_directory_says_what_is_missing(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ModelUnusable, match=sentence):
        load(tmp_path)


async def test_the_shipped_model_is_what_answers() -> None:
    if not (MODELS / SHIPPED / "heads.json").is_file():
        pytest.skip(f"{SHIPPED} has not been built yet")
    async with await open_understander(Settings()) as reader:
        understood = await reader.understand("el pedido llegó roto y quiero que me devuelvan el dinero", HINT)
        assert (understood.source, understood.type) == (f"model:{SHIPPED}", "reclamo")


async def test_classify_goes_on_after_a_bad_line() -> None:
    lines = ['{"id": 1, "text": "quiero que me devuelvan el dinero"}\n', "no json\n", "\n", '{"id": "x"}', "[1]",
             '{"id": 2, "text": ""}', '{"id": 3, "text": "' + "a" * 60_000 + '"}']  # fmt: skip
    async with await open_understander(Settings(enabled=False)) as reader:
        found = [json.loads(line) async for line in classify_lines(lines, reader)]
    assert [f["id"] for f in found] == [1, None, "x", None, 2, 3]
    assert ["error" in f for f in found] == [False, True, True, True, False, False]
    assert set(found[0]) == {
        "id", "language", "type", "type_confidence", "severity", "act", "human_now", "source",
    }  # fmt: skip


def test_long_mails_lose_what_carries_no_meaning() -> None:
    core = "El pedido llegó roto y nadie responde. " * 12
    mail = f"Buenos días,\n\n{core}\n\nSaludos cordiales\nAna Ruiz\nEste mensaje es confidencial y privado.\n> citado"
    assert meaning(mail) == core.strip()
    assert meaning("Hola, gracias") == "Hola, gracias"
    assert head_and_tail(list(range(100)), 8) == [0, 1, 2, 3, 4, 5, 98, 99]
