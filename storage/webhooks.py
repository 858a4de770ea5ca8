"""What is told to other programs: one line of events for each case and each webhook, in the order of the commits.

The line's row is locked by whoever appends, until the commit: numbers never overtake each other. It is locked last of
all in a transaction and in one order for everybody, so that two transactions never wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from psycopg.types.json import Jsonb

from storage.direct import LOCKED, reading
from storage.scope import Scope
from storage.tables import Message, Outgoing, WebhookEvent, WebhookLine

# What is there already under its key was told before: a turn links the messages that the intake had linked.
_APPEND = """
WITH given AS (
    SELECT *, row_number() OVER (PARTITION BY line ORDER BY place) AS nth, count(*) OVER (PARTITION BY line) AS many
      FROM unnest(%(lines)s::uuid[], %(webhooks)s::text[], %(cases)s::uuid[], %(ids)s::uuid[], %(kinds)s::text[],
                  %(keys)s::text[], %(datas)s::jsonb[])
           WITH ORDINALITY AS one (line, webhook, case_id, id, kind, key, data, place)
     WHERE NOT EXISTS (SELECT 1 FROM webhook_events old WHERE old.line_id = one.line AND old.key = one.key)
), longer AS (
    INSERT INTO webhook_lines AS line (id, webhook, case_id, last_number, failures, due_at)
    SELECT DISTINCT given.line, webhook, case_id, many, 0, %(now)s::timestamptz FROM given ORDER BY 1
    ON CONFLICT (id) DO UPDATE
    SET last_number = line.last_number + excluded.last_number, due_at = coalesce(line.due_at, excluded.due_at)
    RETURNING line.id, line.last_number
)
INSERT INTO webhook_events (id, line_id, number, kind, key, data, at, state, attempts)
SELECT given.id, given.line, longer.last_number - many + nth, kind, key, data, %(now)s, 'waiting', 0
  FROM given JOIN longer ON longer.id = given.line
ON CONFLICT (line_id, key) DO NOTHING
RETURNING line_id
"""
_NEXT = "WHERE line_id = %s AND state = 'waiting' ORDER BY number LIMIT 2"
_DUE = "SELECT id, webhook FROM webhook_lines WHERE due_at <= %s AND webhook = ANY(%s) ORDER BY due_at LIMIT %s"
_STATE = """
SELECT (SELECT max(delivered_at) FROM webhook_lines WHERE webhook = name),
       waiting.oldest, coalesce(waiting.many, 0),
       (SELECT count(*) FROM webhook_events e JOIN webhook_lines l ON l.id = e.line_id
         WHERE e.state = 'given up' AND l.webhook = name),
       failing.last_error, failing.failed_at
  FROM unnest(%s::text[]) WITH ORDINALITY AS wanted (name, place)
  LEFT JOIN LATERAL (
       SELECT min(e.at) AS oldest, count(*) AS many FROM webhook_events e JOIN webhook_lines l ON l.id = e.line_id
        WHERE e.state = 'waiting' AND l.webhook = name) waiting ON true
  LEFT JOIN LATERAL (
       SELECT l.last_error, l.failed_at FROM webhook_lines l
        WHERE l.webhook = name AND l.failed_at IS NOT NULL ORDER BY l.failed_at DESC LIMIT 1) failing ON true
 ORDER BY place
"""
_PURGE = (
    "DELETE FROM webhook_events e USING webhook_lines l WHERE l.id = e.line_id"
    " AND e.state <> 'waiting' AND e.settled_at < %s AND l.webhook = %s"
)
_STRANGERS = (
    "DELETE FROM webhook_events e USING webhook_lines l WHERE l.id = e.line_id AND e.at < %s AND l.webhook <> ALL(%s)"
)
_AGAIN = """
WITH again AS (
    UPDATE webhook_events e SET state = 'waiting', attempts = 0, settled_at = NULL
      FROM webhook_lines l WHERE l.id = e.line_id AND e.state = 'given up' AND l.webhook = %(name)s
    RETURNING e.line_id
), due AS (
    UPDATE webhook_lines SET due_at = %(now)s, failures = 0
     WHERE webhook = %(name)s AND (due_at IS NOT NULL OR id IN (SELECT line_id FROM again))
)
SELECT count(*) FROM again
"""
_SENDERS = """
SELECT m.id, p.name, a.address
  FROM messages m
  JOIN conversations c ON c.id = m.conversation_id
  JOIN contact_points a ON a.id = c.contact_point_id
  JOIN people p ON p.id = a.person_id
 WHERE m.id = ANY(%s)
