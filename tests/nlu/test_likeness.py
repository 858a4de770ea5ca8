"""The shipped model's vectors: messages of one happening find each other, and the same text lies in the same place."""

from collections.abc import Iterator
from random import Random

import pytest

from nlu.likeness_fit import DATA, measured, parted
from nlu.model import Own, load
from nlu.train_data import load as examples_of


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
    [found] = measured(model, chosen, [0.4])
    assert found.precision >= 0.75 and found.recall >= 0.30, found


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
