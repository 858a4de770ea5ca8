"""Fine-tune the text model: one encoder, four linear heads. Needs the extra [train]; serving does not."""

import copy
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlu.evaluate import figures
from nlu.train_calibrate import calibrate
from nlu.train_card import write_card
from nlu.train_data import LABELS, Example, extra, load, noisy, split
from nlu.train_export import MAX_TOKENS, PREFIX, export, write_heads, write_metrics
from nlu.train_scores import Prediction, rounded, summary

NAME = "acuse-pqrs-1"
SECOND = 0.35  # weight of the second type in the soft label
BATCH = 16
TASK_WEIGHT = {"type": 1.0, "severity": 0.8, "act": 0.6, "human_now": 0.8}


def train(
    data: Path,
    base_dir: Path,
    out_dir: Path,
    seed: int = 7,
    epochs: int = 5,
    progress: Callable[[str], None] = lambda line: None,
    *,
    limit: int | None = None,
) -> dict[str, Any]:
    """Train on `data` from the Hugging Face directory `base_dir`, write a model directory, return its held-out figures.

    `limit` takes only so many training messages (to try the machinery). Minutes of work: some 40 s per 1,000 messages
    and epoch on two cores.
    """
    torch = extra("torch")
    transformers = extra("transformers")
    torch.manual_seed(seed)
    parts = split(load(data))
    rng = random.Random(seed)  # noqa: S311 - noise and order, not a secret
    learn = parts.train if limit is None else rng.sample(parts.train, min(limit, len(parts.train)))
    progress(f"{len(learn)} to learn from, {len(parts.validation)} to tune, {len(parts.held_out)} held out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(base_dir)
    encoder = transformers.AutoModel.from_pretrained(
        base_dir, attn_implementation="eager", dtype=torch.float32, add_pooling_layer=False
    )
    net = _Net(tokenizer, encoder, _Heads(encoder.config.hidden_size))
    _fit(net, learn, parts.validation, epochs, rng, progress)
    progress("exporting")
    export(encoder, tokenizer, base_dir, out_dir)
    write_heads(out_dir, net.heads.arrays(), name=out_dir.name or NAME)
    calibrate(out_dir, parts.validation)
    progress("evaluating on the held-out part")
    result = figures(out_dir, parts.held_out, learn=[*learn, *parts.validation])
    write_metrics(out_dir, rounded(result))
    write_card(out_dir, out_dir.name or NAME, result, learned=len(learn))
    return result


class _Heads:
    """Four linear layers on the pooled embedding, with the losses that train them."""

    def __init__(self, width: int) -> None:
        torch = extra("torch")
        sizes = {**{task: len(names) for task, names in LABELS.items()}, "human_now": 1}
        self.layers = {task: torch.nn.Linear(width, n) for task, n in sizes.items()}
        self.weights: dict[str, Any] = {}

    def weigh(self, examples: Sequence[Example]) -> None:
        """Rare classes count more: the square root of how rare they are, bounded."""
        torch = extra("torch")
        for task in ("type", "severity", "act"):
            counts = np.bincount([e.label(task) for e in examples], minlength=len(LABELS[task])) + 1.0
            weight = np.clip(np.sqrt(counts.mean() / counts), 0.4, 3.0)
            self.weights[task] = torch.tensor(weight, dtype=torch.float32)
        positive = sum(e.human_now for e in examples) + 1
        self.weights["human_now"] = torch.tensor(min(4.0, math.sqrt((len(examples) - positive + 1) / positive) * 1.5))

    def loss(self, embedding: Any, batch: Sequence[Example]) -> Any:
        """The weighted sum over the tasks."""
        torch = extra("torch")
        total = 0.0
        for task in ("type", "severity", "act"):
            target = torch.tensor(np.stack([soft_label(e, task) for e in batch]), dtype=torch.float32)
            log_p = torch.log_softmax(self.layers[task](embedding), dim=-1)
            per = -(target * self.weights[task] * log_p).sum(-1)
            total = total + TASK_WEIGHT[task] * per.mean()
        alarm = torch.tensor([float(e.human_now) for e in batch])
        bce = torch.nn.functional.binary_cross_entropy_with_logits(
            self.layers["human_now"](embedding)[:, 0], alarm, pos_weight=self.weights["human_now"]
        )
        return total + TASK_WEIGHT["human_now"] * bce

    def state(self) -> dict[str, Any]:
        """The parameters as they are now."""
        return {task: layer.state_dict() for task, layer in self.layers.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take parameters that `state` gave earlier."""
        for task, layer in self.layers.items():
            layer.load_state_dict(state[task])

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
    smooth = 0.03
    return target * (1 - smooth) + smooth / len(target)


def _fit(
    net: "_Net",
    learn: Sequence[Example],
    validation: Sequence[Example],
    epochs: int,
    rng: random.Random,
    progress: Callable[[str], None],
) -> None:
    """Train until `epochs` are over or two in a row bring nothing, and go back to the best one."""
    net.heads.weigh(learn)
    optimizer, schedule = _optimizer(net, steps=epochs * math.ceil(len(learn) / BATCH))
    best, kept, worse = -1.0, net.state(), 0
    try:
        for epoch in range(1, epochs + 1):
            loss = _epoch(net, learn, optimizer, schedule, rng, progress)
            score = _score(net, validation)
            progress(f"epoch {epoch}/{epochs}: loss {loss:.3f}, validation {score:.3f}")
            if score > best:
                best, kept, worse = score, net.state(), 0
            else:
                worse += 1
            if worse == 2:
                progress("no better for two epochs: stopped")
                break
    except KeyboardInterrupt:
        if best < 0:
            raise
        progress("interrupted: the best epoch so far is kept")
    net.restore(kept)


def _optimizer(net: "_Net", steps: int) -> tuple[Any, Any]:
    """AdamW with a tenth of warm-up and a linear fall. The lower layers keep what they came with: a third less work."""
    torch = extra("torch")
    layers = net.encoder.encoder.layer
    for part in (net.encoder.embeddings, *layers[: len(layers) // 2]):
        part.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in net.encoder.parameters() if p.requires_grad], "lr": 1.5e-4},
            {"params": [p for layer in net.heads.layers.values() for p in layer.parameters()], "lr": 2e-3},
        ],
        weight_decay=0.01,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min((n + 1) / (0.1 * steps + 1), max(0.02, (steps - n) / (0.9 * steps)))
    )
    return optimizer, schedule


def _epoch(
    net: "_Net",
    learn: Sequence[Example],
    optimizer: Any,
    schedule: Any,
    rng: random.Random,
    progress: Callable[[str], None],
) -> float:
    """One pass over the messages; the mean loss. In fp32: bf16 is 25 times slower without AVX-512."""
    torch = extra("torch")
    net.encoder.train()
    losses = []
    for batch in _batches(learn, BATCH, rng):
        loss = net.heads.loss(net.embed([noisy(e.text, rng) for e in batch]), batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if len(losses) % 25 == 0:
            progress(f"  {len(losses) * BATCH} of {len(learn)} messages: loss {np.mean(losses[-25:]):.3f}")
    return float(np.mean(losses))


@dataclass
class _Net:
    """What is trained: the encoder with its tokenizer, and the heads."""

    tokenizer: Any
    encoder: Any
    heads: "_Heads"

    def embed(self, texts: Sequence[str]) -> Any:
        """Mean over the tokens that are text."""
        tokens = self.tokenizer(
            [PREFIX + t for t in texts], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        hidden = self.encoder(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(1) / mask.sum(1)

    def state(self) -> Any:
        """A copy of all parameters."""
        return copy.deepcopy((self.encoder.state_dict(), self.heads.state()))

    def restore(self, state: Any) -> None:
        """Take parameters that `state` gave earlier, and stop training."""
        self.encoder.load_state_dict(state[0])
        self.heads.restore(state[1])
        self.encoder.eval()


def _batches(examples: Sequence[Example], size: int, rng: random.Random) -> list[list[Example]]:
    """Batches of similar length in random order: padding is time."""
    order = sorted(examples, key=lambda e: len(e.text) * rng.uniform(0.7, 1.3))
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    rng.shuffle(batches)
    return batches


def _score(net: _Net, validation: Sequence[Example]) -> float:
    """Mean macro-F1 of the tasks on the validation part, in fp32."""
    torch = extra("torch")
    net.encoder.eval()
    logits: dict[str, list[np.ndarray]] = {task: [] for task in net.heads.layers}
    with torch.no_grad():
        for i in range(0, len(validation), 32):
            embedding = net.embed([e.text for e in validation[i : i + 32]])
            for task, layer in net.heads.layers.items():
                logits[task].append(layer(embedding).numpy())
    found = summary(validation, Prediction.of_logits({t: np.concatenate(v) for t, v in logits.items()}))
    return float(np.mean([*(found[task]["macro_f1"] for task in LABELS), found["human_now"]["f1"]]))
