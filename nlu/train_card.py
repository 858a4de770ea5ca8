"""The model card: figures out of metrics.json, and what they do not show."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CARD = """---
language: [es, en, pt]
license: mit
base_model: intfloat/multilingual-e5-small
pipeline_tag: text-classification
---

# {name}

Reads one customer message and says its type (peticion, queja, reclamo, sugerencia, felicitacion, otro), its severity,
its dialogue act, and whether a person must be alerted at once. The labels are explained in docs/labels.md.

- **Base:** intfloat/multilingual-e5-small (MIT), 12 layers of width 384, vocabulary cut to the 32,000 pieces of
  Spanish, Portuguese and English; 33.8 M parameters. Its weights came in 4-bit blocks; fine-tuning heals most of that.
- **Files:** `encoder.int8.onnx` (`input_ids`, `attention_mask` → `embedding` [n, 384], mean-pooled, not normalised;
  int8 per channel, seven-bit range so that processors without VNNI do not saturate), `heads.npz` and `heads.json`
  (four linear heads with temperatures and thresholds), the tokenizer, `words.npz` (what typos are mended to, and what
  words are none), `likeness.npz` (for similar cases), `metrics.json`.
- **Use:** put `query: ` before the text, at most 256 tokens, one text per run: dynamic int8 takes its range over the
  batch, and a label must not depend on a neighbour. A text of capitals is read in lower case, and a word that no
  dictionary knows and that is one slip away from a learned one is read as that one (nlu/spelling.py).
- **Training:** {learned} messages (nlu/data, all written for this project); encoder and heads together, soft labels for
  the second type and for neighbouring severities, an ordinal loss for severity, rare classes weighted, six in ten
  messages of an epoch made careless (accents, capitals, typos); temperatures and thresholds fitted on a validation part
  with the int8 encoder (`acuse train`, docs/model.md).

## Figures

`acuse evaluate` on {messages} messages that no training saw, nor any other telling of the same happening (`scenario`).
In brackets: what chance alone could have made of it (95 %, bootstrap over happenings).

| | model alone | beside the rules, as served |
|---|---|---|
{main}

| type macro-F1 of the same messages | |
|---|---|
{noise}

| baseline, on the same data | type | act | severity | human_now, recall; precision |
|---|---|---|---|---|
{baselines}

| type | precision | recall | F1 | messages |
|---|---|---|---|---|
{classes}

| act | precision | recall | F1 | messages |
|---|---|---|---|---|
{acts}

{pictures}
{by}
{left_out}
## What the figures do not show

- **The held-out messages have the same hand as the training data** (a language model wrote and labelled both). Expect
  less on real messages; on social networks and complaint boards, much less. No real customers' messages were at hand.
