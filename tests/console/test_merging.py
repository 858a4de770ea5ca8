"""The desk's pages for two cases that are one matter (P9), and for people who turned out to be one (P8)."""

import asyncio
import html
import re
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from bot.joins import Joins
from bot.views import Me
from channels.channel import Media
from console.site import Site
from storage.tables import Audit, Case, ContactPoint, Conversation, Merge, Person
from tests.bot.rows import contact, outgoing, rows, send_all
from tests.console.test_desk import enter, hire, post
from tests.world import World

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
RUDE = "Me quejo de la cajera de la sede Centro: fue muy grosera conmigo ayer."
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


@pytest.fixture
async def pedro(site: Site) -> Me:
    return await hire(site, "pedro", "Pedro Salas")


@pytest.fixture
async def token(client: httpx.AsyncClient, pedro: Me) -> str:
    """Pedro is logged in."""
    return await enter(client, "pedro")


async def one_person(world: World) -> tuple[Case, Case]:
    """Ana by mail and in the chat, who proved that she is one."""
    await world.write("email", "ana@x.example", BROKEN, thread="1", media=(Media(name="foto.png", content=PNG),))
    await world.write("chat", "ana", RUDE)
    await joined(world)
    older, newer = await world.cases()
    return older, newer


async def joined(world: World) -> None:
    mail = await contact(world, "email", "ana@x.example")
    async with world.parts.database.transaction() as tx:
        await Joins(world.parts, tx).prove(await tx.people.get(mail.person_id), "chat", "ana", "code")


async def talk_of(world: World, case: Case) -> str:
    return f"/desk/c/{next(one.id for one in await world.conversations() if one.case_id == case.id)}"


async def the_page(client: httpx.AsyncClient, path: str) -> str:
    answer = await client.get(f"{path}?view=all")
    assert answer.status_code == 200
    return html.unescape(answer.text)


async def test_P9_an_agent_merges_and_parts_on_the_page(client: httpx.AsyncClient, world: World, token: str) -> None:
    older, newer = await one_person(world)
    before = [one.model_dump(exclude={"last_event", "last_hash", "updated_at"}) for one in await world.cases()]
    path = await talk_of(world, older)
    page = await the_page(client, path)
    assert f'<input type="hidden" name="code" value="{older.code}">' in page and f'value="{newer.code}"' in page
    assert "el cliente recibe un solo aviso" in page
    answer = await post(client, f"{path}/merge", token, code=older.code, into=newer.code, reason="La misma compra")
    assert answer.status_code == 200, answer.text
    await send_all(world)
    told = await outgoing(world, "update")
    assert [one.code for one in told] == [newer.code]
    page = await the_page(client, path)
    assert "Casos unidos a este" in page and "«La misma compra»" in page and older.code in page
    assert "foto.png" in page and "48213" in page
    assert f"Es la fecha de {older.code}" not in page  # both are due on the same day
    for code in (older.code, newer.code, older.code[4:].lower()):
        found = html.unescape((await client.get("/desk", params={"q": code})).text)
        assert path.rsplit("/", 1)[-1] in found, code
    [merge] = await rows(world, Merge)
    assert str(merge.id) in page
    answer = await post(client, f"{path}/unmerge", token, merge=str(merge.id))
    assert answer.status_code == 200, answer.text
    after = [one.model_dump(exclude={"last_event", "last_hash", "updated_at"}) for one in await world.cases()]
    assert after == before
    assert "Casos unidos a este" not in await the_page(client, path)


@pytest.mark.parametrize("language", ["es", "en", "pt"])
async def test_P9_the_page_speaks_the_agents_language(
    client: httpx.AsyncClient, world: World, token: str, language: str
) -> None:
    older, newer = await one_person(world)
    await post(client, "/desk/me", token, language=language, name="Pedro Salas")
    path = await talk_of(world, older)
    assert (await post(client, f"{path}/merge", token, code=older.code, into=newer.code, reason="x")).status_code < 300
    page = await the_page(client, await talk_of(world, newer))
    words = {"es": "Uniste a este el caso", "en": "You merged case", "pt": "Você uniu a este o caso"}
    assert words[language] in page


async def test_P9_whoever_merged_in_a_place_that_closes_is_led_to_where_it_goes_on(
    client: httpx.AsyncClient, world: World, token: str
) -> None:
    """Two cases in one chat: the older one stood in a thread that only kept it."""
    talk = await world.write("chat", "ana", "Felicito a Laura, me ayudó mucho")
    for text, pressed in (("sí", None), (RUDE, None), ("", "same:no")):
        await world.write("chat", "ana", text, pressed=pressed)
    older, newer = await world.cases()
    kept = await talk_of(world, older)
    answer = await post(client, f"{kept}/merge", token, code=older.code, into=newer.code, reason="x")
    assert (answer.status_code, answer.headers.get("hx-redirect")) == (204, f"/desk/c/{talk}")


