"""The proof of a notification, as a page and as data; and a failed message that leaves again by one click."""

import httpx
import pytest

from bot.case_proof import CaseProofs
from bot.views import Me
from channels.channel import DeliveryReport, Undeliverable
from console.site import Site
from tests.bot.rows import outgoing
from tests.console.test_desk import REPORT, enter, hire, post
from tests.world import World


@pytest.fixture
async def pedro(site: Site) -> Me:
    return await hire(site, "pedro", "Pedro Salas")


@pytest.fixture
async def token(client: httpx.AsyncClient, pedro: Me) -> str:
    """Pedro is logged in."""
    return await enter(client, "pedro")


async def test_the_proof_says_what_went_where_and_each_state_with_its_time(
    client: httpx.AsyncClient, token: str, world: World
) -> None:
    talk = await world.write("chat", "ana", REPORT)
    [receipt] = await outgoing(world, "receipt")
    assert receipt.provider_id is not None
    told = DeliveryReport(account="chat", provider_id=receipt.provider_id, state="delivered", at=world.clock())
    await world.intake.keep("chat", told)
    page = await client.get(f"/desk/proof/{receipt.id}")
    assert page.status_code == 200
    for word in (receipt.code, receipt.provider_id, "Entregado", "Enviado", "no confirma la entrega"):
        assert word is not None
        assert word in page.text
    assert f"/desk/proof/{receipt.id}" in (await client.get(f"/desk/c/{talk}")).text
    answer = await client.get(f"/desk/proof/{receipt.id}?form=json")
    data = answer.json()
    assert [one["state"] for one in data["steps"]] == ["sent", "delivered"]
    assert (data["address"], data["text"], data["confirms"]) == ("ana", receipt.text, False)
    assert "attachment" in answer.headers["content-disposition"]


async def test_the_proof_is_behind_the_door_and_only_of_what_there_is(
    client: httpx.AsyncClient, token: str, world: World
) -> None:
    nobody = "00000000-0000-0000-0000-000000000001"
    assert (await client.get(f"/desk/proof/{nobody}")).status_code == 404
    client.cookies.clear()
    assert (await client.get(f"/desk/proof/{nobody}")).status_code == 303


async def test_P15_a_failed_message_leaves_by_one_click_even_after_a_pause(
    client: httpx.AsyncClient, token: str, world: World
) -> None:
    """The provider gets it, not just the screen."""
    talk = await world.write("chat", "ana", REPORT)
    world.memory("chat").fail(Undeliverable("gone"))
    await world.desk(await world.agent("marta", "Marta")).move(talk, "en_investigacion")
    await world.sending.run(talk)
    [row] = await outgoing(world, "update")
    assert str(row.id) in (await client.get("/desk/failed")).text
    before = len(world.sent("chat"))
    async with world.parts.database.transaction() as tx:
        await tx.pacing.pause("chat", "admin")
    assert (await post(client, f"/desk/sent/{row.id}/resend", token)).status_code == 200
    await world.sending.run(talk)
    assert len(world.sent("chat")) == before
    async with world.parts.database.transaction() as tx:
        await tx.pacing.resume("chat")
    await world.sending.run(talk)
    assert [one.text for one in world.sent("chat")[before:]] == [row.text]
    assert str(row.id) not in (await client.get("/desk/failed")).text


async def test_one_click_gives_the_proof_of_a_whole_case(client: httpx.AsyncClient, token: str, world: World) -> None:
    """A page to print that holds the data, and the data alone; both can be checked."""
    talk = await world.write("chat", "ana", REPORT)
    marta = world.desk(await world.agent("marta", "Marta"))
    await marta.take(talk)
    await marta.reply(talk, "Escriba </script><script>alert(1)</script>", key="1")
    await world.sending.run(talk)
    [case] = await world.cases()
    address = f"/desk/proof/case/{case.code}"
    assert address in (await client.get(f"/desk/c/{talk}")).text
    page = await client.get(address)
    assert page.headers["content-disposition"] == f'attachment; filename="constancia-{case.code}.html"'
    rows = await world.outgoing()
    assert len(rows) > 1
    for row in rows:
        assert row.provider_id is not None and row.provider_id in page.text
    proofs = CaseProofs(world.parts)
    found = proofs.check(page.text)
    assert (found.verdict, found.code, found.messages) == ("ours", case.code, len(rows))
    assert page.text.count("<script") == 1 and found.sha256 in page.text
    data = await client.get(f"{address}?form=json")
    assert data.headers["content-disposition"] == f'attachment; filename="constancia-{case.code}.json"'
    assert proofs.check(data.text).verdict == "ours"
    assert (await client.get("/desk/proof/case/PQR-0000000")).status_code == 404
    client.cookies.clear()
    assert (await client.get(address)).status_code == 303
