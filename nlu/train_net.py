"""What is trained: one encoder and four linear heads, with the losses that fit them. Needs the extra [train]."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlu.train_data import LABELS, Example, extra
from nlu.train_export import PREFIX
from nlu.train_scores import softmax

SECOND = 0.35  # weight of the second type in the soft label
SMOOTH = 0.03  # share of every soft label that goes to all classes
TASK_WEIGHT = {"type": 1.0, "severity": 0.8, "act": 0.7, "human_now": 0.8}
ORDER = 1.0  # weight of the ordinal part of the severity's loss
DROPOUT = 0.1
LEARN_TOKENS = 160  # of 7,400 messages two are longer; serving reads 256


class Heads:
    """Four linear layers on the pooled embedding, with the losses that train them."""

    def __init__(self, width: int) -> None:
        torch = extra("torch")
        sizes = {**{task: len(names) for task, names in LABELS.items()}, "human_now": 1}
        self.layers = {task: torch.nn.Linear(width, n) for task, n in sizes.items()}
        self._weights: dict[str, Any] = {}

    def weigh(self, examples: Sequence[Example]) -> None:
        """Rare classes count more: the square root of how rare they are, bounded."""
        torch = extra("torch")
        for task in LABELS:
            counts = np.bincount([e.label(task) for e in examples], minlength=len(LABELS[task])) + 1.0
            weight = np.clip(np.sqrt(counts.mean() / counts), 0.4, 3.0)
            self._weights[task] = torch.tensor(weight, dtype=torch.float32)
        positive = sum(e.human_now for e in examples) + 1
        self._weights["human_now"] = torch.tensor(min(4.0, math.sqrt((len(examples) - positive + 1) / positive) * 1.5))

    def loss(self, embedding: Any, batch: Sequence[Example]) -> Any:
        """The weighted sum over the tasks, one number a message."""
        torch = extra("torch")
        total = 0.0
        for task in LABELS:
            target = torch.tensor(np.stack([soft_label(e, task) for e in batch]), dtype=torch.float32)
            log_p = torch.log_softmax(self.layers[task](embedding), dim=-1)
            per = -(target * self._weights[task] * log_p).sum(-1)
            if task == "severity":  # two steps off is worse than two neighbours of one step
                gap = (log_p.exp() - target).cumsum(-1)
                per = per + ORDER * (gap**2).sum(-1) * (target * self._weights[task]).sum(-1)
            total = total + TASK_WEIGHT[task] * per
        alarm = torch.tensor([float(e.human_now) for e in batch])
        bce = torch.nn.functional.binary_cross_entropy_with_logits(
            self.layers["human_now"](embedding)[:, 0], alarm, pos_weight=self._weights["human_now"], reduction="none"
        )
        return total + TASK_WEIGHT["human_now"] * bce

    def parameters(self) -> list[Any]:
        """Of all four layers."""
        return [p for layer in self.layers.values() for p in layer.parameters()]

    def arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Weight and bias of each head."""
        return {
            task: (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
            for task, layer in self.layers.items()
        }


def soft_label(example: Example, task: str) -> np.ndarray:
    """The label as a distribution: the second type has its share, and severity leaks to its neighbours.

    Two people agree on severity within one step far more often than exactly; a target that says so keeps the model
    from being certain where nobody is.
    """
    target = np.full(len(LABELS[task]), 0.0)
    index = example.label(task)
    target[index] = 1.0
    if task == "type" and example.second:
        target[index] = 1.0 - SECOND
        target[LABELS["type"].index(example.second)] += SECOND
    if task == "severity":
        neighbours = [i for i in (index - 1, index + 1) if 0 <= i < len(target)]
        target[index] = 0.9
        for i in neighbours:
            target[i] = 0.1 / len(neighbours)
    return target * (1 - SMOOTH) + SMOOTH / len(target)


@dataclass
class Net:
    """The encoder with its tokenizer, and the heads."""

    tokenizer: Any
    encoder: Any
    heads: Heads

    @classmethod
    def of(cls, base_dir: Path) -> "Net":
        """From a Hugging Face directory: a bare encoder, or a sequence classifier, whose own head is left behind."""
        torch, transformers = extra("torch"), extra("transformers")
        tokenizer = transformers.AutoTokenizer.from_pretrained(base_dir)
        config = transformers.AutoConfig.from_pretrained(base_dir)
        for name, share in (("hidden_dropout_prob", DROPOUT), ("attention_probs_dropout_prob", 0.0)):
            if hasattr(config, name):
                setattr(config, name, share)  # attention's dropout costs a third of the time and brings nothing
        encoder = transformers.AutoModel.from_pretrained(base_dir, config=config, dtype=torch.float32)
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # the mean over the tokens is what the heads read
        return cls(tokenizer, encoder, Heads(encoder.config.hidden_size))

    def layers(self) -> list[Any]:
        """The encoder's layers from below; empty when it is built otherwise than BERT and its kin."""
        inner = getattr(self.encoder, "encoder", None) or getattr(self.encoder, "transformer", None)
        return list(getattr(inner, "layer", ()))

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Each text's token ids."""
        found: list[list[int]] = self.tokenizer([PREFIX + t for t in texts], truncation=True, max_length=LEARN_TOKENS)[
            "input_ids"
        ]
        return found

    def embed(self, tokens: Sequence[Sequence[int]]) -> Any:
        """Mean over the tokens that are text."""
        torch = extra("torch")
        longest = max(map(len, tokens))
        pad = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[*t, *[pad] * (longest - len(t))] for t in tokens])
        mask = torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t in tokens])
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weight).sum(1) / weight.sum(1)

    def parameters(self) -> list[Any]:
        """All that may change, in a fixed order."""
        return [p for p in self.encoder.parameters() if p.requires_grad] + self.heads.parameters()

    def state(self) -> list[Any]:
        """A copy of them."""
        return [copy.deepcopy(p.detach()) for p in self.parameters()]

    def restore(self, state: Sequence[Any]) -> None:
        """Take values that `state` gave earlier."""
        for parameter, value in zip(self.parameters(), state, strict=True):
            parameter.data.copy_(value)

    def probabilities(self, texts: Sequence[str], size: int = 32) -> dict[str, np.ndarray]:
        """What the heads say, uncalibrated, in fp32."""
        torch = extra("torch")
        self.encoder.eval()
        tokens = self.tokens(texts)
        order = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
        logits = {task: np.zeros((len(texts), layer.out_features)) for task, layer in self.heads.layers.items()}
        with torch.no_grad():
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                embedding = self.embed([tokens[i] for i in chosen])
                for task, layer in self.heads.layers.items():
                    logits[task][chosen] = layer(embedding).numpy()
        chance = 1 / (1 + np.exp(-logits["human_now"][:, 0]))
        return {**{task: softmax(logits[task]) for task in LABELS}, "human_now": chance}
