"""P18: with months of data no page and no message reads a large table from end to end."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from storage.listen import Bell
from tests.console.conftest import a_client, a_site, now
from tests.databases import Databases
from tests.world import World, a_world

REPORT = "Llegó rota la licuadora del pedido 48213, quiero que me la cambien"
PASSWORD = "una clave larga"
COUNT = 6_000  # twins of one real conversation with its case, one every three hours; one in fifty is still open
TWINS = f"""
CREATE TEMP TABLE twins AS
SELECT n, gen_random_uuid() AS person, gen_random_uuid() AS contact, gen_random_uuid() AS talk,
       gen_random_uuid() AS kase, now() - n * interval '3 hours' AS at, n % 50 = 0 AS open
  FROM generate_series(1, {COUNT}) n
"""
# each large table, and what its twins do not share with the first
LARGE = {
    "people": "'id', t.person, 'created_at', t.at",
    "contact_points": "'id', t.contact, 'person_id', t.person, 'address', 'twin-' || t.n, 'created_at', t.at",
    "cases": "'id', t.kase, 'person_id', t.person, 'code', 'T' || t.n, 'opened_at', t.at, 'updated_at', t.at, "
    "'status', CASE WHEN t.open THEN o.status ELSE 'cerrado' END, 'solved_at', CASE WHEN NOT t.open THEN t.at END, "
    "'closed_at', CASE WHEN NOT t.open THEN t.at END",
    "conversations": "'id', t.talk, 'person_id', t.person, 'contact_point_id', t.contact, 'case_id', t.kase, "
    "'created_at', t.at, 'last_at', t.at, 'last_in_at', t.at, 'flag_reason', CASE WHEN t.n % 100 = 0 THEN 'human' END, "
    "'flagged_at', CASE WHEN t.n % 100 = 0 THEN t.at END, 'closed_at', CASE WHEN NOT t.open THEN t.at END",
    "messages": "'id', gen_random_uuid(), 'conversation_id', t.talk, 'provider_key', o.provider_key || t.n, "
    "'sent_at', t.at, 'received_at', t.at, 'handled_at', t.at + interval '1 second'",
    "outgoing": "'id', gen_random_uuid(), 'conversation_id', t.talk, 'provider_id', o.provider_id || t.n, "
    "'case_id', CASE WHEN o.case_id IS NOT NULL THEN t.kase END, 'created_at', t.at, "
    "'sent_at', t.at + interval '2 seconds'",
}
COLUMNS = """
SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns
 WHERE table_name = %s AND is_generated = 'NEVER' AND table_schema = current_schema()
"""


@pytest.fixture(scope="module")
def months(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database of a company after half a year, made of one conversation that was held."""
    with databases.one() as url:
        asyncio.run(_one_talk(url, tmp_path_factory.mktemp("files")))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(TWINS.encode())
            for table, other in LARGE.items():
                [[columns]] = connection.execute(COLUMNS, (table,)).fetchall()
                copied = f"FROM {table} o, twins t, jsonb_populate_record(o, jsonb_build_object({other})) made"
                named = ", ".join(f"made.{one}" for one in columns.split(", "))
                connection.execute(f"INSERT INTO {table} ({columns}) SELECT {named} {copied}".encode())
                connection.execute(f"ANALYZE {table}".encode())
        yield url


async def _one_talk(url: str, files: Path) -> None:
    async with a_world(url, now, files) as world:
        await world.write("telegram", "ana", REPORT)


@pytest.fixture
async def world(months: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(months, now, tmp_path / "files") as made:
        yield made


class Read:
    """What the driver is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Any, Any]] = []
        execute = psycopg.AsyncCursor.execute

        async def noted(cursor: psycopg.AsyncCursor[Any], query: Any, params: Any = None, **options: Any) -> Any:
            self.asked.append((query, params))
            return await execute(cursor, query, params, **options)

        monkeypatch.setattr(psycopg.AsyncCursor, "execute", noted)

    def end_to_end(self, url: str) -> Sequence[str]:
        """The statements that read a large table whole, with their plans."""
        found = []
        with psycopg.connect(url) as connection:
            for query, params in self.asked:
                told = query.decode() if isinstance(query, bytes) else str(query)
                if not told.lstrip().upper().startswith(("SELECT", "WITH")):
                    continue
                plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {told}".encode(), params))
                if any(f"Seq Scan on {table}" in plan for table in LARGE):
                    found.append(f"{told}\n{plan}")
        return found


@pytest.mark.parametrize(
    "path",
    ["/desk", "/desk?view=open", "/desk?view=all", "/desk?view=mine", "/desk?view=overdue", "/desk/failed",
     "/desk/figures", "/desk/c/{talk}?view=all", "/desk?q=T4000", "/desk/accounts"],
)  # fmt: skip
async def test_P18_a_page_reads_by_index(path: str, world: World, months: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site = a_site(world, Bell(months))
    login = f"m{len(path)}{abs(hash(path)) % 1000}"
    await site.staff.add(login, "Elena Gil", "manager", PASSWORD)
    token = await site.staff.log_in(login, PASSWORD, "test")
    with psycopg.connect(months) as connection:
        [[talk]] = connection.execute("SELECT id FROM conversations ORDER BY last_at LIMIT 1").fetchall()
    async with a_client(site) as client:
        client.cookies.set("acuse_desk", token)
        read = Read(monkeypatch)
        answer = await client.get(path.format(talk=talk))
    assert answer.status_code == 200, answer.text[:300]
    assert len(read.asked) >= 2
    assert "\n".join(read.end_to_end(months)) == ""


async def test_P18_a_message_reads_by_index(world: World, months: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Read(monkeypatch)
    world.memory("telegram").write("ana", "its number is taken")
    kept = await world.intake.keep("telegram", world.memory("telegram").write("beto", REPORT))
    assert kept is not None
    await world.turns.run(kept.conversation_id)
    await world.sending.run(kept.conversation_id)
    assert len(read.asked) >= 10 and world.sent("telegram", "beto")
    assert read.end_to_end(months) == []
