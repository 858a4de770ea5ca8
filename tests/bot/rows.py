"""Read whole tables, oldest first: what tests look at when it is over."""

import asyncio
from typing import TypeVar
from uuid import UUID

from sqlmodel import SQLModel, select, text

from storage.tables import ContactPoint, Message, Outgoing
from tests.world import World

Row = TypeVar("Row", bound=SQLModel)


async def rows(world: World, table: type[Row], order: str = "id") -> list[Row]:
    """All rows of a table."""
    async with world.parts.database.transaction() as tx:
        return list((await tx.session.exec(select(table).order_by(text(order)))).all())


async def messages(world: World, conversation_id: UUID | None = None) -> list[Message]:
    """What arrived, in order."""
    found = await rows(world, Message, "conversation_id, number")
    return [one for one in found if conversation_id in (None, one.conversation_id)]


async def outgoing(world: World, *kinds: str) -> list[Outgoing]:
    """What left or waits, in order."""
    found = await rows(world, Outgoing, "conversation_id, number")
    return [one for one in found if not kinds or one.kind in kinds]


async def contact(world: World, account: str, address: str) -> ContactPoint:
    """The contact point with this address."""
    async with world.parts.database.transaction() as tx:
        found = await tx.people.contact(account, address)
    assert found is not None
    return found


async def send_all(world: World) -> None:
    """Send everywhere what may leave, and what that brought about."""
    for _ in range(2):
        for one in await world.conversations():
            await world.sending.run(one.id)


async def somebody_waits(world: World, how_many: int = 1) -> None:
    """Return once so many transactions wait for a lock that another one holds."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while True:
            async with world.parts.database.transaction() as tx:
                if (await tx.session.exec(text(waits))).scalar_one() >= how_many:  # type: ignore[call-overload]  # plain SQL
                    return
            await asyncio.sleep(0.01)
