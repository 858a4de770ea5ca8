"""Fine-tune the text model: one encoder, four linear heads. Needs the extra [train]; serving does not."""

import copy
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlu.evaluate import figures
from nlu.train_calibrate import calibrate
from nlu.train_data import LABELS, Example, extra, load, noisy, split
from nlu.train_export import MAX_TOKENS, PREFIX, export, write_heads, write_metrics
from nlu.train_scores import Prediction, rounded, summary

NAME = "acuse-pqrs-1"
SECOND = 0.35  # weight of the second type in the soft label
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
    heads = _Heads(encoder.config.hidden_size)
    _fit(encoder, heads, tokenizer, learn, parts.validation, epochs, rng, progress)
    progress("exporting")
    export(encoder, tokenizer, base_dir, out_dir)
    write_heads(out_dir, heads.arrays(), name=out_dir.name or NAME)
    calibrate(out_dir, parts.validation)
    progress("evaluating on the held-out part")
    result = figures(out_dir, parts.held_out, learn=[*learn, *parts.validation])
    write_metrics(out_dir, rounded(result))
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


def pool(encoder: Any, batch: Any) -> Any:
    """Mean over the tokens that are text."""
    hidden = encoder(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


def _fit(
    encoder: Any,
    heads: _Heads,
    tokenizer: Any,
    learn: Sequence[Example],
    validation: Sequence[Example],
    epochs: int,
    rng: random.Random,
    progress: Callable[[str], None],
    *,
    batch_size: int = 16,
) -> None:
    torch = extra("torch")
    heads.weigh(learn)
    encoder.embeddings.word_embeddings.weight.requires_grad_(False)  # rare words keep the meaning they came with
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in encoder.parameters() if p.requires_grad], "lr": 1e-4},
            {"params": [p for layer in heads.layers.values() for p in layer.parameters()], "lr": 2e-3},
        ],
        weight_decay=0.01,
    )
    steps = epochs * math.ceil(len(learn) / batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min((n + 1) / (0.1 * steps + 1), max(0.02, (steps - n) / (0.9 * steps)))
    )
    best, best_state, worse = -1.0, None, 0
    for epoch in range(1, epochs + 1):
        encoder.train()
        losses = []
        for batch in _batches(learn, batch_size, rng):
            tokens = _tokens(tokenizer, [noisy(e.text, rng) for e in batch])
            loss = heads.loss(pool(encoder, tokens), batch)  # fp32: bf16 is 25 times slower without AVX-512
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        score = _score(encoder, heads, tokenizer, validation)
        progress(f"epoch {epoch}/{epochs}: loss {np.mean(losses):.3f}, validation {score:.3f}")
        if score > best:
            best, worse = score, 0
            best_state = copy.deepcopy((encoder.state_dict(), heads.state()))
        else:
            worse += 1
            if worse == 2:
                progress("no better for two epochs: stopped")
                break
    if best_state is not None:
        encoder.load_state_dict(best_state[0])
        heads.restore(best_state[1])
    encoder.eval()


def _batches(examples: Sequence[Example], size: int, rng: random.Random) -> list[list[Example]]:
    """Batches of similar length in random order: padding is time."""
    order = sorted(examples, key=lambda e: len(e.text) * rng.uniform(0.7, 1.3))
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    rng.shuffle(batches)
    return batches


def _tokens(tokenizer: Any, texts: Sequence[str]) -> Any:
    tokens = tokenizer(
        [PREFIX + t for t in texts], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
    )
    return {k: tokens[k] for k in ("input_ids", "attention_mask")}


def _score(encoder: Any, heads: _Heads, tokenizer: Any, validation: Sequence[Example]) -> float:
    """Mean macro-F1 of the tasks on the validation part, in fp32."""
    torch = extra("torch")
    encoder.eval()
    logits: dict[str, list[np.ndarray]] = {task: [] for task in heads.layers}
    with torch.no_grad():
        for i in range(0, len(validation), 32):
            embedding = pool(encoder, _tokens(tokenizer, [e.text for e in validation[i : i + 32]]))
            for task, layer in heads.layers.items():
                logits[task].append(layer(embedding).numpy())
    found = summary(validation, Prediction.of_logits({t: np.concatenate(v) for t, v in logits.items()}))
    return float(
        np.mean(
            [
                found["type"]["macro_f1"],
                found["severity"]["macro_f1"],
                found["act"]["macro_f1"],
                found["human_now"]["f1"],
            ]
        )
    )
