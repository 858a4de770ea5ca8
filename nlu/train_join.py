"""Join what is told twice: messages that resemble each other share a scenario, so that no retelling crosses the split.

The files come from several hands, and each numbers its own scenarios. Meanings are compared with the base encoder, not
with the trained one: training pulls together what has the same label, whatever it tells. Run once after data was
added: `python -m nlu.train_join nlu/data BASE`; the resemblances found are recorded in `joined.json` beside the data.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from nlu.train_data import Example, load
from nlu.train_vectors import vectors_of

LIKE = 0.55  # centred cosine; of a hundred pairs at this height some ten tell the same happening
SHORT, SHORT_LIKE = 5, 0.75  # shorter notes resemble each other by their form; only copies are joined
RECORD = "joined.json"


def resembling(examples: Sequence[Example], vectors: np.ndarray) -> list[tuple[str, str]]:
    """Pairs of ids whose meanings are so close that they may tell one happening."""
    centred = vectors - vectors.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    short = np.array([len(e.text.split()) < SHORT for e in examples])
    found = []
    for i, own in enumerate(centred):
        likeness = centred[:i] @ own
        bar = np.where(short[:i] | short[i], SHORT_LIKE, LIKE)
        found += [(examples[j].id, examples[i].id) for j in map(int, np.nonzero(likeness >= bar)[0])]
    return found


def joined(examples: Sequence[Example], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The scenario of each id when those of all pairs are one; the first in the order of names gives its name."""
    parent = {e.scenario: e.scenario for e in examples}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    scenario = {e.id: e.scenario for e in examples}
    for one, other in pairs:
        first, second = sorted((root(scenario[one]), root(scenario[other])))
        parent[second] = first
    return {e.id: root(e.scenario) for e in examples}


def digest(examples: Sequence[Example]) -> str:
    """Changes when a message is added or rewritten."""
    told = "\n".join(sorted(f"{e.id} {e.text}" for e in examples))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def rewrite(folder: Path, scenarios: dict[str, str], pairs: Sequence[tuple[str, str]]) -> None:
    """Put the scenarios into the files of `folder`, and record the pairs."""
    for file in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        lines = [json.dumps(row | {"scenario": scenarios[row["id"]]}, ensure_ascii=False) for row in rows]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    about = {"digest": digest(load(folder)), "like": LIKE, "short_like": SHORT_LIKE, "pairs": pairs}
    (folder / RECORD).write_text(json.dumps(about, indent=0) + "\n", encoding="utf-8")


def main(folder: Path, base_dir: Path) -> None:
    """Join, rewrite, record."""
    examples = load(folder)
    pairs = resembling(examples, vectors_of(base_dir, [e.text for e in examples]))
    rewrite(folder, joined(examples, pairs), pairs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
