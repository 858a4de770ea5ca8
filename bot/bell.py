"""What tells an open page that something changed; the pages read the tables after it."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Subscription(Protocol):
    """One page's wait."""

    async def wait(self, timeout: float | None = None) -> bool:
        """Whether the topic was rung within `timeout` seconds."""


class Bell(Protocol):
    """Topics: `conversation:<id>`, `desk`."""

    def subscribe(self, topic: str) -> AbstractAsyncContextManager[Subscription]:
        """Be woken by the topic while the block lasts."""
