"""What a provider says of a message before we have written down what the provider calls it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from storage.scope import Scope

MANY = 5_000  # reports that nobody claims are another system's, on a shared account
_KEEP = (
    "INSERT INTO early_reports (account, provider_id, state, at, learned_at, report)"
    " SELECT %s, %s, %s, %s, %s, %s WHERE (SELECT count(*) FROM early_reports) < %s ON CONFLICT DO NOTHING"
)
_CLAIM = "DELETE FROM early_reports WHERE account = %s AND provider_id = %s RETURNING state, at, report"
_KNOWN = (
    "SELECT DISTINCT account, provider_id FROM early_reports JOIN outgoing USING (account, provider_id)"
    " ORDER BY account, provider_id LIMIT %s"
)


@dataclass(frozen=True)
class EarlyWord:
    """One report; `more` is what `keep` was given."""

    state: str
    at: datetime
    more: Mapping[str, Any]


class Early:
    """Kept until the message is known, for an hour at the most."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def keep(self, account: str, provider_id: str, state: str, at: datetime, report: dict[str, Any]) -> None:
        """Keep it; the same state twice is one."""
        values = (account, provider_id, state, at, self._scope.now(), Jsonb(report), MANY)
        await self._scope.direct.run((_KEEP, values))

    async def claim(self, account: str, provider_id: str) -> list[EarlyWord]:
        """Take out what was kept of a message; each is given out once, to one."""
        [found] = await self._scope.direct.run((_CLAIM, (account, provider_id)))
        return [EarlyWord(state, at, more) for state, at, more in found]

    async def known(self, limit: int = 100) -> list[tuple[str, str]]:
        """Account and provider's id of kept reports whose message is known by now."""
        [found] = await self._scope.direct.run((_KNOWN, (limit,)))
        return [(account, provider_id) for account, provider_id in found]

    async def sweep(self, older_than: timedelta) -> None:
        """Drop what nobody claimed."""
        limit = self._scope.now() - older_than
        await self._scope.direct.run(("DELETE FROM early_reports WHERE learned_at < %s", (limit,)))
