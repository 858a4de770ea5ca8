"""Under which subject a mail is answered: that of its thread, and a line of ours where that is no text."""

import pytest

from tests.world import World

REPORT = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."


@pytest.mark.parametrize("subject", ["=\ufffd=", "Re: =\ufffd=", "\x81\x8d", "=ÿ=þ", "=?utf-8?Q", "Re: ===", "RV: "])
async def test_P13_a_subject_that_could_not_be_decoded_is_not_sent_back(world: World, subject: str) -> None:
    await world.write("email", "ana@x.example", REPORT, subject=subject)
    [case] = await world.cases()
    answers = [one.subject or "" for one in world.sent("email", "ana@x.example") if one.kind != "ack"]
    assert answers and set(answers) <= {"Tu caso en Nube", case.code}


@pytest.mark.parametrize("subject", ["Licuadora rota", "RE: Reclamação nº 7", "¿¿Y mi pedido??", "4471", "😡😡"])
async def test_P13_a_subject_that_can_be_read_stays_the_threads(world: World, subject: str) -> None:
    await world.write("email", "ana@x.example", REPORT, subject=subject)
    [answer] = {one.subject for one in world.sent("email", "ana@x.example") if one.kind != "ack"}
    assert answer == f"Re: {subject.removeprefix('RE: ')}"
