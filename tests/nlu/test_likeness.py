"""The shipped model's vectors: messages of one happening find each other, and the same text lies in the same place."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from bot.similar import ALIKE, MUCH
from nlu.likeness import FILE
from nlu.likeness_fit import DATA, measured, parted
from nlu.model import MODELS, SHIPPED, Own, load
from nlu.train import compare
from nlu.train_data import load as examples_of
from nlu.train_data import split


@pytest.fixture(scope="module")
def model() -> Iterator[Own]:
    found = load(None)
    assert isinstance(found, Own)
    if found.likeness is None:
        pytest.skip("likeness.npz is not of this encoder: python -m nlu.likeness_fit, then tune bot/similar.py")
    yield found


def test_messages_of_one_scenario_find_each_other(model: Own) -> None:
    alone, together = parted(examples_of(DATA))
    chosen = [*together[:200], *Random(3).sample(alone, 200)]
    shown, much = measured(model, chosen, [ALIKE, MUCH])
    assert shown.precision >= 0.65 and shown.recall >= 0.25, shown
    assert much.precision >= 0.80, much


def test_the_same_text_lies_in_the_same_place_and_translations_near(model: Own) -> None:
    first, again = [model.read_whole("El banco dio mi nueva dirección al padre de mi hijo")[1] for _ in range(2)]
    assert first is not None and first == again
    assert sum(number * number for number in first.numbers) == pytest.approx(1, abs=1e-4)

    def near(text: str) -> float:
        other = model.read_whole(text)[1]
        assert other is not None
        return sum(a * b for a, b in zip(first.numbers, other.numbers, strict=True))

    assert (
        near("The bank gave my new address to my child's father") > 0.4 > near("El banco me cobró dos veces la cuota")
    )


def test_words_that_are_read_afterwards_lie_where_they_would_have_lain(model: Own) -> None:
    """A case keeps what was written without the blanks around it."""
    first = model.read_whole("  Llegó rota la licuadora\n del pedido 48213. \n")[1]
    assert first is not None and first.space == model.space
    assert model.embed("Llegó rota la licuadora\n del pedido 48213.") == list(first.numbers)


def test_a_trained_directory_can_compare_texts_and_too_few_messages_leave_it_without(tmp_path: Path) -> None:
    """What `acuse train --base` ends with, on a directory as its export leaves it (an older likeness among it)."""
    made = tmp_path / "mine"
    shutil.copytree(MODELS / SHIPPED, made)
    (made / FILE).write_bytes(b"of an encoder that stood there before")
    learn = sorted(split(examples_of(DATA)).train, key=lambda one: len(one.text))[-1200:-100]
    told: list[str] = []
    compare(made, learn[:100], told.append)
    assert not (made / FILE).exists() and "no similar cases" in told[0]
    assert load(made).embed("llegó rota") is None and load(made).space is None
    compare(made, learn[::2], told.append)
    trained = load(made)
    assert len(told) == 1 and trained.space and trained.space.startswith(trained.name)

    def near(one: str, other: str) -> float:
        first, second = trained.embed(one), trained.embed(other)
        assert first is not None and second is not None
        return sum(a * b for a, b in zip(first, second, strict=True))

    report = "La licuadora que compré llegó con la jarra rota y quiero que me la cambien"
    assert near(report, report) == pytest.approx(1, abs=1e-4)
    assert near(report, "La jarra de mi licuadora llegó rota, necesito el cambio") > 0.3
    assert near(report, "El asesor fue muy grosero conmigo cuando llamé") < 0.2
