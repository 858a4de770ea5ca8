"""When something last came in and went out, by account: how one sees that a channel is alive."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from storage.scope import Scope

_LAST = """
SELECT name, (SELECT max(last_in_at) FROM conversations WHERE account = name),
       (SELECT max(sent_at) FROM outgoing WHERE account = name)
  FROM unnest(%s::text[]) name
"""

_WAITING = (  # by the index of what waits, however much has left
    "SELECT account, count(*), min(created_at) FROM outgoing"
    " WHERE state IN ('queued', 'sending') AND NOT awaits_proof GROUP BY account"
)


@dataclass(frozen=True)
class Last:
    """The last message of a person (by the provider's clock) and of ours; None: there was none."""

    came: datetime | None = None
    gone: datetime | None = None


@dataclass(frozen=True)
class Waiting:
    """What is written and has not left: how many messages, and since when the oldest."""

    rows: int
    since: datetime


class Traffic:
    """What passes through the accounts."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def last(self, accounts: Collection[str]) -> dict[str, Last]:
        """Of each of these accounts; in one statement, with two looks into an index for each."""
        [found] = await self._scope.direct.run((_LAST, (list(accounts),)))
        return {account: Last(came, gone) for account, came, gone in found}

    async def waiting(self) -> dict[str, Waiting]:
        """What waits on each account that anything waits on."""
        [found] = await self._scope.direct.run((_WAITING, ()))
        return {account: Waiting(rows, since) for account, rows, since in found}
