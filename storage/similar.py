"""Cases that read alike: the vector of what the customer wrote, kept with its case, and the nearest to it (pgvector).

PostgreSQL may come without that extension, or without our right to make it. Then the table is not there, the two
functions that stand in every database do nothing, and no case is opened later or otherwise for it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from storage.scope import Scope

DIMENSIONS = 384
NEAR = 60  # neighbours that are looked at: those of other kinds and of the same person fall away afterwards

TABLE = f"""
CREATE TABLE case_embeddings (
    case_id uuid PRIMARY KEY REFERENCES cases (id) ON DELETE CASCADE,
    embedding vector({DIMENSIONS}) NOT NULL,
    model text NOT NULL,
    created_at timestamptz NOT NULL
)"""

# 1 ms instead of 40 for 50,000 cases, and 2 ms more for each that is opened. Approximate: it may miss one that is near
INDEX = "CREATE INDEX case_embeddings_near ON case_embeddings USING hnsw (embedding vector_ip_ops)"

NEAREST = f"""
SELECT k.code::text, k.type::text, k.status::text, k.solved_by, k.solved_at, k.closed_at, k.facts->'what'->>0,
       near.likeness
  FROM (SELECT e.case_id, -(e.embedding <#> mine.embedding) AS likeness FROM case_embeddings e
         WHERE e.model = mine.model AND e.case_id <> wanted
         ORDER BY e.embedding <#> mine.embedding LIMIT {NEAR}) near
  JOIN cases k ON k.id = near.case_id
 WHERE near.likeness >= least_alike AND k.person_id <> mine.person_id
   AND (k.type = mine.type OR k.type = mine.second_type OR k.second_type = mine.type
        OR k.type IN ('queja', 'reclamo') AND mine.type IN ('queja', 'reclamo'))
 ORDER BY near.likeness DESC LIMIT most"""  # noqa: S608  a constant
"""The nearest of a case; `mine`, `wanted`, `least_alike` and `most` are the function's own names."""

FUNCTIONS = f"""
CREATE FUNCTION keep_case_embedding(wanted uuid, numbers text, reader text, at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('case_embeddings') IS NOT NULL THEN
        INSERT INTO case_embeddings (case_id, embedding, model, created_at)
        VALUES (wanted, numbers::vector, reader, at) ON CONFLICT (case_id) DO NOTHING;
    END IF;
EXCEPTION WHEN OTHERS THEN  -- another length, a broken extension: the case is what matters
    RAISE WARNING 'the embedding of a case was not kept: %', SQLERRM;
END $$;

CREATE FUNCTION similar_cases(wanted uuid, least_alike float8, most int)
RETURNS TABLE (code text, type text, status text, solved_by text, solved_at timestamptz, closed_at timestamptz,
               gist text, likeness float8)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE mine record;
BEGIN
    IF to_regclass('case_embeddings') IS NULL THEN RETURN; END IF;
    SELECT e.embedding, e.model, k.person_id, k.type, k.second_type INTO mine
      FROM case_embeddings e JOIN cases k ON k.id = e.case_id WHERE e.case_id = wanted;
    IF FOUND THEN
        PERFORM set_config('hnsw.ef_search', '{2 * NEAR}', true);  -- the index looks at no more than these
        RETURN QUERY {NEAREST};
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'similar cases could not be looked for: %', SQLERRM;
END $$;
"""  # noqa: S608  constants

_KEEP = "SELECT keep_case_embedding(%s, %s, %s, %s)"
_KEPT = """
SELECT EXISTS (SELECT FROM information_schema.columns
                WHERE table_name = 'case_embeddings' AND column_name = 'embedding')
"""
# A page of the walk through the cases, newest first; of those that lack a vector of this model, the words.
_PAGE = """
SELECT page.id, page.opened_at, CASE WHEN e.case_id IS NULL THEN page.facts->'what'->>0 END
  FROM (SELECT id, opened_at, facts FROM cases
         WHERE {which} AND merged_into IS NULL AND (opened_at, id) < (%(at)s, %(id)s)
         ORDER BY opened_at DESC, id DESC LIMIT %(most)s) page
  LEFT JOIN case_embeddings e ON e.case_id = page.id AND e.model = %(model)s
 ORDER BY page.opened_at DESC, page.id DESC
"""
RECENT = _PAGE.replace("{which}", "opened_at >= %(since)s")
OPEN = _PAGE.replace("{which}", "closed_at IS NULL")
"""Those that were opened long ago and are open still."""

LACKING = """
SELECT count(*) FROM cases k
 WHERE (k.closed_at IS NULL OR k.opened_at >= %s) AND k.merged_into IS NULL AND k.facts->'what'->>0 <> ''
   AND NOT EXISTS (SELECT FROM case_embeddings e WHERE e.case_id = k.id AND e.model = %s)
"""
# of a case that is gone, or whose words are others by now, nothing is written; who talks about it is not held up
_RENEW = """
INSERT INTO case_embeddings (case_id, embedding, model, created_at)
SELECT id, %s::vector, %s, %s FROM cases WHERE id = %s AND facts->'what'->>0 = %s FOR KEY SHARE
    ON CONFLICT (case_id) DO UPDATE
   SET embedding = excluded.embedding, model = excluded.model, created_at = excluded.created_at
"""
_FIND = (
    "SELECT * FROM similar_cases(%s, %s, %s) AS alike"
    " WHERE NOT EXISTS (SELECT 1 FROM cases WHERE cases.code = alike.code AND merged_into IS NOT NULL)"
)


@dataclass(frozen=True)
class SimilarCase:
    """A case of somebody else that reads like the one that was asked for."""

    code: str
    type: str
    status: str
    solved_by: str | None
    solved_at: datetime | None
    closed_at: datetime | None
    gist: str | None  # what that customer reported
    likeness: float  # cosine, up to 1


@dataclass(frozen=True)
class Looked:
    """A case that was looked at; `words`: what it was opened with, if it lacks a vector of the model asked for."""

    id: UUID
    opened_at: datetime
    words: str | None


class Similar:
    """Vectors of cases. Where the extension is missing, nothing is kept and nothing found."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def keep(self, case_id: UUID, vector: Sequence[float], model: str) -> None:
        """Keep the vector of a case that this transaction opens; it goes with the next journey."""
        self._scope.direct.later((_KEEP, (case_id, _numbers(vector), model, self._scope.now())))

    def renew(self, case_id: UUID, words: str, vector: Sequence[float], model: str) -> None:
        """Keep the vector of a case that stands already, in the place of another model's.

        Only where the case is still there, with these words. The vector must have DIMENSIONS finite numbers, and the
        table must be there: elsewhere the next journey raises.
        """
        values = (_numbers(vector), model, self._scope.now(), case_id, words)
        self._scope.direct.later((_RENEW, values))

    async def page(self, model: str, before: tuple[datetime, UUID], since: datetime | None, most: int) -> list[Looked]:
        """The next cases, newest first, behind the place `before` (when opened, id): those opened `since`.

        Without `since`, those that are open. Empty: there are no more. Raises where the table is missing.
        """
        values = {"at": before[0], "id": before[1], "most": most, "model": model}
        if since is not None:
            values["since"] = since
        [found] = await self._scope.direct.run((OPEN if since is None else RECENT, values))
        return [Looked(*row) for row in found]

    async def lacking(self, model: str, since: datetime) -> int:
        """How many of the cases that are open, or were opened since, have words and no vector of this model."""
        [[[count]]] = await self._scope.direct.run((LACKING, (since, model)))
        return int(count)

    async def to(self, case_id: UUID, *, at_least: float, limit: int) -> list[SimilarCase]:
        """The cases of other people, of the same or a kindred type, that read most like this one; nearest first."""
        [found] = await self._scope.direct.run((_FIND, (case_id, at_least, limit)))
        return [SimilarCase(*row) for row in found]

    async def kept(self) -> bool:
        """Whether this database keeps vectors at all."""
        [[found]] = await self._scope.direct.run((_KEPT, ()))
        return bool(found[0])


def _numbers(vector: Sequence[float]) -> str:
    return f"[{','.join(f'{value:.6g}' for value in vector)}]"


def prepare(connection: Connection) -> bool:
    """Make the table if it is not there and the database lets us. False: there is none, and all works without."""
    if connection.scalar(text("SELECT to_regclass('case_embeddings')")) is not None:
        return True
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
            connection.execute(text(TABLE))
    except DBAPIError as fault:
        if fault.connection_invalidated:
            raise
        return False
    with suppress(DBAPIError), connection.begin_nested():  # before 0.5 pgvector has no such index: it reads all rows
        connection.execute(text(INDEX))
    return True