- One labeller only. On severity two people agree exactly in about four of ten cases.
- Grave messages are far more frequent in the data than in life: on live traffic more alarms will be false.
- The alarm is not a safety system by itself. The rules of nlu stand beside it, and either one alerts a person.
- Other alphabets become `<unk>`; the language detector has to catch them.
"""
MAIN = (
    ("type, macro-F1 (a second label counts)", "type", "macro_f1", "type_macro_f1"),
    ("type, accuracy", "type", "accuracy", "type_accuracy"),
    ("type, accuracy of the surest 85 %", "type", "accuracy_at_coverage.85", "accuracy_at_85"),
    ("type, calibration error", "type", "ece", "type_ece"),
    ("act, macro-F1", "act", "macro_f1", "act_macro_f1"),
    ("severity, macro-F1", "severity", "macro_f1", "severity_macro_f1"),
    ("severity, within one step", "severity", "within_one", "severity_within_one"),
    ("high or critical, recall", "severity", "high_or_critical_recall", "grave_recall"),
    ("high or critical, precision", "severity", "high_or_critical_precision", ""),
    ("human_now, recall", "human_now", "recall", "alarm_recall"),
    ("human_now, precision", "human_now", "precision", "alarm_precision"),
)
NOISES = (
    ("without accents", "without_accents"),
    ("in capitals", "capitals"),
    ("with 5 % typos", "typos"),
    ("all three", "type_macro_f1"),
)
PARTS = (("language", "by_language"), ("genre", "by_genre"), ("channel", "by_channel"), ("country", "by_country"),
         ("length", "by_length"))  # fmt: skip


def write_card(out_dir: Path, name: str, metrics: Mapping[str, Any], pictures: Sequence[str] = ()) -> None:
    """README.md of the model directory."""
    rows = [f"| as written | {_at(metrics, 'type', 'macro_f1')} |"]
    rows += [f"| {told} | {_at(metrics, 'noise', key)} |" for told, key in NOISES if key in metrics["noise"]]
    text = CARD.format(
        name=name,
        learned=f"{metrics.get('learned', 0):,}",
        messages=f"{metrics['messages']:,}",
        main="\n".join(_main(metrics)),
        noise="\n".join(rows),
        baselines="\n".join(_baselines(metrics)),
        classes=_classes(metrics, "type"),
        acts=_classes(metrics, "act"),
        pictures="".join(f"![{p.removesuffix('.svg')}]({p})\n" for p in pictures),
        by="\n".join(_part(told, metrics[key]) for told, key in PARTS if key in metrics),
        left_out=_left_out(metrics.get("genre_left_out")),
    )
    (out_dir / "README.md").write_text(text, encoding="utf-8")


def _at(metrics: Mapping[str, Any], part: str, path: str) -> str:
    value: Any = metrics.get(part)
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return "" if value is None else f"{value:.3f}"


def _main(metrics: Mapping[str, Any]) -> list[str]:
    served = metrics.get("served", {})
    rows = []
    for told, part, path, interval in MAIN:
        bounds = metrics.get("interval_95", {}).get(interval)
        range_ = f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""
        rows.append(f"| {told} | {_at(metrics, part, path)}{range_} | {_at(served, part, path)} |")
    return rows


def _baselines(metrics: Mapping[str, Any]) -> list[str]:
    rows = []
    if rules := metrics.get("rules_alone"):
        figures = [_at(rules, task, "macro_f1") for task in ("type", "act", "severity")]
        alarm = f"{_at(rules, 'human_now', 'recall')}; {_at(rules, 'human_now', 'precision')}"
        rows.append(f"| key words and patterns (nlu/rules.py) | {' | '.join(figures)} | {alarm} |")
    for told, key in (
        ("TF-IDF + logistic regression", "baseline_tfidf"),
        ("frozen encoder + logistic regression", "baseline_frozen"),
    ):
        if key in metrics:
            figures = [_at(metrics, key, f"{task}_macro_f1") for task in ("type", "act", "severity")]
            alarm = f"{_at(metrics, key, 'human_now_recall')}; {_at(metrics, key, 'human_now_precision')}"
            rows.append(f"| {told} | {' | '.join(figures)} | {alarm} |")
    return rows


def _classes(metrics: Mapping[str, Any], task: str) -> str:
    return "\n".join(
        f"| {label} | {c['precision']:.2f} | {c['recall']:.2f} | {c['f1']:.2f} | {c['messages']} |"
        for label, c in metrics.get(task, {}).get("per_class", {}).items()
    )


def _part(told: str, part: Mapping[str, Any]) -> str:
    rows = [
        f"| {name or 'unknown'} | {c['messages']} | {c['type_accuracy']:.3f} | {c['type_macro_f1']:.3f} |"
        for name, c in part.items()
    ]
    return "\n".join([f"| {told} | messages | type, accuracy | macro-F1 |", "|---|---|---|---|", *rows, ""])


def _left_out(part: Mapping[str, Any] | None) -> str:
    if not part:
        return ""
    rows = [
        f"| {genre} | {c['messages']} | {c['seen_accuracy']:.3f} | {c['left_out_accuracy']:.3f} |"
        for genre, c in part.items()
    ]
    told = """## A kind of text that training never saw

Type accuracy on each genre when training had it and when it had none of it. With the frozen encoder and a linear layer
on it, because a whole training for each genre is not affordable here: the levels are lower than the model's; the
difference is what a new kind of text costs.
"""
    return "\n".join([told, "| genre | messages | genre in training | left out |", "|---|---|---|---|", *rows, ""])
