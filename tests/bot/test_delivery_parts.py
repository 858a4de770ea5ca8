"""A message in several parts (files, then the words) has arrived when all have: whatever order it is told in."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.in_parts import arrived, part_mark
from channels.channel import DeliveryReport
from storage.tables import CaseEvent, Delivery, Outgoing
from tests.bot.rows import contact, outgoing, rows, send_all
from tests.conftest import Clock
from tests.world import World

BROKEN = "Compré una licuadora, pedido 48213, y llegó rota. Quiero otra."
FILE, WORDS = 1, 2
MARKS = (part_mark(1, last=False), part_mark(2, last=True))


@given(st.lists(st.tuples(st.sampled_from(["delivered", "read", "failed"]), st.sampled_from(MARKS)), max_size=8))
def test_the_whole_is_what_all_parts_are_in_any_order(said: list[tuple[str, str]]) -> None:
    states = [{state for state, mark in said if mark == one} for one in MARKS]
    wanted = None
    if all(one & {"delivered", "read"} for one in states):
        wanted = "read" if all("read" in one for one in states) else "delivered"
    assert arrived(said) == arrived([*said[::-1], *said]) == wanted


async def _report(world: World, row: Outgoing, state: str, part: int) -> None:
    assert row.provider_id
    failed = state == "failed"
    report = DeliveryReport(
        account=row.account,
        provider_id=row.provider_id,
        state=state,
        at=world.parts.now(),
        reason="twilio: 63019" if failed else None,
        means="message" if failed else None,
        permanent=False,
        part=part,
        last_part=part == WORDS,
    )
    await world.intake.keep(row.account, report)


async def _update(world: World, *, two_ways: bool = True) -> Outgoing:
    """News that Ana is sent: by Telegram, which she prefers, if she has proved that."""
    talk = await world.write("chat", "ana", BROKEN)
    if two_ways:
        ana = await contact(world, "chat", "ana")
        async with world.parts.database.transaction() as tx:
            other = await tx.people.add_contact(ana.person_id, "telegram", "77", verified_by="link")
            (await tx.people.get(ana.person_id)).preferred_contact_id = other.id
    await world.desk(await world.agent()).move(talk, "en_investigacion")
    await send_all(world)
    [row] = await outgoing(world, "update")
    return row


async def _again(world: World, row: Outgoing) -> Outgoing:
    [found] = [one for one in await rows(world, Outgoing) if one.id == row.id]
    return found


async def test_P1_words_that_arrived_are_not_the_message(world: World, clock: Clock) -> None:
    row = await _update(world)
    await _report(world, row, "sent", WORDS)
    await _report(world, row, "read", WORDS)
    assert (await _again(world, row)).state == "sent"
    await _report(world, row, "delivered", FILE)
    assert (await _again(world, row)).state == "delivered"
    await _report(world, row, "read", FILE)
    assert (await _again(world, row)).state == "read"


@pytest.mark.parametrize("words_first", [True, False])
async def test_P1_a_file_that_fails_is_the_message_s_failure_before_and_after_the_words_arrive(
    world: World, clock: Clock, words_first: bool
) -> None:
    row = await _update(world)
    before = len(world.sent("chat"))
    told = [("delivered", WORDS), ("failed", FILE)]
    for state, part in told if words_first else told[::-1]:
        for _ in range(2):
            clock.advance(timedelta(seconds=1))
            await _report(world, row, state, part)
    await send_all(world)
    row = await _again(world, row)
    assert row.state == "failed" and row.reason == "part 1: twilio: 63019" and row.fallback_at is not None
    assert len(world.sent("chat")) == before + 1
    learned = {(one.state, one.reason) for one in await rows(world, Delivery) if one.outgoing_id == row.id}
    assert {("delivered", "part 2, the last"), ("failed", "part 1: twilio: 63019")} <= learned


async def test_P1_who_answered_the_words_gets_the_file_another_way_once(world: World, clock: Clock) -> None:
    """The row stays where it is; nothing is hidden: the case says it, and so does the record of the message."""
    row = await _update(world)
    async with world.parts.database.transaction() as tx:
        known = await tx.outbox.get(row.id)
        assert known is not None
        tx.outbox.learn(known, "read", clock(), reason="the person answered it")
    before = len(world.sent("chat"))
    for _ in range(3):
        clock.advance(timedelta(seconds=1))
        await _report(world, row, "failed", FILE)
        await send_all(world)
    assert (await _again(world, row)).state == "read"
    assert len(world.sent("chat")) == before + 1
    [event] = [one for one in await rows(world, CaseEvent) if one.kind == "undelivered"]
    assert event.data["reason"] == "part 1: twilio: 63019"


async def test_P1_without_another_way_people_are_told_and_can_send_it_again(world: World, clock: Clock) -> None:
    row = await _update(world, two_ways=False)
    await _report(world, row, "delivered", WORDS)
    await _report(world, row, "failed", FILE)
    [conversation] = await world.conversations()
    assert conversation.flag_reason == "undelivered"
    [lost] = await world.rooms(await world.agent("x", "X")).undelivered()
    assert (lost.id, lost.reason) == (row.id, "part 1: twilio: 63019")
