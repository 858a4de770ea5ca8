"""Write what serving reads: ONNX graph, heads, tokenizer, figures. Needs the extra [train]."""

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nlu.train_data import LABELS, extra

MAX_TOKENS = 256
PREFIX = "query: "
ENCODER, HEADS, HEADS_META, METRICS = "encoder.int8.onnx", "heads.npz", "heads.json", "metrics.json"


def export(encoder: Any, tokenizer: Any, out_dir: Path) -> None:
    """The encoder with its pooling as int8 ONNX (`input_ids`, `attention_mask` → `embedding`), and the tokenizer."""
    torch = extra("torch")
    quantization = extra("onnxruntime.quantization")
    out_dir.mkdir(parents=True, exist_ok=True)
    encoder.config.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        given = Path(tokenizer.name_or_path) / name
        if given.is_file():  # as given: what is saved anew names classes of this transformers, and cuts as in training
            shutil.copyfile(given, out_dir / name)
    encoder.set_attn_implementation("eager")  # the other one is faster, and has no place in the graph
    sample = tokenizer(["query: hola", "query: se fue la luz"], padding=True, return_tensors="pt")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter announces its own retirement
        full = os.fspath(Path(folder) / "encoder.onnx")
        torch.onnx.export(
            _pooled(encoder),
            (sample["input_ids"], sample["attention_mask"]),
            full,
            input_names=["input_ids", "attention_mask"],
            output_names=["embedding"],
            dynamic_axes={k: {0: "n", 1: "tokens"} for k in ("input_ids", "attention_mask")} | {"embedding": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
        quantization.quantize_dynamic(
            full,
            os.fspath(out_dir / ENCODER),
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            reduce_range=True,  # without VNNI eight bits saturate: .983 of the meaning kept against .977
        )


def _pooled(encoder: Any) -> Any:
    torch = extra("torch")

    class Pooled(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is untyped: imported only when training
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return (hidden * mask).sum(1) / mask.sum(1)

    return Pooled().eval()


def write_heads(out_dir: Path, heads: Mapping[str, tuple[np.ndarray, np.ndarray]], *, name: str) -> None:
    """`heads.npz` with `{task}.w` and `{task}.b`, and an uncalibrated `heads.json`."""
    arrays: dict[str, Any] = {}
    about: dict[str, Any] = {}
    for task, (weight, bias) in heads.items():
        arrays[f"{task}.w"], arrays[f"{task}.b"] = weight.astype(np.float32), bias.astype(np.float32)
        about[task] = (
            {"labels": list(LABELS[task]), "temperature": 1.0, "kind": "softmax"}
            if task in LABELS
            else {"kind": "sigmoid", "threshold": 0.5, "temperature": 1.0}
        )
    np.savez(out_dir / HEADS, **arrays)
    meta = {"heads": about, "max_tokens": MAX_TOKENS, "prefix": PREFIX, "sure": 0.6, "name": name}
    (out_dir / HEADS_META).write_text(json.dumps(meta, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_metrics(out_dir: Path, figures: Mapping[str, Any]) -> None:
    """The held-out figures that the model card quotes."""
    (out_dir / METRICS).write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
