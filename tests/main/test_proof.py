"""`acuse proof CODE`: all that was sent of a case as a file, beside a running Acuse; and `acuse check-proof`."""

import json
import re
from collections.abc import Callable

from tests.main.house import House, Visitor, until


def test_the_proof_of_a_case_is_a_file_that_can_be_checked(a_house: Callable[..., House]) -> None:
    house = a_house()
    house.serve()
    visitor = Visitor(house)
    visitor.say("Llegó rota la licuadora del pedido 48213, quiero que me la cambien")

    def code() -> str | None:
        found = re.search(r"PQR-\w{7}", json.dumps(visitor.history()))
        return found[0] if found else None

    wanted, file = until(code, what="a receipt"), house.place / "proof.json"
    made = house.start("proof", wanted.lower(), str(file))
    assert made.ended() == 0, made.said + made.complained
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["content"]["case"]["code"] == wanted
    assert f"{len(document['content']['messages'])} messages in {file}, SHA-256 {document['sha256']}" in made.said
    well = house.start("check-proof", str(file))
    assert well.ended() == 0 and "whole, and made by this installation" in well.said
    file.write_text(file.read_text(encoding="utf-8").replace("licuadora", "nevera").replace("caso", "asunto"))
    changed = house.start("check-proof", str(file))
    assert changed.ended() == 1 and "CHANGED" in changed.said
    none = house.start("proof", "PQR-0000000")
    assert none.ended() == 2
    assert none.said.strip().startswith("There is no case PQR-0000000: write its code as the customer has it")
