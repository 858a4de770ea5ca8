"""A failed message goes to a corrected address (issue 4, item 5): what one that nobody proved may learn, and when."""

from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from bot.corrections import KNOCK
from bot.views import Me
from channels.channel import Undeliverable
from console.site import Site
from storage.tables import Outgoing
from tests.bot.rows import contact, outgoing, rows, send_all
from tests.console.test_desk import REPORT, enter, hire, post
from tests.world import World

WRONG, RIGHT = "ama@example.com", "ana@example.com"
ANSWER = "Ana, mañana sale tu licuadora nueva a la calle 12."


@pytest.fixture
async def pedro(site: Site) -> Me:
    return await hire(site, "pedro", "Pedro Salas")


@pytest.fixture
async def token(client: httpx.AsyncClient, pedro: Me) -> str:
    """Pedro is logged in."""
    return await enter(client, "pedro")


@pytest.fixture
async def failed(world: World, pedro: Me) -> Outgoing:
    """Pedro's answer to Ana, which came back: there is no such mailbox."""
    talk = await world.write("email", WRONG, REPORT, subject="Mi licuadora rota", name="Ana Gómez", authentic=True)
    await send_all(world)
    desk = world.desk(pedro)
    await desk.take(talk)
    await desk.reply(talk, ANSWER, key="1")
    async with world.parts.database.transaction() as tx:
        for row in await tx.outbox.waiting(talk):
            row.not_before = world.clock() - timedelta(seconds=1)
    world.memory("email").fail(Undeliverable("550 no such user"), times=2)
    await send_all(world)
    world.memory("email")._failures.clear()
    world.memory("email").sent.clear()
    [row] = await outgoing(world, "agent")
    assert row.state == "failed"
    return row


async def correct(client: httpx.AsyncClient, token: str, row_id: UUID, to: str, way: str = "email") -> httpx.Response:
    """As the page's form does it."""
    return await post(client, f"/desk/sent/{row_id}/correct", token, account=way, address=to)


async def code_of(world: World) -> str:
    return (await world.cases())[0].code


async def release(world: World) -> None:
    """What the ticker does every few seconds."""
    await world.ticker.sweep()
    await send_all(world)


async def test_P15_L2_an_unproved_address_gets_a_notice_without_a_word_of_the_case(
    client: httpx.AsyncClient, token: str, world: World, failed: Outgoing
) -> None:
    """It really leaves, with a proof record; no name, code, subject, file or word of the message goes with it."""
    assert str(failed.id) in (await client.get("/desk/failed")).text
    assert (await correct(client, token, failed.id, f" {RIGHT.upper()} ")).status_code == 200
    await release(world)
    [notice] = world.sent("email")
    assert notice.to.value == RIGHT
    everything = f"{notice.text} {notice.subject} {notice.code} {notice.blanks} {notice.replies_to}"
    for word in ("Ana", "licuadora", "calle 12", "rota", await code_of(world), (await code_of(world))[4:], "Pedro"):
        assert word not in everything, word
    assert (notice.files, notice.buttons, notice.code) == ((), (), None)
    assert "con el código de tu caso" in notice.text
    [knock] = await outgoing(world, KNOCK)
    proof = (await client.get(f"/desk/proof/{knock.id}?form=json")).json()
    assert (proof["address"], proof["state"], proof["instead_of"]) == (RIGHT, "sent", str(failed.id))
    assert str(failed.id) not in (await client.get("/desk/failed")).text
    room = (await client.get(f"/desk/c/{failed.conversation_id}")).text
    assert "Espera a que confirmen la dirección" in room
    assert "Corregiste la dirección" in room


async def test_P15_the_message_leaves_once_somebody_names_the_case_from_there(
    client: httpx.AsyncClient, token: str, world: World, failed: Outgoing
) -> None:
    """The address is proved then, and is the customer's own; it leaves once."""
    await correct(client, token, failed.id, RIGHT)
    await release(world)
    [knock] = await outgoing(world, KNOCK)
    assert knock.provider_id is not None
    await world.write("email", RIGHT, "¿quién es?", replies_to=(knock.provider_id,), authentic=False)
    await release(world)
    assert all(ANSWER not in one.text for one in world.sent("email"))  # a stranger may well answer
    code = (await code_of(world)).lower()
    await world.write("email", RIGHT, f"mi caso es {code}", authentic=False)  # anybody can write that in a From
    await release(world)
    assert all(ANSWER not in one.text for one in world.sent("email"))
    await world.write("email", RIGHT, f"mi caso es {code}", replies_to=(knock.provider_id,), authentic=False)
    await release(world)
    await release(world)
    assert [one.to.value for one in world.sent("email") if one.text == ANSWER] == [RIGHT]
    case = (await world.cases())[0]
    proved = await contact(world, "email", RIGHT)
    assert (proved.person_id, proved.verified_by) == (case.person_id, "code")
    copies = [one for one in await outgoing(world, "agent") if one.address == RIGHT]
    assert [(one.state, one.fallback_of) for one in copies] == [("sent", failed.id)]


