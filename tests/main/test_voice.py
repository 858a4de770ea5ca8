"""Listening to voice notes as an operator has it: a model that is not there is one sentence, and nothing stops."""

from collections.abc import Callable
from pathlib import Path

import httpx

from tests.main.house import CONFIG, House, Visitor, until


def test_P24_a_speech_model_that_is_not_there_is_one_sentence_and_nothing_stops(
    a_house: Callable[..., House], tmp_path: Path
) -> None:
    house = a_house(config=CONFIG.replace("enabled: false", f"enabled: false, speech: '{tmp_path / 'nowhere'}'"))
    house.serve()
    health = httpx.get(f"{house.address}/health").json()
    assert health["ok"] and "no model directory (no config.json)" in health["voice notes"]["problem"]
    assert health["parts"]["voice notes"]["state"] == "running"
    visitor = Visitor(house)
    visitor.say("", ("nota.ogg", b"OggS" + bytes(200)))
    until(lambda: any("nota de voz" in one["html"] for one in visitor.history()), what="the polite request")
    checked = house.start("check")
    checked.ended()
    assert "! voice notes: nlu.speech:" in checked.said and "give that of a speech recognition" in checked.said
