"""Fine-tune the text model: one encoder, four linear heads. Needs the extra [train]; serving does not."""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nlu import spelling, spelling_fit
from nlu.evaluate import figures, publish
from nlu.likeness import FILE
from nlu.likeness_fit import TooFew, make, parted
from nlu.model import load as load_model
from nlu.train_calibrate import calibrate
from nlu.train_data import Example, extra, load, split
from nlu.train_export import export, write_heads
from nlu.train_loop import SAVED, Loop
from nlu.train_net import Net
from nlu.train_scores import rounded
from nlu.trim import meaning

NAME = "acuse-pqrs-3"


def train(
    data: Path,
    base_dir: Path,
    out_dir: Path,
    seed: int = 7,
    epochs: int = 5,
    progress: Callable[[str], None] = lambda line: None,
    *,
    limit: int | None = None,
    minutes: float | None = None,
) -> dict[str, Any]:
    """Train on `data` from the Hugging Face directory `base_dir`, write a model directory, return its held-out figures.

    Half an hour for 5,700 messages on two free cores. A run that was cut off goes on after its last whole epoch when
    it is started again with the same data and epochs. `limit` takes only so many messages (to try the machinery);
    `minutes` ends it earlier, at rest.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that spin took thrice the time
    extra("torch").manual_seed(seed)
    parts = split(load(data))
    rng = random.Random(seed)  # noqa: S311 - noise and order, not a secret
    learn = parts.train if limit is None else rng.sample(parts.train, min(limit, len(parts.train)))
    progress(f"{len(learn)} to learn from, {len(parts.validation)} to tune, {len(parts.held_out)} held out")
    net = Net.of(base_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    spelling_fit.fit(out_dir, learn)
    read = as_served(out_dir)
    Loop(net, learn, parts.validation, epochs, rng, progress, saved=out_dir / SAVED, read=read, minutes=minutes).run()
    progress("exporting")
    export(net.encoder, net.tokenizer, out_dir)
    write_heads(out_dir, net.heads.arrays(), name=out_dir.name or NAME)
    calibrate(out_dir, parts.validation)
    compare(out_dir, parts.train, progress)
    progress("evaluating on the held-out part")
    result: dict[str, Any] = figures(load_model(out_dir), parts.held_out, [*learn, *parts.validation], None, progress)
    result = rounded(result | {"learned": len(learn)})
    publish(out_dir, load_model(out_dir), parts.held_out, result)
    return result


def as_served(out_dir: Path) -> Callable[[str], str]:
    """What serving makes of a text before the encoder reads it: its meaning, with the typos mended."""
    mend = spelling.load(out_dir)
    return lambda text: mend(meaning(text)) if mend else meaning(text)


def compare(out_dir: Path, learn: Sequence[Example], progress: Callable[[str], None]) -> None:
    """Make a model directory able to compare texts, for similar cases; on what it learned from, and nothing else.

    Where that is too little the model serves without, which `progress` is told.
    """
    (out_dir / FILE).unlink(missing_ok=True)  # of an encoder that stood there before
    alone, _ = parted(learn)
    try:
        make(out_dir, alone)
    except TooFew as fault:
        progress(f"no similar cases with this model: {fault}")
