"""What agents corrected becomes anonymous examples, with the company's leave (issue 3, 8); and the drift by week."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from bot.figures import Figures, UnderstoodWeek
from bot.learning import NoConsent, anonymous, examples
from nlu.train_data import load
from nlu.understanding import Hint
from tests.conftest import Clock
from tests.world import World

REPORT = (
    "Soy Rosa Díaz, cédula 52.889.112, vivo en la Cra 7 # 32-16. El pedido 48213 llegó roto,"
    " escríbanme a rosa.diaz@correo.example o al 300 123 4567"
)


async def _given_out(world: World) -> list[str]:
    allowed = replace(world.parts, policy=world.parts.policy.model_copy(update={"share_corrections": True}))
    return [line async for line in examples(allowed)]


async def _corrected(
    world: World, who: str, text: str, *, type: str | None = None, severity: str | None = None
) -> None:
    talk = await world.write("chat", who, text, name="Rosa Díaz")
    desk = world.desk(await world.agent(f"agent-{who}"))
    if type:
        await desk.classify(talk, type)
    if severity:
        await desk.grade(talk, severity)


async def test_nothing_is_given_out_without_the_companys_leave(world: World) -> None:
    await _corrected(world, "rosa", REPORT, type="queja")
    with pytest.raises(NoConsent, match="share_corrections"):
        [line async for line in examples(world.parts)]


async def test_a_correction_is_an_example_that_training_reads(world: World, tmp_path: Path, clock: Clock) -> None:
    await _corrected(world, "rosa", REPORT, type="queja", severity="high")
    clock.advance(timedelta(minutes=1))
    await world.write("chat", "rosa", "y además el vendedor me gritó")  # later words did not decide the type
    await world.write("chat", "luis", "me cobraron dos veces la factura de noviembre")  # nobody corrected it
    lines = await _given_out(world)
    [example] = [json.loads(line) for line in lines]
    assert (example["type"], example["severity"], example["language"]) == ("queja", "high", "es")
    assert "llegó roto" in example["text"] and "gritó" not in example["text"]
    file = tmp_path / "corrected.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    [read] = load(file)
    assert (read.type, read.scenario) == ("queja", example["scenario"])


async def test_an_example_names_nobody(world: World) -> None:
    """L: no name, number or address of the person is left, nor the case that it came from."""
    await _corrected(world, "rosa", REPORT, type="queja")
    [line] = await _given_out(world)
    [case] = await world.cases()
    for secret in ("Rosa", "Díaz", "52.889", "112", "32-16", "48213", "correo.example", "123", "4567", str(case.id)):
        assert secret not in line, secret


async def test_the_newest_correction_counts_and_every_case_once(world: World, clock: Clock) -> None:
    for number in range(3):
        clock.advance(timedelta(minutes=1))
        await _corrected(world, f"p{number}", "el pedido llegó roto y quiero otro", type="queja")
    clock.advance(timedelta(minutes=1))
    await world.desk(await world.agent()).classify((await world.conversations())[0].id, "sugerencia")
    found = [json.loads(line) for line in await _given_out(world)]
    assert sorted(one["type"] for one in found) == ["queja", "queja", "sugerencia"]
    assert len({one["id"] for one in found}) == 3


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("llámame al +57 300 123 4567", "llámame al +00 000 000 0000"),
        ("mi correo es a.b@c.example, gracias", "mi correo es correo@example.com, gracias"),
        ("mira https://x.example/u/998877", "mira https://example.com"),
        ("me cobraron $45.000 el lunes", "me cobraron $00.000 el lunes"),
        ("tengo 3 hijos", "tengo 3 hijos"),
    ],
)
def test_what_stands_instead(text: str, left: str) -> None:
    assert anonymous(text, "", Hint(now=datetime.fromisoformat("2026-11-24T10:00:00-05:00"))) == left


async def test_drift_is_told_by_week(world: World, clock: Clock) -> None:
    await _corrected(world, "rosa", REPORT, type="queja")
    await world.write("chat", "luis", "me cobraron dos veces la factura 8817")
    clock.advance(timedelta(days=7))
    await world.write("chat", "eva", "es sobre lo de mi contrato con ustedes y el tema del técnico")
    figures = Figures(world.parts)
    weeks = (await figures.overview(figures.period(days=21))).understood
    monday = clock().date() - timedelta(days=clock().weekday())
    assert [week.week for week in weeks] == [monday - timedelta(days=7), monday]
    assert weeks[0] == UnderstoodWeek(monday - timedelta(days=7), cases=2, doubtful=0, corrected=1, by_rules=2)
    assert (weeks[1].cases, weeks[1].doubtful, weeks[1].corrected) == (1, 1, 0)
    assert isinstance(weeks[0].week, date)
