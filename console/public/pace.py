"""How much one visitor may ask for, whatever names and cookies they give themselves."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

_VISITORS = 10_000


class Pace:
    """At most `at_most` uses within `within`, by visitor, in this process. Forgotten with it, which is soon enough."""

    def __init__(self, now: Callable[[], datetime], *, at_most: int, within: timedelta) -> None:
        self._now = now
        self._at_most = at_most
        self._within = within
        self._uses: dict[str, deque[datetime]] = {}

    def allows(self, visitor: str | None) -> bool:
        """Count one use. False: too many, and this one was not counted. None is everybody's name and has no limit."""
        if visitor is None:
            return True
        now = self._now()
        uses = self._uses.setdefault(visitor, deque())
        while uses and uses[0] <= now - self._within:
            uses.popleft()
        if len(uses) >= self._at_most:
            return False
        uses.append(now)
        if len(self._uses) > _VISITORS:
            self._forget(now)
        return True

    def _forget(self, now: datetime) -> None:
        """Drop whoever has been quiet, and the oldest of the rest, so that the memory stays small."""
        quiet = [one for one, uses in self._uses.items() if not uses or uses[-1] <= now - self._within]
        for visitor in quiet or list(self._uses)[: _VISITORS // 10]:
            del self._uses[visitor]
