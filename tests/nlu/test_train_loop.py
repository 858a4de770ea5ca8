"""The training loop: what needs no torch always, a small whole training where torch is there (extra [train])."""

import importlib
import importlib.util
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlu import likeness_fit
from nlu.model import load as load_model
from nlu.train import train as whole_training
from nlu.train_data import Example, load, split
from nlu.train_loop import BATCH, BATCH_TOKENS, Loop, by_length, pace
from nlu.train_net import Net, soft_label
from nlu.train_noise import BESIDE, noisy, typos, without_accents
from nlu.trim import meaning

TEXT = "¿Cuándo llega mi pedido de la semana pasada? Ya pagué y no me contestan."
QUEJA = Example(
    id="1", text=TEXT, language="es", type="queja", second="reclamo", severity="high", act="report", human_now=False,
    scenario="1",
)  # fmt: skip


def test_batches_hold_every_message_once_and_stay_within_bounds() -> None:
    lengths = [3 + (i * 37) % 150 for i in range(400)]
    batches = by_length(lengths, random.Random(2))
    assert sorted(i for batch in batches for i in batch) == list(range(400))
    for batch in batches:
        assert len(batch) <= BATCH
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= BATCH_TOKENS


def test_little_is_padding() -> None:
    lengths = [3 + (i * 37) % 150 for i in range(400)]
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in by_length(lengths, random.Random(2)))
    assert padded < 1.25 * sum(lengths)


def test_the_rate_rises_falls_and_never_stops() -> None:
    rates = [pace(spent) for spent in np.linspace(0, 1, 101)]
    assert rates.index(max(rates)) == 10 and max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[-1] == pytest.approx(0.02)
    assert min(rates) > 0 and pace(1.5) == pytest.approx(0.02)


def test_soft_labels_give_the_second_type_its_share_and_neighbours_of_a_severity_a_little() -> None:
    kind, level = soft_label(QUEJA, "type"), soft_label(QUEJA, "severity")
    assert (kind.sum(), level.sum()) == (pytest.approx(1.0), pytest.approx(1.0))
    assert kind.argsort()[::-1][:2].tolist() == [1, 2] and 0.3 < kind[2] < 0.4
    assert level.argmax() == 2 and level[1] == level[3] > level[0]


def test_more_than_half_of_the_messages_are_made_careless_and_capitals_are_undone_as_in_serving() -> None:
    rng = random.Random(4)
    written = [noisy(TEXT, rng) for _ in range(600)]
    assert 0.5 < np.mean([text != TEXT for text in written]) < 0.65
    shouted = [text for text in written if text.isupper()]
    assert len(shouted) > 60 and all(meaning(text).islower() for text in shouted)
    assert any("á" not in text and "é" not in text for text in written)


def test_typos_touch_one_letter_in_twenty_and_mistake_only_for_keys_beside() -> None:
    rng, text = random.Random(4), "abcdefghij" * 300
    assert 0.03 < abs(1 - sum(a == b for a, b in zip(text, typos(text, rng, 0.0), strict=True)) / 3000) + 0.05 < 0.06
    assert 2700 < len(typos(text, rng, 0.05)) < 3300 and typos(text, rng, 0.05) != text
    assert BESIDE["s"] == "ad" and BESIDE["q"] == "w" and without_accents("ñandú") == "nandu"


def test_the_same_seed_gives_the_same_noise() -> None:
    assert [noisy(TEXT, random.Random(8)) for _ in range(2)] == [noisy(TEXT, random.Random(8))] * 2


