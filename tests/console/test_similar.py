"""Similar cases on the conversation's page: what an agent reads, in three languages, for one query more."""

from typing import Any

import httpx
import psycopg
import pytest

from console.site import Site
from storage.similar import DIMENSIONS
from tests.console.test_desk import REPORT, enter, hire
from tests.world import World

OTHER = "Mi licuadora del pedido 50001 llegó <rota> y quiero otra"
SAID = {
    "es": ("Casos parecidos", "Muy parecido. Acuse enviado"),
    "en": ("Similar cases", "Very similar. "),
    "pt": ("Casos parecidos", "Muito parecido. "),
}


async def alike(world: World) -> str:
    """Two cases of two people that lie together; the page of the first."""
    talk = await world.write("chat", "ana", REPORT)
    await world.write("telegram", "ben", OTHER)
    async with world.parts.database.transaction() as tx:
        for case in await world.cases():
            tx.similar.keep(case.id, [1.0] + [0.0] * (DIMENSIONS - 1), "small")
    return f"/desk/c/{talk}?view=all"


@pytest.mark.parametrize("language", ["es", "en", "pt"])
async def test_the_panel_shows_similar_cases(
    client: httpx.AsyncClient, world: World, site: Site, language: str
) -> None:
    await hire(site, "pedro", "Pedro Salas")
    path = await alike(world)
    async with world.parts.database.transaction() as tx:
        [agent] = await tx.agents.all()
        agent.language = language
    await enter(client, "pedro")
    page = (await client.get(path)).text
    part = page[page.index('id="side-similar"') :].partition("</section>")[0]
    code = next(case.code for case in await world.cases() if case.facts["what"] == [OTHER])
    assert all(words in part for words in SAID[language]), part
    assert f'href="/desk?q={code}"' in part and "&lt;rota&gt;" in part and part.count("<li") == 1


async def test_it_costs_one_query_of_fifteen(
    client: httpx.AsyncClient, world: World, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hire(site, "pedro", "Pedro Salas")
    path = await alike(world)
    await enter(client, "pedro")
    asked: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def counted(cursor: psycopg.AsyncCursor[Any], query: Any, *rest: Any, **options: Any) -> Any:
        if query != ";":  # the pool's look whether a connection lives
            asked.append(str(query))
        return await execute(cursor, query, *rest, **options)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)
    assert "side-similar" in (await client.get(path)).text
    assert len([query for query in asked if "similar" in query]) == 1
    assert len(asked) <= 15, "\n".join(" ".join(one.split())[:110] for one in asked)
