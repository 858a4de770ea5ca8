"""Meanings by an encoder that nobody trained: for joining retellings, and as the baseline. Needs the extra [train]."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nlu.train_data import extra
from nlu.train_net import Net


def vectors_of(base_dir: Path, texts: Sequence[str], size: int = 32) -> np.ndarray:
    """Meanings by the untrained base, of length one."""
    torch = extra("torch")
    net = Net.of(base_dir)
    net.encoder.eval()
    tokens = net.tokens(texts)
    order = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
    found: np.ndarray = np.zeros((len(texts), net.encoder.config.hidden_size), np.float32)
    with torch.no_grad():
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            found[chosen] = net.embed([tokens[i] for i in chosen]).numpy()
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found