async def test_P9_refusals_say_what_to_do(client: httpx.AsyncClient, world: World, token: str) -> None:
    older, newer = await one_person(world)
    await world.write("telegram", "luis", "Sugiero que abran los domingos")
    foreign = (await world.cases())[-1]
    path = await talk_of(world, older)
    page = await the_page(client, path)
    assert f'value="{newer.code}"' in page and f'value="{foreign.code}"' not in page
    for into, reason, status, words in (
        (foreign.code, "x", 409, "código o enlace"),
        (older.code, "x", 409, "distinto de este"),
        (newer.code, " ", 422, "Escribe algo"),
        ("nonsense", "x", 409, "no se puede hacer"),
    ):
        answer = await post(client, f"{path}/merge", token, code=older.code, into=into, reason=reason)
        assert (answer.status_code, words in html.unescape(answer.text)) == (status, True), answer.text
    assert await rows(world, Merge) == []


async def test_P9_two_agents_at_once_over_the_pages(
    client: httpx.AsyncClient, world: World, site: Site, token: str
) -> None:
    """Both click at the same time: one wins, the other reads who it was; the customer hears of one merge."""
    from tests.console.conftest import a_client

    older, newer = await one_person(world)
    await hire(site, "marta", "Marta Gil")
    async with a_client(site) as second:
        other = await enter(second, "marta")
        one, two = await talk_of(world, older), await talk_of(world, newer)
        answers = await asyncio.gather(
            post(client, f"{one}/merge", token, code=older.code, into=newer.code, reason="x"),
            post(second, f"{two}/merge", other, code=newer.code, into=older.code, reason="x"),
        )
    told = [html.unescape(one.text) for one in answers if one.status_code == 409]
    assert len(told) == 1 and re.search("(Pedro Salas|Marta Gil) ya unió", told[0]), told
    assert len(await outgoing(world, "update")) == 1


async def test_P9_undo_is_refused_once_it_was_decided(client: httpx.AsyncClient, world: World, token: str) -> None:
    older, newer = await one_person(world)
    path = await talk_of(world, newer)
    await post(client, f"{path}/merge", token, code=older.code, into=newer.code, reason="x")
    for state in ("en_investigacion", "comunicado"):
        assert (await post(client, f"{path}/move", token, to=state)).status_code == 200
    [merge] = await rows(world, Merge)
    answer = await post(client, f"{path}/unmerge", token, merge=str(merge.id))
    assert answer.status_code == 409
    assert "vale para los dos" in html.unescape(answer.text)


async def everybody(world: World) -> list[list[tuple[Any, ...]]]:
    """All that a join may touch."""
    return [
        [(one.id, one.name, one.preferred_contact_id) for one in await rows(world, Person)],
        [(one.id, one.person_id, one.verified_at, one.verified_by) for one in await rows(world, ContactPoint)],
        [(one.id, one.person_id, one.case_id, one.state, one.speaker) for one in await rows(world, Conversation)],
        [(one.id, one.person_id, one.status, one.facts) for one in await rows(world, Case)],
    ]


async def test_P8_a_manager_parts_two_people_on_the_page_exactly(
    client: httpx.AsyncClient, world: World, site: Site
) -> None:
    await world.write("email", "ana@x.example", BROKEN, thread="1")
    await world.write("chat", "ana", RUDE)
    before = await everybody(world)
    await joined(world)
    assert await everybody(world) != before
    await hire(site, "jefa", "Jefa Ruiz", "manager")
    token = await enter(client, "jefa")
    path = await talk_of(world, (await world.cases())[0])
    page = await the_page(client, path)
    newer = (await world.cases())[1]
    assert "Personas unidas" in page and "confirmó un código" in page and f"Trajo: {newer.code}" in page
    [join] = [one for one in await rows(world, Audit) if one.action == "people joined"]
    assert f'name="join" value="{join.id}"' in page
    answer = await post(client, f"{path}/unjoin", token, join=str(join.id))
    assert answer.status_code == 200, answer.text
    assert await everybody(world) == before
    page = await the_page(client, path)
    assert "Las separó Jefa Ruiz" in page and 'name="join"' not in page
    again = await post(client, f"{path}/unjoin", token, join=str(join.id))
    assert again.status_code == 409


async def test_P8_an_agent_sees_the_joins_and_cannot_undo_them(
    client: httpx.AsyncClient, world: World, token: str
) -> None:
    older, _ = await one_person(world)
    path = await talk_of(world, older)
    page = await the_page(client, path)
    assert "Personas unidas" in page and 'name="join"' not in page
    [join] = [one for one in await rows(world, Audit) if one.action == "people joined"]
    before = await everybody(world)
    assert (await post(client, f"{path}/unjoin", token, join=str(join.id))).status_code == 403
    assert await everybody(world) == before


async def test_P9_pages_of_a_merged_case_ask_few_questions(
    client: httpx.AsyncClient, world: World, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everything that can stand beside a conversation: 15 queries, and the queue 12."""
    older, newer = await one_person(world)
    path = await talk_of(world, newer)
    await post(client, f"{path}/merge", token, code=older.code, into=newer.code, reason="x")
    await world.write("chat", "ana", "Gracias, espero noticias", sent_at=world.clock() + timedelta(seconds=1))
    asked: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def counted(cursor: psycopg.AsyncCursor[Any], query: Any, *rest: Any, **options: Any) -> Any:
        if query != ";":  # the pool's look whether a connection lives
            asked.append(" ".join(str(query).split())[:110])
        return await execute(cursor, query, *rest, **options)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)
    for page, most in (("/desk?view=all", 12), (f"{path}?view=all", 15)):
        asked.clear()
        assert (await client.get(page)).status_code == 200
        assert 3 <= len(asked) <= most, "\n".join([page, *asked])