"""


@dataclass(frozen=True)
class Sender:
    """Who wrote to us: the name that they gave or their provider did, and where from."""

    name: str | None
    address: str


@dataclass(frozen=True)
class Told:
    """One event for one webhook. `key` names the happening: the same key of a case is told once."""

    webhook: str
    case_id: UUID
    kind: str
    key: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class WebhookState:
    """How it stands with a webhook."""

    delivered_at: datetime | None
    oldest_waiting: datetime | None
    waiting: int
    given_up: int
    error: str | None  # of the newest failure that nothing has followed in its line
    failed_at: datetime | None


def line_of(webhook: str, case_id: UUID) -> UUID:
    """The id of the line, known before it is written."""
    return uuid5(NAMESPACE_OID, f"webhook:{webhook}:{case_id}")


class Webhooks:
    """Append events, take the next one, settle it."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def append(self, told: Sequence[Told]) -> list[UUID]:
        """Write events behind those of their lines; gives the lines that became longer."""
        values = {
            "lines": [line_of(one.webhook, one.case_id) for one in told],
            "webhooks": [one.webhook for one in told],
            "cases": [one.case_id for one in told],
            "ids": [self._scope.ids() for _ in told],
            "kinds": [one.kind for one in told],
            "keys": [one.key for one in told],
            "datas": [Jsonb(dict(one.data)) for one in told],
            "now": self._scope.now(),
        }
        [found] = await self._scope.direct.run((_APPEND, values))
        return list(dict.fromkeys(line for (line,) in found))

    async def next(self, line_id: UUID) -> tuple[WebhookLine | None, list[WebhookEvent]]:
        """A line, locked, and its next event, with the one after it if there is one."""
        direct = self._scope.direct
        line, events = await direct.run(reading(WebhookLine, LOCKED, line_id), reading(WebhookEvent, _NEXT, line_id))
        return next(iter(direct.load(WebhookLine, line)), None), direct.load(WebhookEvent, events)

    async def event(self, event_id: UUID) -> WebhookEvent | None:
        """One event."""
        return next(iter(await self._scope.direct.find(WebhookEvent, "WHERE id = %s", event_id)), None)

    async def due(self, webhooks: Sequence[str], limit: int = 500) -> list[tuple[UUID, str]]:
        """Lines, with their webhooks, whose next event may be sent now."""
        [found] = await self._scope.direct.run((_DUE, (self._scope.now(), list(webhooks), limit)))
        return [(line, webhook) for line, webhook in found]

    async def states(self, webhooks: Sequence[str]) -> dict[str, WebhookState]:
        """How it stands with each."""
        [found] = await self._scope.direct.run((_STATE, (list(webhooks),)))
        return {name: WebhookState(*row) for name, row in zip(webhooks, found, strict=True)}

    async def purge(self, keep: Mapping[str, timedelta], strangers: timedelta) -> None:
        """Drop what was settled so long ago; of webhooks that are no longer configured, whatever is so old."""
        now = self._scope.now()
        each = [(_PURGE, (now - age, name)) for name, age in keep.items()]
        await self._scope.direct.run(*each, (_STRANGERS, (now - strangers, list(keep))))

    async def again(self, webhook: str) -> int:
        """Try at once whatever waits, and what was given up as well; gives how many those were."""
        [[[many]]] = await self._scope.direct.run((_AGAIN, {"name": webhook, "now": self._scope.now()}))
        return int(many)

    async def entries(self, ids: Sequence[UUID]) -> list[Message]:
        """Those of these entries that are messages of people or machines, in the order in which they came."""
        rest = "WHERE id = ANY(%s) AND kind <> 'internal' ORDER BY received_at, number"
        return await self._scope.direct.find(Message, rest, list(ids))

    async def senders(self, ids: Sequence[UUID]) -> dict[UUID, Sender]:
        """Who wrote each of these messages."""
        [found] = await self._scope.direct.run((_SENDERS, (list(ids),)))
        return {message: Sender(name, address) for message, name, address in found}

    async def agents(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """The names of these agents."""
        [found] = await self._scope.direct.run(("SELECT id, name FROM agents WHERE id = ANY(%s)", (list(ids),)))
        return dict(found)

    async def outgoing(self, ids: Sequence[UUID]) -> list[Outgoing]:
        """Rows of ours."""
        return await self._scope.direct.find(Outgoing, "WHERE id = ANY(%s) ORDER BY number", list(ids))
