"""Serving of a text model: our own directory (encoder and heads apart), or any Hugging Face sequence classifier.

Blocking: call it from a thread of its own. One text per run: int8 takes its range over the batch, so that a neighbour
would change a message's label.
"""

import importlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nlu import likeness, spelling
from nlu.fold import plain
from nlu.trim import head_and_tail, meaning
from nlu.understanding import ACTS, SEVERITIES, TYPES, Embedding

MODELS = Path(__file__).parent / "models"
SHIPPED = "acuse-pqrs-3"
Heads = Mapping[str, Mapping[str, float]]  # head → label → probability
Tokens = Callable[[str], list[int]]

_SAME = {
    "petition": "peticion", "request": "peticion", "solicitud": "peticion", "solicitacao": "peticion",
    "pedido": "peticion",
    "complaint": "queja", "queixa": "queja", "claim": "reclamo", "reclamacao": "reclamo", "reclamacion": "reclamo",
    "suggestion": "sugerencia", "sugestao": "sugerencia", "praise": "felicitacion", "compliment": "felicitacion",
    "felicitaciones": "felicitacion", "agradecimiento": "felicitacion", "elogio": "felicitacion", "other": "otro",
    "outro": "otro", "none": "otro",
}  # fmt: skip


class ModelUnusable(Exception):
    """The model cannot answer; the sentence says what is missing and what to do."""


class Model(Protocol):
    """What reads a text."""

    name: str
    sure: float
    urgent: float  # from which probability `human_now` counts
    grave: float  # and from which probability of high or critical: two heads must not contradict each other

    @property
    def space(self) -> str | None:
        """Whose vectors `embed` gives; None: it gives none."""

    def read(self, text: str) -> Heads:
        """Probabilities per head (type; maybe severity, act, human_now)."""

    def read_whole(self, text: str) -> tuple[Heads, Embedding | None]:
        """The same with the text's embedding, from one run of the encoder."""

    def embed(self, text: str) -> list[float] | None:
        """A vector of length one, or None when the model has none to give."""


def load(model: str | Path | None) -> Model:
    """Load a directory, a name under nlu/models, a hub name known to this machine, or (None) the shipped one."""
    directory = _directory(model)
    if (directory / "heads.json").is_file():
        return Own(directory)
    return Foreign(directory, str(model))


def _directory(model: str | Path | None) -> Path:
    asked = SHIPPED if model is None else model
    for directory in (Path(asked).expanduser(), MODELS / str(asked)):
        if (directory / "config.json").is_file():
            return directory
    if model is not None and "/" in str(model) and not Path(model).is_absolute():
        return _cached(str(model))
    raise ModelUnusable(
        f"nlu.model: {MODELS / SHIPPED if model is None else asked} is no model directory (no config.json)"
    )


def _cached(name: str) -> Path:
    """A hub model that was downloaded before; nothing is fetched at run time."""
    try:
        found = importlib.import_module("huggingface_hub").snapshot_download(name, local_files_only=True)
    except Exception as why:  # the hub's errors have no common parent
        raise ModelUnusable(f"nlu.model: {name} is not on this machine; run `hf download {name}` once") from why
    return Path(found)


@dataclass(frozen=True)
class _Head:
    labels: tuple[str, ...]
    weight: np.ndarray
    bias: np.ndarray
    temperature: float
    sigmoid: bool
    lean: np.ndarray  # added to the tempered logits: severity leans to the grave side

    def __call__(self, vector: np.ndarray) -> dict[str, float]:
        logits = (self.weight @ vector + self.bias) / self.temperature + self.lean
        values = 1 / (1 + np.exp(-logits)) if self.sigmoid else _softmax(logits)
        return {label: float(value) for label, value in zip(self.labels, values, strict=True)}


def calls_a_person(model: Model, heads: Heads) -> bool:
    """Whether the model alone would alert a person at once: it hears an alarm and does not take the case for slight."""
    chance = heads.get("human_now", {}).get("human_now", 0.0)
    severity = heads.get("severity")
    grave = severity.get("high", 0.0) + severity.get("critical", 0.0) if severity else 1.0
    return chance >= model.urgent and grave >= model.grave


class Own:
    """Our layout: encoder.int8.onnx gives a vector, the heads in heads.npz turn it into labels."""

    def __init__(self, directory: Path) -> None:
        missing = [n for n in ("encoder.int8.onnx", "heads.npz", "tokenizer.json") if not (directory / n).is_file()]
        if missing:
            raise ModelUnusable(f"nlu.model: {directory} lacks {', '.join(missing)}")
        about = json.loads((directory / "heads.json").read_text(encoding="utf-8"))
        self.name: str = about["name"]
        self.sure: float = about.get("sure", 0.6)
        alarm = about["heads"].get("human_now", {})
        self.urgent: float = alarm.get("threshold", 0.5)
        self.grave: float = alarm.get("grave", 0.0)
        self._limit, self._prefix = int(about["max_tokens"]), str(about["prefix"])
        self._tokens, self._session = own_tokens(directory), session(directory / "encoder.int8.onnx")
        self._heads = _heads(directory / "heads.npz", about["heads"])
        self.likeness = likeness.load(directory, self.name)
        self._spelling = spelling.load(directory)

    def read(self, text: str) -> Heads:
        """Probabilities per head."""
        return self._labels(self.vector(text))

    def read_whole(self, text: str) -> tuple[Heads, Embedding | None]:
        """Probabilities, and where the text lies if this model can compare texts."""
        vector = self.vector(text)
        return self._labels(vector), self.likeness(vector) if self.likeness else None

    def embed(self, text: str) -> list[float] | None:
        """The text's vector, of length one; None if this model cannot compare texts."""
        return list(self.likeness(self.vector(text)).numbers) if self.likeness else None

    @property
    def space(self) -> str | None:
        """Whose vectors these are."""
        return self.likeness.space if self.likeness else None

    def _labels(self, vector: np.ndarray) -> Heads:
        return {name: head(vector) for name, head in self._heads.items()}

    def vector(self, text: str) -> np.ndarray:
        """What the heads read of a text."""
        read = meaning(text)
        return self._vector(self._spelling(read) if self._spelling else read)

    def _vector(self, text: str) -> np.ndarray:
        feed = _only(_feed(self._tokens, self._prefix + text, self._limit), {"input_ids", "attention_mask"})
        found: np.ndarray = self._session.run(["embedding"], feed)[0][0]
        return found


