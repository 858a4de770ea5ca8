"""The door to the database: one transaction at a time, kept whole or not at all."""

import select
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine

from storage.direct import Session
from storage.ids import Ids
from storage.migrate import sqlalchemy_url
from storage.scope import Scope
from storage.transaction import Teller, Transaction

RESTED = 30.0  # seconds; what lies between us and the database may have forgotten a connection that was silent so long


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
            pool_timeout=10,
            connect_args={"connect_timeout": 10, "application_name": "acuse", "prepare_threshold": 1},
        )
        _look_before_use(self._engine.sync_engine)

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


def _look_before_use(engine: Engine) -> None:
    """After the database was away, the first query must not fail.

    The pool's own ping asks the server before each transaction, a twelfth of a worker's time. A server that ends a
    connection says so on it: whoever finds nothing to read there need not ask.
    """

    @event.listens_for(engine, "checkin")
    def rest(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = monotonic()

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get("rests_since")
        if since is None:
            return  # it was opened just now
        driver = record.driver_connection
        if driver.closed:
            raise DisconnectionError("closed")
        if monotonic() - since < RESTED and not _speaks(driver.fileno()):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as gone:
            raise DisconnectionError("the database has hung up") from gone


def _speaks(descriptor: int) -> bool:
    """Whether something waits to be read: on a resting connection its end, or a notice."""
    asked = select.poll()
    asked.register(descriptor, select.POLLIN)
    return bool(asked.poll(0))
