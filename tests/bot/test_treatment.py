"""How a person is addressed: as they address us, on every channel."""

from tests.world import World


async def test_whoever_writes_usted_is_answered_so_on_every_channel(world: World) -> None:
    await world.write("chat", "ana", "disculpe, ¿usted me puede ayudar? la nevera llegó dañada")
    assert "frustrante para usted" in world.sent("chat")[-1].text
    await world.write("chat", "ana", "la factura es la 7712")
    assert "tu " not in world.sent("chat")[-1].text
    async with world.parts.database.transaction() as tx:
        contact = await tx.people.contact("chat", "ana")
        assert contact is not None
        assert (await tx.people.get(contact.person_id)).treatment == "usted"
        await tx.people.add_contact(contact.person_id, "telegram", "ana-t", verified_by="link")
    await world.write("telegram", "ana-t", "hola")
    ack, greeting = world.sent("telegram")
    assert "Recibí su mensaje" in ack.text
    assert "Cuénteme" in greeting.text


async def test_whoever_does_not_is_addressed_as_the_company_wants(world: World) -> None:
    await world.write("chat", "ana", "ustedes me cobraron dos veces")
    assert "frustrante para ti" in world.sent("chat")[-1].text
