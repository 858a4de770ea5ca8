"""What a model has to beat, trained on the same messages: words alone, and a linear layer on an untrained encoder."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nlu.train_data import LABELS, Example, extra
from nlu.train_scores import accepted, alarm_figures, macro_f1

FEW = 20  # messages; a genre with fewer is not left out on its own
Lines = Callable[[str], None]


def tfidf(learn: Sequence[Example], unseen: Sequence[Example]) -> dict[str, float]:
    """Words and character n-grams with logistic regression: what a model without pretraining reaches."""
    text, pipeline = extra("sklearn.feature_extraction.text"), extra("sklearn.pipeline")
    features = pipeline.make_union(
        text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
    )
    x, y = features.fit_transform([e.text for e in learn]), features.transform([e.text for e in unseen])
    return _linear(x, learn, y, unseen, strength=10)


def frozen(learn: Sequence[Example], unseen: Sequence[Example], vectors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Logistic regression on the vectors (by message id) of an encoder that was not trained."""
    x, y = np.stack([vectors[e.id] for e in learn]), np.stack([vectors[e.id] for e in unseen])
    mean, spread = x.mean(0), x.std(0) + 1e-6
    return _linear((x - mean) / spread, learn, (y - mean) / spread, unseen, strength=0.003)


def genre_left_out(
    learn: Sequence[Example], unseen: Sequence[Example], vectors: Mapping[str, np.ndarray], progress: Lines
) -> dict[str, dict[str, float]]:
    """For each genre: type macro-F1 on its unseen messages when training had the genre, and when it had none of it.

    With the frozen encoder and linear layers, because a whole training for each genre is not affordable. The difference
    says how much a new kind of text costs.
    """
    result = {}
    known = frozen_names(learn, unseen, vectors)
    for genre in sorted({e.genre for e in unseen}):
        mine = [i for i, e in enumerate(unseen) if e.genre == genre]
        if len(mine) < FEW:
            continue
        progress(f"  without {genre}")
        chosen = [unseen[i] for i in mine]
        blind = frozen_names([e for e in learn if e.genre != genre], chosen, vectors)
        result[genre] = {
            "messages": len(chosen),
            "seen_accuracy": _right(chosen, [known[i] for i in mine]),
            "left_out_accuracy": _right(chosen, blind),
            "seen_macro_f1": _f1(chosen, [known[i] for i in mine]),
            "left_out_macro_f1": _f1(chosen, blind),
        }
    return result


def frozen_names(learn: Sequence[Example], unseen: Sequence[Example], vectors: Mapping[str, np.ndarray]) -> list[str]:
    """The type of each unseen message by a linear layer on its vector."""
    x, y = np.stack([vectors[e.id] for e in learn]), np.stack([vectors[e.id] for e in unseen])
    mean, spread = x.mean(0), x.std(0) + 1e-6
    model = _regression(0.003).fit((x - mean) / spread, [e.type for e in learn])
    return [str(name) for name in model.predict((y - mean) / spread)]


def _regression(strength: float) -> Any:
    return extra("sklearn.linear_model").LogisticRegression(max_iter=400, C=strength, class_weight="balanced")


def _linear(x: Any, learn: Sequence[Example], y: Any, unseen: Sequence[Example], strength: float) -> dict[str, float]:
    result: dict[str, float] = {}
    for task in LABELS:
        model = _regression(strength).fit(x, [getattr(e, task) for e in learn])
        names = [str(name) for name in model.predict(y)]
        result[f"{task}_macro_f1"] = macro_f1(accepted(unseen, task, names), names)
    said = _regression(strength).fit(x, [e.human_now for e in learn]).predict(y)
    alarm = alarm_figures(np.array([e.human_now for e in unseen]), said)
    return result | {"human_now_precision": alarm["precision"], "human_now_recall": alarm["recall"]}


def _right(examples: Sequence[Example], names: Sequence[str]) -> float:
    return float(np.mean([n in (e.type, e.second) for n, e in zip(names, examples, strict=True)]))


def _f1(examples: Sequence[Example], names: Sequence[str]) -> float:
    return macro_f1(accepted(examples, "type", names), names)
