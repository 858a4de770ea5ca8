"""The model card: figures out of metrics.json, and what they do not show."""

from collections.abc import Mapping
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
  (four linear heads with temperatures and thresholds), the tokenizer, `metrics.json`.
- **Use:** put `query: ` before the text, at most 256 tokens, one text per run: dynamic int8 takes its range over the
  batch, and a label must not depend on a neighbour.
- **Training:** {learned} messages (nlu/data, all written for this project); encoder and heads together, soft labels for
  the second type and for neighbouring severities, rare classes weighted, noise (accents, capitals, typos) added in
  training only; temperatures and thresholds fitted on a validation part with the int8 encoder (`acuse train`).

## Figures

`acuse evaluate` on the {messages} held-out messages. No happening (`scenario`) of theirs was seen in training.

| | |
|---|---|
| type, macro-F1 (a second label counts) | {type[macro_f1]:.3f} |
| type, accuracy; of the surest 85 % | {type[accuracy]:.3f}; {sure85:.3f} |
| type, calibration error | {type[ece]:.3f} |
| act, macro-F1 | {act[macro_f1]:.3f} |
| severity, exact; within one step | {severity[exact]:.3f}; {severity[within_one]:.3f} |
| high or critical, recall; precision | {grave} |
| human_now, recall; precision ({human_now[messages]} alarms) | {human_now[recall]:.3f}; {human_now[precision]:.3f} |
| type macro-F1 without accents, in capitals, 5 % typos | {noise[type_macro_f1]:.3f} |
{baseline}
| type | precision | recall | F1 | messages |
|---|---|---|---|---|
{classes}

| language | messages | type, macro-F1 |
|---|---|---|
{languages}

## What the figures do not show

- **The held-out messages have the same hand as the training data** (a language model wrote and labelled both). Expect
  less on real messages; on social networks and complaint boards, much less. No real customers' messages were at hand.
- One labeller only. On severity two people agree exactly in about four of ten cases.
- Grave messages are far more frequent in the data than in life: on live traffic more alarms will be false.
- Some acts (deny, stop, greeting, thanks) have only a handful of held-out messages; their F1 moves by tenths.
- The alarm is not a safety system by itself. The rules of nlu stand beside it, and either one alerts a person.
- Other alphabets become `<unk>`; the language detector has to catch them.
"""


def write_card(out_dir: Path, name: str, metrics: Mapping[str, Any], learned: int) -> None:
    """README.md of the model directory."""
    base = metrics.get("baseline_tfidf")
    baseline = (
        f"| TF-IDF + logistic regression on the same data: type; act; severity; human_now recall "
        f"| {base['type_macro_f1']:.3f}; {base['act_macro_f1']:.3f}; {base['severity_macro_f1']:.3f} (model: "
        f"{metrics['severity']['macro_f1']:.3f}); {base['human_now_recall']:.3f} |\n"
        if base
        else ""
    )
    classes = "\n".join(
        f"| {label} | {c['precision']:.2f} | {c['recall']:.2f} | {c['f1']:.2f} | {c['messages']} |"
        for label, c in metrics["type"]["per_class"].items()
    )
    languages = "\n".join(
        f"| {language} | {c['messages']} | {c['type_macro_f1']:.3f} |" for language, c in metrics["by_language"].items()
    )
    text = CARD.format(
        name=name,
        learned=f"{learned:,}",
        sure85=metrics["type"]["accuracy_at_coverage"]["85"],
        grave="{high_or_critical_recall:.3f}; {high_or_critical_precision:.3f}".format(**metrics["severity"]),
        baseline=baseline,
        classes=classes,
        languages=languages,
        **{k: metrics[k] for k in ("messages", "type", "act", "severity", "human_now", "noise")},
    )
    (out_dir / "README.md").write_text(text, encoding="utf-8")
