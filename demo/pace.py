"""A pace that a provider holds its callers to."""

from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil


class Throttle:
    """A message each `pace` for each key, and a few at once. No pace: no limit."""

    def __init__(self, now: Callable[[], datetime], pace: timedelta, burst: int = 3) -> None:
        self._now, self._pace, self._burst = now, pace, burst
        self._free_at: dict[str, datetime] = {}

    def wait(self, key: str) -> int:
        """0 and it counts as sent, else the seconds to wait."""
        now = self._now()
        if not self._pace:
            return 0
        free_at = max(self._free_at.get(key, now), now)
        late = free_at - now - (self._burst - 1) * self._pace
        if late > timedelta(0):
            return max(1, ceil(late.total_seconds()))
        self._free_at[key] = free_at + self._pace
        return 0
