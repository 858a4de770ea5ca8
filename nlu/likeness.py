"""Vectors that can be compared: the encoder's own, freed of what its training made the same in all of them.

An encoder that learned types and severities puts every complaint beside every other. Whitened with what is common to
many messages (`likeness.npz` in the model's directory, made by `python -m nlu.likeness_fit`), what a message is about
comes out: of two that say the same, one finds the other.
"""

import logging
import zlib
from pathlib import Path

import numpy as np

from nlu.understanding import Embedding

FILE = "likeness.npz"
ENCODER = "encoder.int8.onnx"
log = logging.getLogger(__name__)


class Likeness:
    """Makes an encoder's vector comparable; `space` names the vectors that it may be compared with."""

    def __init__(self, mean: np.ndarray, matrix: np.ndarray, space: str) -> None:
        self._mean, self._matrix, self.space = mean, matrix, space

    def __call__(self, vector: np.ndarray) -> Embedding:
        """Of length one: the inner product of two is their cosine."""
        freed = (vector - self._mean) @ self._matrix
        numbers: list[float] = (freed / (float(np.linalg.norm(freed)) or 1.0)).tolist()
        return Embedding(tuple(numbers), self.space)


def load(directory: Path, name: str) -> Likeness | None:
    """What stands beside a model. None: there is none, or it was made for another encoder."""
    if not (directory / FILE).is_file():
        return None
    mark = mark_of(directory)
    with np.load(directory / FILE) as arrays:
        if int(arrays["encoder"]) != mark:
            log.warning("nlu: %s is of another encoder: no similar cases; python -m nlu.likeness_fit makes it", FILE)
            return None
        return Likeness(arrays["mean"].astype(np.float32), arrays["matrix"].astype(np.float32), f"{name}:{mark:08x}")


def fit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and whitening matrix of many messages' vectors [n, d]; n should be several times d."""
    mean = vectors.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov((vectors - mean).T))
    return mean, axes / np.sqrt(values + 0.01 * values.mean())  # the faintest axes are mostly noise


def save(directory: Path, vectors: np.ndarray) -> None:
    """Fit and keep it beside the encoder that gave the vectors."""
    mean, matrix = fit(vectors)
    scale = np.abs(matrix).max()  # only directions count; halves hold what is near one best
    np.savez_compressed(
        directory / FILE,
        mean=mean.astype(np.float32),
        matrix=(matrix / scale).astype(np.float16),
        encoder=np.asarray(mark_of(directory), dtype=np.int64),
    )


def mark_of(directory: Path) -> int:
    """A number that another encoder does not have."""
    return zlib.crc32((directory / ENCODER).read_bytes())