async def test_an_address_of_theirs_that_is_proved_gets_everything_at_once(
    client: httpx.AsyncClient, token: str, world: World, failed: Outgoing
) -> None:
    [case] = await world.cases()
    async with world.parts.database.transaction() as tx:
        await tx.people.add_contact(case.person_id, "email", RIGHT, verified_by="code")
    await correct(client, token, failed.id, RIGHT)
    await release(world)
    assert [(one.to.value, one.text) for one in world.sent("email")] == [(RIGHT, ANSWER)]


async def test_somebody_else_s_address_is_no_proof(
    client: httpx.AsyncClient, token: str, world: World, failed: Outgoing
) -> None:
    """It is another customer's, proved: they get the notice and no more, and stay who they are."""
    await world.write("email", RIGHT, REPORT, authentic=True, name="Otra Ana")
    await send_all(world)
    world.memory("email").sent.clear()
    other = (await contact(world, "email", RIGHT)).person_id
    await correct(client, token, failed.id, RIGHT)
    await release(world)
    assert [one.kind for one in world.sent("email")] == [KNOCK]
    assert (await contact(world, "email", RIGHT)).person_id == other


async def test_what_nobody_proves_is_on_the_list_again_after_a_week(
    client: httpx.AsyncClient, token: str, world: World, failed: Outgoing
) -> None:
    await correct(client, token, failed.id, RIGHT)
    await release(world)
    async with world.parts.database.transaction() as tx:
        for one in await tx.outbox.awaiting():
            one.created_at = world.clock() - timedelta(days=8)
    await release(world)
    assert "nobody has proved the new address" in (await client.get("/desk/failed")).text
    assert [one.kind for one in world.sent("email")] == [KNOCK]


async def test_a_notice_that_comes_back_can_be_corrected_too(
    client: httpx.AsyncClient, token: str, world: World, failed: Outgoing
) -> None:
    """What waited for the second wrong address never leaves there."""
    world.memory("email").fail(Undeliverable("550 again"))
    await correct(client, token, failed.id, "an@example.com")
    await release(world)
    [knock] = await outgoing(world, KNOCK)
    assert knock.state == "failed"
    assert (await correct(client, token, knock.id, RIGHT)).status_code == 200
    await release(world)
    assert [(one.to.value, one.kind) for one in world.sent("email")] == [(RIGHT, KNOCK)]
    waiting = [one for one in await rows(world, Outgoing) if one.awaits_proof]
    assert [(one.address, one.text) for one in waiting] == [(RIGHT, ANSWER)]


@pytest.mark.parametrize(
    ("way", "to", "words"),
    [
        ("email", "ana", "no es una dirección de correo"),
        ("email", "ana@example.com, beto@example.com", "no es una dirección de correo"),
        ("email", WRONG, "Es la misma dirección"),
        ("telegram", "77", "no se puede escribir a una dirección nueva"),
        ("nothing", "77", "no se puede escribir a una dirección nueva"),
    ],
)
async def test_what_is_no_address_is_refused_and_nothing_leaves(
    client: httpx.AsyncClient, token: str, world: World, failed: Outgoing, way: str, to: str, words: str
) -> None:
    answer = await correct(client, token, failed.id, to, way)
    assert answer.status_code == 409
    assert words in answer.text
    await release(world)
    assert world.sent("email") == []


async def test_one_message_is_corrected_once_and_nobody_is_flooded(
    client: httpx.AsyncClient, token: str, world: World, failed: Outgoing
) -> None:
    assert (await correct(client, token, failed.id, RIGHT)).status_code == 200
    assert "ya llegó o ya salió" in (await correct(client, token, failed.id, RIGHT)).text
    async with world.parts.database.transaction() as tx:
        for _ in range(2):
            assert await tx.limits.use(f"code:{RIGHT}", at_most=3, within=timedelta(hours=1))
        row = await tx.outbox.get(failed.id, lock=True)
        assert row is not None
        row.fallback_at = None
    assert "tres avisos" in (await correct(client, token, failed.id, RIGHT)).text
