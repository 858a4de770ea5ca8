"""What people want at their addresses: nothing that was said is lost, whoever says something else meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from storage.database import Database
from tests.conftest import Clock

EVERYTHING = ("everything",)


@pytest.fixture
async def database(database_url: str, clock: Clock, ids: Callable[[], UUID]) -> AsyncIterator[Database]:
    """A database of this test's own."""
    database = Database(database_url, now=clock, ids=ids, pool_size=2)
    yield database
    await database.close()


async def test_a_stop_is_not_lost_under_a_turn_that_read_the_address_before_it(
    database: Database, clock: Clock
) -> None:
    async with database.transaction() as tx:
        await tx.people.ensure("sms", "ana", name="Ana", language="es", verified_by="provider")
    async with database.transaction() as turn:
        before = await turn.people.contact("sms", "ana")
        assert before is not None
        async with database.transaction() as stop:
            contact = await stop.people.contact("sms", "ana")
            assert contact is not None
            stop.people.consent(contact, EVERYTHING, False, who="person", how="STOP")
        stopped_at = clock.advance(timedelta(minutes=1))
        turn.people.consent(before, ("survey", "case"), True, who="person", how="in words")
        assert before.consent == {"survey": True, "case": True}
    async with database.transaction() as tx:
        after = await tx.people.contact("sms", "ana")
        assert after is not None
        assert after.consent == {"everything": False, "survey": True, "case": True}
        assert after.opted_out_at is not None and after.opted_out_at < stopped_at
        history = await tx.people.consents(after.id)
    said = {(one.purpose, one.given) for one in history}
    assert said == {("everything", False), ("survey", True), ("case", True)}


async def test_what_is_said_at_the_same_moment_is_kept_one_after_the_other(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.people.ensure("sms", "ana", name="Ana", language="es", verified_by="provider")

    async def say(purpose: str) -> None:
        async with database.transaction() as tx:
            contact = await tx.people.contact("sms", "ana")
            assert contact is not None
            tx.people.consent(contact, (purpose,), False, who="person", how="in words")

    await asyncio.gather(say("survey"), say("marketing"), say("everything"))
    async with database.transaction() as tx:
        after = await tx.people.contact("sms", "ana")
        assert after is not None
        assert after.consent == {"survey": False, "marketing": False, "everything": False}
        assert after.opted_out_at is not None


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ([("everything", False), ("everything", True)], False),
        ([("everything", False), ("case", True)], True),
        ([("case", False), ("everything", True)], True),
        ([("survey", False)], False),
        ([("case", False), ("survey", True)], True),
    ],
)
async def test_who_refuses_news_or_everything_gets_no_news(
    database: Database, said: list[tuple[str, bool]], refused: bool
) -> None:
    """The object that is held and the row say the same."""
    async with database.transaction() as tx:
        held = await tx.people.ensure("sms", "ana", name="Ana", language="es", verified_by="provider")
        for purpose, given in said:
            tx.people.consent(held, (purpose,), given, who="person", how="in words")
        wanted = held.consent, held.opted_out_at
    async with database.transaction() as tx:
        after = await tx.people.contact("sms", "ana")
        assert after is not None
        assert (after.consent, after.opted_out_at) == wanted
        assert (after.opted_out_at is not None) == refused
