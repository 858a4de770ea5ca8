"""The training loop: batches by length, warm-up and cosine, an average of the weights, early stop, resuming."""

import hashlib
import math
import pickle
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nlu.train_data import LABELS, Example, extra
from nlu.train_net import Net
from nlu.train_noise import noisy
from nlu.train_scores import Prediction, summary
from nlu.trim import meaning

BATCH, BATCH_TOKENS = 16, 512  # messages at most, padded tokens at most: many small steps get furthest in the time
EVEN = 16  # messages that a step counts for, so that a message weighs the same in a long and in a short batch
RATE, HEAD_RATE, DECAY = 2e-4, 2e-3, 0.9  # learning rates at the top and of the heads; factor a layer downwards
WARM_UP = 0.1
AVERAGE = 0.995  # how much of the average stays at a step
PATIENCE = 2  # epochs without gain
FROZEN = 1 / 6  # of the layers, from below; a half saves a third of the time and costs a point
SAVED = "training.pt"


@dataclass
class Run:
    """What a cut-off training needs to go on."""

    steps: int = 0
    epoch: int = 0
    seconds: float = 0.0
    best: float = -1.0
    worse: int = 0
    kept: list[Any] = field(default_factory=list)
    average: list[Any] = field(default_factory=list)


@dataclass
class Loop:
    """Fits a net; everything random comes from `rng` and torch's seed.

    With `minutes` the rates fall with the time that is used up, if that is faster than the steps: on a busy machine
    fewer steps are made, and the training still comes to rest. Without, the same seed gives the same model.
    """

    net: Net
    learn: Sequence[Example]
    validation: Sequence[Example]
    epochs: int
    rng: random.Random
    progress: Callable[[str], None]
    saved: Path
    read: Callable[[str], str] = meaning  # what serving makes of a text before the encoder has it
    minutes: float | None = None
    clock: Callable[[], float] = time.monotonic

    def run(self) -> None:
        """Train until the epochs are over or two in a row bring nothing; the net is then the best one."""
        freeze(self.net)
        self.net.heads.weigh(self.learn)
        self._each = sum(1 for _ in self._batches())
        self._optimizer = optimizer(self.net)
        self._state = self._resumed() or Run(average=self.net.state())
        try:
            while self._spent() < 1 and self._state.worse < PATIENCE:
                self._epoch()
                self._look()
                self._save()
        except KeyboardInterrupt:
            if not self._state.kept:
                raise
            self.progress("interrupted: the best epoch so far is kept")
        self.net.restore(self._state.kept)
        self.net.encoder.eval()
        self.saved.unlink(missing_ok=True)

    def _epoch(self) -> None:
        """One pass over the messages, in fp32: bf16 is 25 times slower without AVX-512."""
        torch = extra("torch")
        self.net.encoder.train()
        losses, state = [], self._state
        before = self.clock()
        for done, (tokens, batch) in enumerate(self._batches(), 1):
            spent = self._spent()
            if spent >= 1:
                break
            for group in self._optimizer.param_groups:
                group["lr"] = group["top"] * pace(spent)
            loss = self.net.heads.loss(self.net.embed(tokens), batch).sum() / EVEN
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self._optimizer.step()
            state.steps += 1
            keep = min(AVERAGE, (1 + state.steps) / (10 + state.steps))
            with torch.no_grad():
                torch._foreach_lerp_(state.average, [p.data for p in self.net.parameters()], 1 - keep)
            losses.append(float(loss.detach()) * EVEN / len(batch))
            state.seconds, before = state.seconds + self.clock() - before, self.clock()
            if done % 50 == 0:
                left = state.seconds * (1 / self._spent() - 1)
                self.progress(f"  epoch {state.epoch + 1}: {done}/{self._each} batches, loss "
                              f"{np.mean(losses[-50:]):.3f}, {left / 60:.0f} min left at most")  # fmt: skip
        state.epoch += 1

    def _spent(self) -> float:
        """The share of the training that is behind us, by epochs and steps or by time."""
        by_steps = max(self._state.steps / (self.epochs * self._each), self._state.epoch / self.epochs)
        return max(by_steps, self._state.seconds / 60 / self.minutes) if self.minutes else by_steps

    def _look(self) -> None:
        """Measure the average of the weights, and keep it if it is the best so far."""
        state, own = self._state, self.net.state()
        self.net.restore(state.average)
        score, told = judge(self.net, self.validation, self.read)
        self.net.restore(own)
        self.progress(f"epoch {state.epoch}/{self.epochs}: validation {score:.3f} ({told})")
        if score > state.best:
            state.best, state.worse, state.kept = score, 0, [p.clone() for p in state.average]
        else:
            state.worse += 1

    def _batches(self) -> Iterator[tuple[list[list[int]], list[Example]]]:
        """Batches of messages of similar length, in random order, each message freshly noisy."""
        texts = [self.read(noisy(e.text, self.rng)) for e in self.learn]
        tokens = self.net.tokens(texts)
        batches = by_length([len(t) for t in tokens], self.rng)
        for batch in batches:
            yield [tokens[i] for i in batch], [self.learn[i] for i in batch]

    def _mark(self) -> str:
        """Changes when something changes that forbids to go on with a saved run."""
        told = repr((self.epochs, sorted((e.id, e.text, e.type) for e in self.learn)))
        return hashlib.sha256(told.encode()).hexdigest()

    def _save(self) -> None:
        torch = extra("torch")
        self.saved.parent.mkdir(parents=True, exist_ok=True)
        part = self.saved.with_suffix(".part")
        random_states = pickle.dumps((self.rng.getstate(), torch.get_rng_state()))
        state = {**vars(self._state), "now": self.net.state(), "optimizer": self._optimizer.state_dict()}
        torch.save({"mark": self._mark(), "random": random_states, **state}, part)
        part.replace(self.saved)

    def _resumed(self) -> Run | None:
        torch = extra("torch")
        if not self.saved.is_file():
            return None
        found = torch.load(self.saved, weights_only=False)  # our own file, written by _save
        if found.pop("mark") != self._mark():
            return None
        python_state, torch_state = pickle.loads(found.pop("random"))  # noqa: S301 - our own file
        self.rng.setstate(python_state)
        torch.set_rng_state(torch_state)
        self.net.restore(found.pop("now"))
        self._optimizer.load_state_dict(found.pop("optimizer"))
        run = Run(**found)
        self.progress(f"going on after epoch {run.epoch}")
        return run


