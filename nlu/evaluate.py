"""How good a model directory is on labelled messages, beside the baseline it has to beat."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlu.train_data import LABELS, Example, extra, load, noisy_all, split
from nlu.understanding import LANGUAGES


def evaluate(
    model_dir: Path, data: Path, progress: Callable[[str], None] = lambda line: None, *, baseline: bool = True
) -> dict[str, Any]:
    """Figures of the model on the held-out part of `data`; with `baseline`, TF-IDF trained on the rest (extra [train])."""
    parts = split(load(data))
    progress(f"{len(parts.held_out)} held-out messages of {len(parts.held_out) + len(parts.train)}")
    learn = [*parts.train, *parts.validation] if baseline else []
    return rounded(figures(model_dir, parts.held_out, learn=learn))


@dataclass(frozen=True)
class Prediction:
    """Probabilities per task, one row a message; the alarm as a decision beside its probability."""

    probability: dict[str, np.ndarray]
    alarm: np.ndarray

    @classmethod
    def of(cls, logits: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None) -> "Prediction":
        """Probabilities from logits, with the temperatures and the threshold of heads.json if there are any."""
        heads = (about or {}).get("heads", {})
        p = {t: softmax(logits[t] / heads.get(t, {}).get("temperature", 1.0)) for t in LABELS}
        human = heads.get("human_now", {})
        chance = 1 / (1 + np.exp(-logits["human_now"][:, 0] / human.get("temperature", 1.0)))
        return cls({**p, "human_now": chance}, chance >= human.get("threshold", 0.5))

    def part(self, keep: np.ndarray) -> "Prediction":
        """Only the rows that `keep` marks."""
        return Prediction({k: v[keep] for k, v in self.probability.items()}, self.alarm[keep])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row by row."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    result: np.ndarray = e / e.sum(-1, keepdims=True)
    return result


def embed(model_dir: Path, texts: Sequence[str]) -> np.ndarray:
    """One text per run, as in serving: a neighbour in the batch would change the int8 range."""
    import onnxruntime
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model_dir / "encoder.int8.onnx", options, providers=["CPUExecutionProvider"])
    rows = []
    for text in texts:
        tokens = tokenizer("query: " + text, truncation=True, max_length=256, return_tensors="np")
        feed = {k: tokens[k].astype(np.int64) for k in ("input_ids", "attention_mask")}
        rows.append(session.run(["embedding"], feed)[0][0])
    return np.stack(rows)


def predict(model_dir: Path, texts: Sequence[str]) -> Prediction:
    """What the shipped directory says of these texts."""
    about = json.loads((model_dir / "heads.json").read_text(encoding="utf-8"))
    embedding = embed(model_dir, texts)
    with np.load(model_dir / "heads.npz") as arrays:
        logits = {h: embedding @ arrays[f"{h}.w"].T + arrays[f"{h}.b"] for h in (*LABELS, "human_now")}
    return Prediction.of(logits, about)


def figures(model_dir: Path, held_out: Sequence[Example], learn: Sequence[Example] = ()) -> dict[str, Any]:
    """All figures of metrics.json. `learn` trains the baseline; empty leaves it out."""
    predicted = predict(model_dir, [e.text for e in held_out])
    result = summary(held_out, predicted)
    for name, key in (("by_language", "language"), ("by_genre", "genre"), ("by_channel", "channel")):
        result[name] = _by(held_out, predicted, key)
    noise = predict(model_dir, noisy_all([e.text for e in held_out]))
    result["noise"] = {"type_macro_f1": _type_f1(held_out, noise)}
    if learn:
        result["baseline_tfidf"] = _tfidf(learn, held_out)
    return result


def summary(examples: Sequence[Example], predicted: Prediction) -> dict[str, Any]:
    """The figures of one set of messages."""
    result: dict[str, Any] = {"messages": len(examples)}
    for task in LABELS:
        names, truth = _names(task, predicted), _truth(examples, task, _names(task, predicted))
        result[task] = {"macro_f1": macro_f1(truth, names), "per_class": per_class(truth, names)}
    result["severity"] |= _severity(examples, predicted)
    result["human_now"] = alarm_figures(np.array([e.human_now for e in examples]), predicted.alarm)
    right = np.array([n in (e.type, e.second) for n, e in zip(_names("type", predicted), examples, strict=True)])
    confidence = predicted.probability["type"].max(1)
    result["type"] |= {"accuracy": float(right.mean()), "ece": ece(confidence, right)}
    result["type"]["accuracy_at_coverage"] = at_coverage(confidence, right)
    return result


def _names(task: str, predicted: Prediction) -> list[str]:
    return [LABELS[task][i] for i in predicted.probability[task].argmax(1)]


def _truth(examples: Sequence[Example], task: str, names: Sequence[str]) -> list[str]:
    """The labels; a second type that was answered counts as right."""
    if task != "type":
        return [str(getattr(e, task)) for e in examples]
    return [n if n == e.second else e.type for e, n in zip(examples, names, strict=True)]


def per_class(truth: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and number of each label that occurs in the truth."""
    result = {}
    for label in sorted(set(truth)):
        hit = sum(t == n == label for t, n in zip(truth, names, strict=True))
        said, there = sum(n == label for n in names), sum(t == label for t in truth)
        result[label] = {"precision": hit / said if said else 0.0, "recall": hit / there,
                         "f1": 2 * hit / (said + there), "messages": there}  # fmt: skip
    return result


