"""P13: a new subject on an old answer makes the bot ask whether it is about the same case."""

from tests.bot.rows import messages
from tests.world import World

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra. Soy Ana Gómez."
MORE = "El pedido era para mi mamá."


async def _filed(world: World) -> None:
    """A case by mail that needs nothing more."""
    await world.write("email", "ana@x.co", BROKEN, subject="Licuadora")
    for _ in range(2):  # what is missing, and the summary
        await world.write("email", "ana@x.co", "Sí, así está bien.", replies_to=(await _last(world),))
    assert [one.stage for one in await world.cases()] == ["filed"]


async def _last(world: World) -> str:
    ids = [one.provider_id for one in await world.outgoing() if one.account == "email" and one.provider_id]
    return ids[-1]


async def test_p13_an_answer_under_a_new_subject_is_asked_about(world: World) -> None:
    await _filed(world)
    ours = await _last(world)
    await world.write("email", "ana@x.co", MORE, subject="Factura", subject_changed=True, replies_to=(ours,))
    assert len(await world.cases()) == 1 and "algo nuevo" in world.sent("email")[-1].text
    await world.write("email", "ana@x.co", "Es algo nuevo", replies_to=(await _last(world),))
    assert len(await world.cases()) == 2
    assert [one.event for one in await messages(world) if one.event] == [{"other_subject": True}]


async def test_p13_under_the_same_subject_it_goes_on(world: World) -> None:
    await _filed(world)
    ours = await _last(world)
    await world.write("email", "ana@x.co", MORE, subject="Re: Licuadora", replies_to=(ours,))
    assert len(await world.cases()) == 1 and "algo nuevo" not in world.sent("email")[-1].text
