"""The pace that providers bear, shared by all workers; and accounts on which nothing leaves for now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.scope import Scope
from storage.tables import Pause

# one statement for all buckets, in one order for everybody, so that two workers never wait for each other
_WANT = (
    "INSERT INTO paces AS pace (key, free_at)"
    " SELECT key, %(now)s + step FROM unnest(%(keys)s::text[], %(steps)s::interval[]) AS wanted (key, step)"
)
_TAKE = (
    " ORDER BY key"
    " ON CONFLICT (key) DO UPDATE"
    " SET free_at = greatest(pace.free_at, %(now)s) + (excluded.free_at - %(now)s)"
)
# all or none: one that is busy must not cost a turn at the others, or the looks alone would keep them busy
_NONE_BUSY = " WHERE NOT EXISTS (SELECT 1 FROM paces WHERE key = ANY(%(keys)s) AND free_at > %(now)s)"
_IDLE = " WHERE pace.free_at <= %(now)s"  # somebody was faster by a moment: the provider's limit holds even so
_RETURNING = " RETURNING key, free_at"


@dataclass(frozen=True)
class Bucket:
    """A limit: one message every `step`; `slack` is how far ahead a burst may run after a silence."""

    key: str
    step: timedelta
    slack: timedelta = timedelta(0)


def bucket(key: str, messages: int, within: timedelta) -> Bucket:
    """The bucket that never lets more than so many messages through in any stretch of that length."""
    burst = max(1, messages // 5)
    step = within / (messages - burst + 1)
    return Bucket(key, step, step * (burst - 1))


class Pacing:
    """Turns at the buckets, and pauses."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def turn(self, buckets: Sequence[Bucket]) -> datetime:
        """Take the next turn in all of them; gives the moment at which it is due. It is ours, used or not."""
        now = self._scope.now()
        free = await self._take(buckets, _WANT + _TAKE + _RETURNING)
        return max(now, *(free[one.key] - one.step - one.slack for one in buckets))

    async def turn_if_idle(self, buckets: Sequence[Bucket]) -> bool:
        """Take a turn in all of them if nobody waits and no burst is under way in any: for what may always wait.

        False: one is busy, and no turn was taken.
        """
        statement = _WANT + _NONE_BUSY + _TAKE + _IDLE + _RETURNING
        return len(await self._take(buckets, statement)) == len(buckets)

    async def _take(self, buckets: Sequence[Bucket], statement: str) -> dict[str, datetime]:
        values = {
            "now": self._scope.now(),
            "keys": [one.key for one in buckets],
            "steps": [one.step for one in buckets],
        }
        [found] = await self._scope.direct.run((statement, values))
        return {key: free_at for key, free_at in found}  # noqa: C416  the type checker knows these two

    async def sweep(self) -> None:
        """Forget recipients to whom anything may leave now."""
        old = self._scope.now() - timedelta(minutes=10)
        await self._scope.direct.run(("DELETE FROM paces WHERE free_at < %s", (old,)))

    async def pauses(self) -> list[Pause]:
        """The accounts on which nothing leaves, by name."""
        return await self._scope.direct.find(Pause, "ORDER BY account")

    async def pause(self, account: str, by: str, why: str = "") -> bool:
        """Let nothing leave from the commit on. False: it rests already."""
        put = "INSERT INTO pauses (account, since, by, why) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING 1"
        [found] = await self._scope.direct.run((put, (account, self._scope.now(), by, why)))
        return bool(found)

    async def resume(self, account: str) -> bool:
        """Let it go on. False: it did not rest."""
        [found] = await self._scope.direct.run(("DELETE FROM pauses WHERE account = %s RETURNING 1", (account,)))
        return bool(found)