def macro_f1(truth: Sequence[str], names: Sequence[str]) -> float:
    """The plain mean of the classes that occur."""
    return float(np.mean([c["f1"] for c in per_class(truth, names).values()]))


def _severity(examples: Sequence[Example], predicted: Prediction) -> dict[str, float]:
    truth = np.array([e.label("severity") for e in examples])
    said = predicted.probability["severity"].argmax(1)
    grave = truth >= 2
    return {
        "exact": float((truth == said).mean()),
        "within_one": float((abs(truth - said) <= 1).mean()),
        "high_or_critical_recall": float((said[grave] >= 2).mean()) if grave.any() else 1.0,
        "high_or_critical_precision": float(grave[said >= 2].mean()) if (said >= 2).any() else 1.0,
    }


def alarm_figures(truth: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of the alarm."""
    hit = float((truth & said).sum())
    precision = hit / said.sum() if said.any() else 1.0
    recall = hit / truth.sum() if truth.any() else 1.0
    f1 = 2 * hit / (said.sum() + truth.sum()) if hit else 0.0
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1), "messages": int(truth.sum())}


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal size in messages."""
    order = np.array_split(np.argsort(confidence), bins)
    gaps = [len(b) * abs(confidence[b].mean() - right[b].mean()) for b in order if len(b)]
    return float(sum(gaps) / len(confidence))


def at_coverage(confidence: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Accuracy of the surest 100, 85 and 70 per cent."""
    order = right[np.argsort(-confidence)]
    return {str(share): float(order[: max(1, round(len(order) * share / 100))].mean()) for share in (100, 85, 70)}


def _type_f1(examples: Sequence[Example], predicted: Prediction) -> float:
    names = _names("type", predicted)
    return macro_f1(_truth(examples, "type", names), names)


def _by(examples: Sequence[Example], predicted: Prediction, key: str) -> dict[str, dict[str, float]]:
    values = np.array([getattr(e, key) for e in examples])
    result = {}
    for value in LANGUAGES if key == "language" else sorted(set(values)):
        keep = values == value
        chosen = [e for e, k in zip(examples, keep, strict=True) if k]
        if chosen:
            result[str(value)] = {"messages": len(chosen), "type_macro_f1": _type_f1(chosen, predicted.part(keep))}
    return result


def _tfidf(learn: Sequence[Example], held_out: Sequence[Example]) -> dict[str, float]:
    """Words and character n-grams with logistic regression: what a model without pretraining would reach."""
    text, linear, pipeline = (extra(f"sklearn.{m}") for m in ("feature_extraction.text", "linear_model", "pipeline"))
    features = pipeline.make_union(
        text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    x, unseen = features.fit_transform([e.text for e in learn]), features.transform([e.text for e in held_out])
    result = {}
    for task in LABELS:
        model = linear.LogisticRegression(max_iter=2000, C=10, class_weight="balanced")
        names = list(model.fit(x, [getattr(e, task) for e in learn]).predict(unseen))
        result[f"{task}_macro_f1"] = macro_f1(_truth(held_out, task, names), names)
    model = linear.LogisticRegression(max_iter=2000, C=10, class_weight="balanced")
    said = model.fit(x, [e.human_now for e in learn]).predict(unseen)
    alarm = alarm_figures(np.array([e.human_now for e in held_out]), said)
    return result | {"human_now_precision": alarm["precision"], "human_now_recall": alarm["recall"]}


def rounded(value: Any, digits: int = 3) -> Any:
    """The figures for people: three digits."""
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    return round(value, digits) if isinstance(value, float) else value
