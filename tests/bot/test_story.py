"""One true story from the first word to "solved", step by step, through the real verbs and the real database."""

from datetime import date, timedelta
from pathlib import Path

from tests.conftest import Clock
from tests.world import World, a_world


async def test_a_complaint_becomes_a_case_and_an_agent_answers_it(
    database_url: str, clock: Clock, tmp_path: Path
) -> None:
    """R012 R013 R016 R096 R112 L-1 L-5: kept, acknowledged, a case, taken over, answered, solved by the customer."""
    async with a_world(database_url, clock, tmp_path) as world:
        talk = await world.write("chat", "ana", "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra.")
        ack, receipt = world.sent("chat")
        assert "asistente virtual (IA)" in ack.text
        [case] = await world.cases()
        assert case.code in receipt.text.splitlines()
        assert "martes 24 de marzo" in receipt.text
        assert (case.type, case.status, case.due) == ("reclamo", "acusado", date(2026, 3, 24))
        assert case.facts["order"] == ["48213"]
        assert "pedido" not in receipt.text.lower().partition(case.code)[2]  # the order is known: never asked

        await world.write("chat", "ana", "fue el jueves pasado en la sede Centro")
        await world.write("chat", "ana", "sí, correcto")
        assert (await world.cases())[0].stage == "filed"

        pedro = await world.agent()
        desk = world.desk(pedro)
        await desk.take(talk)
        await desk.reply(talk, "Hola, soy Pedro. Mañana sale la nueva.", key="1")
        clock.advance(timedelta(minutes=1))
        before = len(world.sent("chat"))
        await world.write("chat", "ana", "gracias, pero necesito saber cuándo")
        assert [one.text for one in world.sent("chat")[before:]][1:] == ["Hola, soy Pedro. Mañana sale la nueva."]

        await _move(world, "en_investigacion", "propuesta", "comunicado", "aceptado", "cumplido")
        [case] = await world.cases()
        assert (case.solved_by, case.closed_at) == ("agent", None)  # the agent says so; the customer has not
        closing = world.sent("chat")[-1]
        assert "¿Quedó bien resuelto?" in closing.text
        assert [button.label for button in closing.buttons] == ["Sí", "Todavía no"]

        await world.write("chat", "ana", "", pressed=closing.buttons[0].payload)
        [case] = await world.cases()
        assert (case.solved_by, case.status, case.closed_at) == ("customer", "cerrado", clock())
        async with world.parts.database.transaction() as tx:
            assert await tx.cases.verify(case.id) > 8


async def test_not_yet_reopens_and_flags(database_url: str, clock: Clock, tmp_path: Path) -> None:
    """R110 R119: "Todavía no" opens the case again and puts it before people."""
    async with a_world(database_url, clock, tmp_path) as world:
        talk = await world.write("chat", "ana", "Llegó rota la licuadora del pedido 48213, quiero otra")
        await _move(world, "en_investigacion", "propuesta", "comunicado", "aceptado", "cumplido")
        await world.write("chat", "ana", "todavía no")
        [case] = await world.cases()
        assert (case.status, case.solved_by, case.closed_at) == ("en_investigacion", None, None)
        [conversation] = await world.conversations()
        assert conversation.id == talk
        assert conversation.flag_reason == "not_solved"


async def _move(world: World, *states: str) -> None:
    me = await world.agent("marta", "Marta")
    [talk] = await world.conversations()
    if talk.speaker != "bot":
        me = await world.agent_by_mark(talk.speaker)
    for state in states:
        await world.desk(me).move(talk.id, state)
        await world.settle(talk.id)
