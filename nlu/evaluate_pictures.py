"""Pictures of an evaluation, as SVG: what is taken for what, whether confidence is earned, what asking back buys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlu.train_data import LABELS, Example, extra
from nlu.train_scores import Prediction

BINS = 10
INK, BLUE = "#334155", "#2563eb"


def draw(examples: Sequence[Example], predicted: Prediction, out_dir: Path) -> list[Path]:
    """Write confusion.svg, reliability.svg and coverage.svg; the paths."""
    charts = {
        "confusion": confusion(examples, predicted),
        "reliability": reliability(examples, predicted),
        "coverage": coverage(examples, predicted),
    }
    files = []
    for name, chart in charts.items():
        files.append(out_dir / f"{name}.svg")
        chart.save(str(files[-1]))
    return files


def _right(examples: Sequence[Example], predicted: Prediction) -> np.ndarray:
    return np.array([n in (e.type, e.second) for n, e in zip(predicted.names("type"), examples, strict=True)])


def confusion(examples: Sequence[Example], predicted: Prediction) -> Any:
    """Rows: the label; columns: the answer; an accepted second label stands on the diagonal."""
    alt = extra("altair")
    types = list(LABELS["type"])
    rows = []
    names = predicted.names("type")
    truth = [n if n == e.second else e.type for e, n in zip(examples, names, strict=True)]
    for label in types:
        whole = truth.count(label)
        for answer in types:
            n = sum(t == label and s == answer for t, s in zip(truth, names, strict=True))
            rows.append({"label": label, "answer": answer, "n": n, "share": n / whole if whole else 0.0})
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("answer:N", sort=types, title="answer", axis=alt.Axis(labelAngle=-30, orient="top")),
        y=alt.Y("label:N", sort=types, title="label"),
    )
    squares = base.mark_rect().encode(color=alt.Color("share:Q", scale=alt.Scale(scheme="blues"), legend=None))
    pale = alt.condition("datum.share > 0.5", alt.value("white"), alt.value(INK))
    numbers = base.mark_text().encode(text="n:Q", color=pale)
    return (squares + numbers).properties(width=330, height=290, title="What was taken for what (messages)")


def reliability(examples: Sequence[Example], predicted: Prediction) -> Any:
    """Confidence against the share that was right, in bins of equally many messages."""
    alt = extra("altair")
    confidence, right = predicted.probability["type"].max(1), _right(examples, predicted)
    bins = [b for b in np.array_split(np.argsort(confidence), BINS) if len(b)]
    rows = [{"confidence": float(confidence[b].mean()), "right": float(right[b].mean()), "n": len(b)} for b in bins]
    scale = alt.Scale(domain=[0, 1])
    line = alt.Chart(alt.Data(values=[{"at": 0.0}, {"at": 1.0}])).mark_line(strokeDash=[4, 4], color=INK)
    ideal = line.encode(x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale))
    dots = alt.Chart(alt.Data(values=rows)).mark_line(point=True, color=BLUE)
    dots = dots.encode(x=alt.X("confidence:Q", scale=scale, title="confidence"),
                       y=alt.Y("right:Q", scale=scale, title="share that was right"))  # fmt: skip
    return (ideal + dots).properties(width=300, height=300, title="Is the confidence earned?")


def coverage(examples: Sequence[Example], predicted: Prediction) -> Any:
    """Accuracy of the surest messages, by how many of all they are: the rest would be asked back."""
    alt = extra("altair")
    confidence, right = predicted.probability["type"].max(1), _right(examples, predicted)
    running = np.cumsum(right[np.argsort(-confidence)]) / np.arange(1, len(right) + 1)
    at = [max(1, round(len(right) * share / 100)) for share in range(20, 101)]
    rows = [{"covered": n / len(right), "right": float(running[n - 1])} for n in at]
    chart = alt.Chart(alt.Data(values=rows)).mark_line(color=BLUE)
    chart = chart.encode(x=alt.X("covered:Q", title="share that is answered without asking", axis=alt.Axis(format="%")),
                         y=alt.Y("right:Q", title="of these right", scale=alt.Scale(zero=False)))  # fmt: skip
    return chart.properties(width=300, height=300, title="What asking back buys")
