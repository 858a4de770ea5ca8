"""Plain connections beside the pool: one to listen on, one to hold a lock with."""

import asyncio

from psycopg import AsyncConnection, ProgrammingError
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

# a cable that was pulled must be noticed in seconds, not in the quarter of an hour that TCP would take
_NOTICE_A_DEAD_PEER = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,  # milliseconds
}


def conninfo(url: str, name: str, *, durable: bool = True) -> str:
    """The address as PostgreSQL's own library reads it; `name` is what the server's administrator sees.

    Not `durable`: commits do not wait for the disk, and the last of them may be lost when the server's power fails.
    """
    scheme, separator, rest = url.partition("://")
    bare = scheme.partition("+")[0] + separator + rest  # without the name of a driver
    quick: dict[str, str] = {} if durable else {"options": "-c synchronous_commit=off"}
    return make_conninfo(bare, application_name=f"acuse {name}"[:63], **_NOTICE_A_DEAD_PEER, **quick)


def is_address(url: str) -> bool:
    """Whether it reads as postgresql://…; nothing is connected."""
    try:
        conninfo(url, "check")
        make_url(url)  # it reads more strictly: a port must be a number
    except (ProgrammingError, ArgumentError, ValueError):
        return False
    return url.startswith(("postgresql://", "postgres://"))


async def connect(url: str, name: str, *, durable: bool = True) -> AsyncConnection[TupleRow]:
    """Open a connection that commits each statement. Raises psycopg.OperationalError when there is no server."""
    return await AsyncConnection.connect(conninfo(url, name, durable=durable), autocommit=True)


async def spoken(connection: AsyncConnection[TupleRow], seconds: float) -> bool:
    """Wait until the server says something unasked: a notice, or that the connection ends. False: it said nothing.

    Costs nothing meanwhile, where psycopg's own `notifies` wakes up ten times a second. Read what it says with
    `notifies(timeout=0)`. Raises psycopg.OperationalError when the connection has ended before.
    """
    loop, said = asyncio.get_running_loop(), asyncio.Event()
    descriptor = connection.fileno()
    loop.add_reader(descriptor, said.set)
    try:
        async with asyncio.timeout(seconds):
            await said.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True
