"""`acuse train` and `acuse evaluate`: make a text model, or fit ours to your own messages, and measure it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from commands.telling import told
from installation import HERE, terminal
from nlu.evaluate import evaluate as measured
from nlu.train import train as trained
from nlu.train_data import BadData, load
from nlu.train_heads import refit

DATA = HERE / "nlu" / "data"


def train(
    data: Annotated[
        Path | None, typer.Argument(help="labelled messages: .csv, .jsonl, or a folder; columns text and type at least")
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="train a whole model from this Hugging Face directory (needs acuse\\[train])")
    ] = None,
    out: Annotated[Path, typer.Option(help="where the new model goes")] = Path("data/models/ours"),
    seed: Annotated[int, typer.Option(help="with the same seed and data, the same model")] = 7,
    epochs: Annotated[int, typer.Option(min=1, help="passes over the messages at most (with --base)")] = 5,
    minutes: Annotated[float | None, typer.Option(min=1, help="end earlier, at rest (with --base)")] = None,
) -> None:
    """Train the text model: fit the shipped one to your own messages (seconds), or with --base a whole one.

    Your own model is kept only if it is better on messages that it had not seen, beyond chance.
    """
    with told():
        if base is not None:
            _whole(data or DATA, base, out, seed=seed, epochs=epochs, minutes=minutes)
            return
        if data is None:
            raise BadData(
                "Give your labelled messages (acuse train my.csv), or a base for a whole training (--base DIR)."
            )
        outcome = refit(load(data), out, _say)
        terminal.print(outcome.sentence, markup=False)
        if outcome.better:
            terminal.print(f"Written to {out}; put `nlu: {{model: {out.absolute()}}}` into config.yaml.", markup=False)
        else:
            terminal.print("Nothing was written: go on with the model that you have.")


def _whole(data: Path, base: Path, out: Path, **how: Any) -> None:
    if not (base / "config.json").is_file():
        raise BadData(f"{base} is no Hugging Face directory (no config.json).")
    figures = trained(data, base, out, progress=_say, **how)
    _tell(figures)
    terminal.print(f"Written to {out}.", markup=False)


def evaluate(
    model: Annotated[str | None, typer.Argument(help="a model directory; the shipped one by default")] = None,
    data: Annotated[Path | None, typer.Argument(help="labelled messages; nlu/data by default")] = None,
    out: Annotated[Path | None, typer.Option(help="where metrics.json, the card and the pictures go")] = None,
    base: Annotated[
        Path | None, typer.Option(help="a frozen encoder as baseline, and each genre left out (Hugging Face directory)")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="measure all messages: nobody learned from them")] = False,
) -> None:
    """Measure a model on held-out messages: by class, language, channel, genre, length, noise, beside baselines.

    Your own DATA is measured whole: the shipped model has seen none of it. The baselines need acuse\\[train].
    """
    with told():
        whole = everything or (data is not None and data.resolve() != DATA.resolve())
        figures = measured(model, data or DATA, _say, out_dir=out, base_dir=base, everything=whole)
    _tell(figures)


def _say(line: str) -> None:
    terminal.print(line, style="dim", markup=False)


def _tell(figures: dict[str, Any]) -> None:
    """The main figures, each with its interval where there is one."""
    kind = figures["type"]
    rows = [("type, macro-F1", kind["macro_f1"], "type_macro_f1"),
            ("type, calibration error", kind["ece"], "type_ece"),
            ("type, accuracy of the surest 85 %", kind["accuracy_at_coverage"]["85"], "accuracy_at_85")]  # fmt: skip
    if "act" in figures:
        rows += [("act, macro-F1", figures["act"]["macro_f1"], "act_macro_f1"),
                 ("severity, within one step", figures["severity"]["within_one"], "severity_within_one"),
                 ("high or critical, recall", figures["severity"]["high_or_critical_recall"], "grave_recall"),
                 ("human_now, recall", figures["human_now"]["recall"], "alarm_recall"),
                 ("human_now, precision", figures["human_now"]["precision"], "alarm_precision")]  # fmt: skip
    rows.append(("type, macro-F1 with noise", figures["noise"]["type_macro_f1"], ""))
    for name, value, key in rows:
        low, high = figures["interval_95"].get(key, (None, None))
        bounds = f"  [{low:.3f}, {high:.3f}]" if low is not None else ""
        terminal.print(f"{name:36} {value:.3f}{bounds}", markup=False)
