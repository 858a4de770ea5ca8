"""Cases that an agent corrected, with the words that were misunderstood: what a model can learn from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from storage.scope import Scope

_EXAMPLES = """
SELECT k.id AS case_id, k.account, coalesce(p.language, '') AS language, coalesce(p.name, '') AS name, last.at,
       coalesce(type.now, e.data->>'type', k.type) AS type,
       coalesce(severity.now, e.data->>'severity', k.severity) AS severity, said.text
  FROM (SELECT case_id, max(at) AS at FROM labels GROUP BY case_id) last
  JOIN cases k ON k.id = last.case_id
  JOIN people p ON p.id = k.person_id
  LEFT JOIN case_events e ON e.case_id = k.id AND e.number = 1
  LEFT JOIN LATERAL (SELECT now FROM labels WHERE case_id = k.id AND field = 'type' ORDER BY at DESC, id DESC LIMIT 1)
       type ON true
  LEFT JOIN LATERAL (SELECT now FROM labels WHERE case_id = k.id AND field = 'severity'
       ORDER BY at DESC, id DESC LIMIT 1) severity ON true
  JOIN LATERAL (SELECT string_agg(m.text, E'\\n' ORDER BY m.conversation_id, m.number) AS text
       FROM case_messages cm JOIN messages m ON m.id = cm.entry_id
      WHERE cm.case_id = k.id AND m.kind = 'person' AND m.received_at <= k.opened_at AND m.text <> '') said ON true
 WHERE said.text IS NOT NULL AND (last.at, k.id) > (:after_at, :after_id)
 ORDER BY last.at, k.id LIMIT :limit
"""
_BEGINNING = (datetime.fromisoformat("1970-01-01T00:00:00+00:00"), UUID(int=0))


@dataclass(frozen=True)
class Corrected:
    """A case as agents say that it was, and what the person had written when it was opened. Not anonymous."""

    case_id: UUID
    account: str
    language: str
    name: str
    at: datetime  # of the newest correction
    type: str
    severity: str
    text: str


class Examples:
    """Reads what agents corrected, oldest correction first."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def corrected(self, after: tuple[datetime, UUID] | None = None, limit: int = 200) -> list[Corrected]:
        """One page; `after` is (at, case_id) of the last row of the page before."""
        at, case_id = after or _BEGINNING
        values: dict[str, Any] = {"after_at": at, "after_id": case_id, "limit": limit}
        connection = await self._scope.session.connection()
        return [Corrected(**row._mapping) for row in await connection.execute(text(_EXAMPLES), values)]