def freeze(net: Net) -> None:
    """The token embeddings and the lowest layers keep what they came with: rare words would only be unlearned."""
    layers = net.layers()
    if layers:
        for part in (net.encoder.embeddings, *layers[: round(len(layers) * FROZEN)]):
            part.requires_grad_(False)


def optimizer(net: Net) -> Any:
    """AdamW; the lower a layer, the more general what it knows, and the less it changes."""
    torch = extra("torch")
    layers, seen, groups = net.layers(), set(), []
    for depth, layer in enumerate(reversed(layers)):
        parameters = [p for p in layer.parameters() if p.requires_grad]
        seen |= {id(p) for p in parameters}
        groups.append({"params": parameters, "top": RATE * DECAY**depth})
    rest = [p for p in net.encoder.parameters() if p.requires_grad and id(p) not in seen]
    groups += [{"params": rest, "top": RATE * 0.5}] if rest else []
    groups.append({"params": net.heads.parameters(), "top": HEAD_RATE})
    return torch.optim.AdamW(groups, lr=RATE, weight_decay=0.01, fused=True)


def pace(spent: float) -> float:
    """The share of the learning rate when so much is over: a tenth of warm-up, then a cosine down to a fiftieth."""
    if spent < WARM_UP:
        return 0.01 + 0.99 * spent / WARM_UP
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (spent - WARM_UP) / (1 - WARM_UP))))


def by_length(lengths: Sequence[int], rng: random.Random) -> list[list[int]]:
    """Indices in batches of similar length: padding is time."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] * rng.uniform(0.85, 1.18))
    batches: list[list[int]] = []
    longest = 0
    for i in order:
        longest = max(longest, lengths[i])
        if not batches or len(batches[-1]) == BATCH or longest * (len(batches[-1]) + 1) > BATCH_TOKENS:
            batches.append([])
            longest = lengths[i]
        batches[-1].append(i)
    rng.shuffle(batches)
    return batches


def judge(net: Net, validation: Sequence[Example], read: Callable[[str], str] = meaning) -> tuple[float, str]:
    """Mean macro-F1 of the tasks on the validation part, and the four figures in words."""
    p = net.probabilities([read(e.text) for e in validation])
    found = summary(validation, Prediction(p, p["human_now"] >= 0.5))
    scores = {**{task: found[task]["macro_f1"] for task in LABELS}, "alarm": found["human_now"]["f1"]}
    return float(np.mean(list(scores.values()))), ", ".join(f"{k} {v:.3f}" for k, v in scores.items())
