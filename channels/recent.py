"""What is remembered for a while: the oldest is forgotten when there are too many."""

from collections import OrderedDict
from typing import Generic, TypeVar

LIMIT = 1000
Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Values by key, at most `limit` of them; whoever keeps one more loses the one that was kept longest ago."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._values: OrderedDict[str, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Value | None:
        """The value, if it is still known."""
        return self._values.get(key)

    def keep(self, key: str, value: Value) -> None:
        """Remember it, as the newest."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._limit:
            self._values.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget it, if it is known."""
        self._values.pop(key, None)