class Foreign:
    """Any sequence classifier: model.onnx or onnx/model.onnx, labels from config.json's id2label."""

    urgent = 0.5
    grave = 0.0
    sure = 0.6
    space = None

    def __init__(self, directory: Path, name: str) -> None:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        labels = {int(n): _known(str(label)) for n, label in config.get("id2label", {}).items()}
        self._labels = [labels[n] for n in sorted(labels)]
        if not any(label in TYPES for label in self._labels):
            raise ModelUnusable(f"nlu.model: no label of {name} is one of {', '.join(TYPES)} (config.json, id2label)")
        self.name = Path(name).name
        self._limit = min(256, int(config.get("max_position_embeddings", 258)) - 2)
        self._tokens = foreign_tokens(directory)
        self._logits = self._runner(directory, name)

    def read(self, text: str) -> Heads:
        """Probabilities of the types; labels that we do not know are left out and the rest fills up to one."""
        probabilities = _softmax(self._logits(_feed(self._tokens, meaning(text), self._limit)))
        found: dict[str, float] = {}
        for label, value in zip(self._labels, probabilities, strict=True):
            if label in TYPES:
                found[label] = found.get(label, 0.0) + float(value)
        whole = sum(found.values()) or 1.0
        return {"type": {label: value / whole for label, value in found.items()}}

    def read_whole(self, text: str) -> tuple[Heads, Embedding | None]:
        """Probabilities, and no embedding."""
        return self.read(text), None

    def embed(self, text: str) -> list[float] | None:
        """None: a classifier gives labels, not vectors."""
        return None

    def _runner(self, directory: Path, name: str) -> Any:
        for file in (directory / "model.onnx", directory / "onnx" / "model.onnx"):
            if file.is_file():
                onnx = session(file)
                wanted = {i.name for i in onnx.get_inputs()}
                return lambda feed: onnx.run(None, _only(feed, wanted))[0][0]
        return _with_torch(directory, name)


def _with_torch(directory: Path, name: str) -> Any:
    try:
        torch = importlib.import_module("torch")
    except ImportError as why:
        raise ModelUnusable(
            f"nlu.model: {name} has no model.onnx; export it (`optimum-cli export onnx`) or install torch"
        ) from why
    transformers = importlib.import_module("transformers")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(directory, local_files_only=True).eval()

    def run(feed: Mapping[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = model(**{k: torch.from_numpy(v) for k, v in feed.items()}).logits[0].numpy()
        return found

    return run


def own_tokens(directory: Path) -> Tokens:
    """By the library below transformers, which gives the same and spares a start a second and a half."""
    made = importlib.import_module("tokenizers").Tokenizer.from_file(str(directory / "tokenizer.json"))
    made.no_truncation()
    made.no_padding()
    return lambda text: list(made.encode(text).ids)


def foreign_tokens(directory: Path) -> Tokens:
    """Whatever tokenizer the directory names; transformers is told to be quiet about missing torch."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read at its import, which warns about torch
    made = importlib.import_module("transformers").AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return lambda text: list(made(text)["input_ids"])


def session(file: Path) -> Any:
    """One thread: two cores serve everything else too."""
    onnx = importlib.import_module("onnxruntime")
    options = onnx.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnx.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _feed(tokens: Tokens, text: str, limit: int) -> dict[str, np.ndarray]:
    ids = head_and_tail(tokens(text), limit)  # its marks stand first and last, and stay
    array = np.asarray([ids], dtype=np.int64)
    return {"input_ids": array, "attention_mask": np.ones_like(array), "token_type_ids": np.zeros_like(array)}


def _only(feed: Mapping[str, np.ndarray], wanted: set[str]) -> dict[str, np.ndarray]:
    return {name: value for name, value in feed.items() if name in wanted}


def _heads(file: Path, about: Mapping[str, Any]) -> dict[str, _Head]:
    allowed = {"type": TYPES, "severity": SEVERITIES, "act": ACTS}
    heads: dict[str, _Head] = {}
    with np.load(file) as arrays:
        for name, head in about.items():
            labels = tuple(head.get("labels", (name,)))
            if not set(labels) <= set(allowed.get(name, labels)):
                raise ModelUnusable(f"nlu.model: {file.parent} has unknown labels for {name}: {', '.join(labels)}")
            heads[name] = _Head(
                labels,
                arrays[f"{name}.w"],
                arrays[f"{name}.b"],
                float(head.get("temperature", 1.0)),
                head["kind"] == "sigmoid",
                np.asarray(head.get("lean", 0.0)),
            )
    return heads


def _known(label: str) -> str:
    folded = plain(label).strip()
    return _SAME.get(folded, folded)


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max())
    found: np.ndarray = e / e.sum()
    return found
