"""The door to the database: one transaction at a time, kept whole or not at all."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy.ext.asyncio import create_async_engine

from storage.direct import Session
from storage.ids import Ids
from storage.migrate import sqlalchemy_url
from storage.scope import Scope
from storage.transaction import Teller, Transaction


class Database:
    """A pool of connections. `url` is postgresql://…

    `teller` is shown what each transaction changed, before the commit: what it writes stands or falls with it.
    """

    def __init__(
        self, url: str, *, now: Callable[[], datetime], ids: Ids, pool_size: int = 16, teller: Teller | None = None
    ) -> None:
        self.url = url
        self._teller = teller
        self._now = now
        self._ids = ids
        self._engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=4,
            pool_use_lifo=True,  # the same few again and again: they have planned our statements already
            pool_pre_ping=True,  # after the database was away, the first query must not fail
            pool_timeout=10,
            connect_args={"connect_timeout": 10, "application_name": "acuse", "prepare_threshold": 1},
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits when the block ends, rolls back when it raises."""
        async with Session(self._engine) as session, session.begin():
            transaction = Transaction(Scope(session, session.direct, self._now, self._ids), self._teller)
            yield transaction
            await transaction.complete()

    async def close(self) -> None:
        """Give all connections back."""
        await self._engine.dispose()