if importlib.util.find_spec("torch"):  # the extra [train]; serving and its tests do without

    @pytest.fixture
    def base(tmp_path: Path) -> Path:
        """A BERT of one layer with a vocabulary of a dozen words, as a sequence classifier of somebody else."""
        from tokenizers import Tokenizer, models, pre_tokenizers

        transformers: Any = importlib.import_module("transformers")

        words = ["[UNK]", "[PAD]", "query", ":", "rojo", "verde", "azul", "hola", "pronto"]
        tokens = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
        tokens.pre_tokenizer = pre_tokenizers.Whitespace()
        marks = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
        transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, **marks).save_pretrained(tmp_path)
        importlib.import_module("torch").manual_seed(1)
        size = {"vocab_size": len(words), "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
        config = transformers.BertConfig(**size, num_attention_heads=2, num_labels=3)
        transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
        return tmp_path

    @pytest.fixture
    def data(tmp_path: Path) -> Path:
        """A colour is a type; every message its own happening."""
        file = tmp_path / "messages.jsonl"
        kinds = {"rojo": "queja", "verde": "otro", "azul": "reclamo"}
        rows = [
            {"id": str(i), "text": f"hola {word} {'pronto ' * (i % 4)}", "type": kind, "scenario": str(i),
             "severity": "critical" if word == "azul" else "low", "human_now": word == "azul"}
            for i in range(60) for word, kind in [list(kinds.items())[i % 3]]
        ]  # fmt: skip
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    def train(base: Path, data: Path, out: Path, told: Callable[[str], None] = lambda line: None, **how: Any) -> Net:
        importlib.import_module("torch").manual_seed(3)
        parts = split(load(data))
        net = Net.of(base)
        loop = Loop(net, parts.train, parts.validation, rng=random.Random(1), progress=told, saved=out, **how)
        loop.run()
        return net

    def test_a_foreign_classifier_learns_the_types(
        base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nlu.train_loop.PATIENCE", 99)  # three steps an epoch are few
        monkeypatch.setattr("nlu.train_loop.HEAD_RATE", 0.05)
        net = train(base, data, tmp_path / "run.pt", epochs=60)
        said = net.probabilities(["hola rojo", "hola verde", "hola azul"])["type"].argmax(1)
        assert said.tolist() == [1, 5, 2]
        assert not (tmp_path / "run.pt").exists()

    def test_a_cut_off_training_goes_on_and_ends_where_it_would_have_ended(
        base: Path, data: Path, tmp_path: Path
    ) -> None:
        whole = train(base, data, tmp_path / "a.pt", epochs=3)

        def cut(line: str) -> None:
            if line.startswith("epoch 2"):
                raise OSError("the power is gone")

        with pytest.raises(OSError, match="power"):
            train(base, data, tmp_path / "b.pt", cut, epochs=3)
        told: list[str] = []
        again = train(base, data, tmp_path / "b.pt", told.append, epochs=3)
        assert told[0] == "going on after epoch 1"
        for one, other in zip(whole.state(), again.state(), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)

    def test_time_that_is_up_ends_a_training_at_rest(base: Path, data: Path, tmp_path: Path) -> None:
        ticks = iter(range(10**6))
        told: list[str] = []
        train(base, data, tmp_path / "c.pt", told.append, epochs=50, minutes=0.2, clock=lambda: next(ticks))
        assert len([line for line in told if line.startswith("epoch")]) < 10

    def test_a_whole_training_leaves_a_directory_that_compares_texts(
        base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Fitted on the part that was learned from; the others never helped to judge themselves."""
        seen: list[str] = []
        make = likeness_fit.make

        def noting(directory: Path, alone: Sequence[Example]) -> list[Example]:
            seen.extend(one.id for one in alone)
            return make(directory, alone)

        monkeypatch.setattr("nlu.train.make", noting)
        data = tmp_path / "many.jsonl"
        colours = {"rojo": "queja", "verde": "otro", "azul": "reclamo"}
        rows = [
            {"id": f"{i}", "text": f"hola {word} {'pronto ' * (i % 9)}", "type": kind, "scenario": f"s{i}",
             "act": ["report", "status"][i % 2], "severity": ["low", "high", "critical"][i % 3],
             "human_now": i % 3 == 2}
            for i in range(240) for word, kind in [list(colours.items())[i % 3]]
        ]  # fmt: skip
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        whole_training(data, base, tmp_path / "mine", epochs=1)
        made = load_model(tmp_path / "mine")
        assert made.space is not None and made.space.startswith("mine:")
        vector = made.embed("hola rojo")
        assert vector is not None and sum(number * number for number in vector) == pytest.approx(1, abs=1e-4)
        learned = {one.id for one in split(load(data)).train if one.type != "otro"}
        assert set(seen) == learned and len(seen) > 32
