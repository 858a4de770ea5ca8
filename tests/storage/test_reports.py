"""Managers' figures against numbers that were worked out by hand, and the lists behind them."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from storage.counted import CasesCounted
from storage.database import Database
from storage.reports import ChannelDay, Standing, TypeCount
from storage.transaction import Transaction
from tests.figures_rows import Rows

BOGOTA = "America/Bogota"
NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)  # 12:00 in Bogotá
START = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)  # the company's day begins
END = START + timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def tx(database_url: str, clock: Callable[[], datetime], ids: Callable[[], UUID]) -> AsyncIterator[Transaction]:
    database = Database(database_url, now=clock, ids=ids)
    try:
        async with database.transaction() as tx:
            yield tx
    finally:
        await database.close()


@pytest.fixture
def rows(tx: Transaction, ids: Callable[[], UUID]) -> Rows:
    return Rows(tx, ids)


def _seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


async def test_I28_a_day_is_the_companys_up_to_its_last_minute(tx: Transaction, rows: Rows) -> None:
    one = rows.conversation("telegram", NOON)
    for at in (
        START - SECOND,  # 23:59:59 of the day before: out
        START,  # midnight: in
        END - timedelta(minutes=30),  # 23:30, which is the next day in UTC: in
        END,  # the next midnight: out
    ):
        rows.said(one, at)
    rows.case(one, END - timedelta(minutes=30), "queja", "low")
    await rows.write()
    assert await tx.reports.channel_mix(START, END, BOGOTA) == [ChannelDay(date(2026, 3, 2), "telegram", 2, 1)]


async def test_I28_on_the_day_when_the_clocks_go_forward_a_day_has_23_hours(tx: Transaction, rows: Rows) -> None:
    one = rows.conversation("email", NOON)
    for at in ((28, 22, 59), (28, 23, 0), (29, 1, 0), (29, 21, 59), (29, 22, 0)):  # UTC; Madrid goes from +1 to +2
        rows.said(one, datetime(2026, 3, *at, tzinfo=UTC))
    await rows.write()
    mix = await tx.reports.channel_mix(
        datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC), "Europe/Madrid"
    )
    assert [(one.day.day, one.messages) for one in mix] == [(28, 1), (29, 3), (30, 1)]


async def test_I28_channels_stand_apart_and_only_people_count(tx: Transaction, rows: Rows) -> None:
    for account, count in (("telegram", 3), ("email", 2)):
        one = rows.conversation(account, NOON)
        for n in range(count):
            rows.said(one, NOON + _seconds(n))
        rows.said(one, NOON, kind="machine")
        rows.said(one, NOON, kind="internal")
    silent = rows.conversation("webchat", NOON)
    rows.case(silent, NOON, "reclamo", "high")
    await rows.write()
    mix = await tx.reports.channel_mix(START, END, BOGOTA)
    assert [(one.account, one.messages, one.cases) for one in mix] == [
        ("email", 2, 0),
        ("telegram", 3, 0),
        ("webchat", 0, 1),
    ]


async def test_I10_types_and_severities_are_counted_across(tx: Transaction, rows: Rows) -> None:
    for type, severity, count in (("reclamo", "high", 3), ("reclamo", "low", 1), ("queja", "high", 2)):
        for _ in range(count):
            rows.case(rows.conversation("telegram", NOON), NOON, type, severity)
    rows.case(rows.conversation("telegram", NOON), END, "reclamo", "high")  # tomorrow's
    await rows.write()
    assert await tx.reports.by_type(START, END) == [
        TypeCount("queja", "high", 2),
        TypeCount("reclamo", "high", 3),
        TypeCount("reclamo", "low", 1),
    ]


async def test_I17_acks_of_1_to_20_seconds_have_their_median_at_10_5_and_their_P95_at_19_05(
    tx: Transaction, rows: Rows
) -> None:
    for n in range(1, 21):
        one = rows.conversation("telegram" if n <= 10 else "email", NOON)
        rows.said(one, NOON)
        rows.left(one, "ack", NOON + _seconds(n))
    await rows.write()
    waits = [one for one in await tx.reports.waits(START, END) if one.kind == "ack"]
    assert [(one.account, one.count, one.p50, round(one.p95, 6)) for one in waits] == [
        (None, 20, 10.5, 19.05),
        ("email", 10, 15.5, 19.55),
        ("telegram", 10, 5.5, 9.55),
    ]


async def test_I17_an_ack_that_never_left_or_took_a_second_way_is_not_measured(tx: Transaction, rows: Rows) -> None:
    one = rows.conversation("telegram", NOON)
    first = rows.said(one, NOON)
    rows.left(one, "ack", NOON + _seconds(3), sent=False)
    rows.left(one, "ack", NOON + _seconds(900), fallback_of=first.id)
    await rows.write()
    assert await tx.reports.waits(START, END) == []


async def test_I17_a_burst_waits_from_its_first_message_and_is_answered_once(tx: Transaction, rows: Rows) -> None:
    one = rows.conversation("telegram", NOON)
    turn = NOON + _seconds(7)
    for n in (0, 2, 4):
        rows.said(one, NOON + _seconds(n), answered=turn)
    rows.left(one, "ack", NOON + _seconds(1))
    rows.left(one, "answer", NOON + _seconds(8))
    rows.left(one, "receipt", NOON + _seconds(9))  # of the same turn: no second answer
    await rows.write()
    [wait] = [one for one in await tx.reports.waits(START, END) if one.kind == "answer" and one.account is None]
    assert (wait.count, wait.p50) == (1, 8.0)


async def test_I17_what_was_answered_before_or_by_a_person_is_not_counted_again(tx: Transaction, rows: Rows) -> None:
    one = rows.conversation("telegram", NOON)
    rows.said(one, NOON)
    rows.left(one, "answer", NOON + _seconds(2))
    rows.said(one, NOON + _seconds(100), answered=NOON + _seconds(104))
    rows.left(one, "answer", NOON + _seconds(105))  # waited 5 s, not 105
    rows.left(one, "answer", NOON + timedelta(hours=9))  # a timer's words answer nothing
    rows.said(one, NOON + timedelta(hours=9, minutes=1))
    rows.left(one, "agent", NOON + timedelta(hours=9, minutes=2), author="agent:x")
    rows.left(one, "answer", NOON + timedelta(hours=9, minutes=50))  # the person had the answer already
    await rows.write()
    [wait] = [one for one in await tx.reports.waits(START, END) if one.kind == "answer" and one.account is None]
    assert (wait.count, wait.p50) == (2, 3.5)


async def test_I29_a_person_is_waited_for_from_the_asking(tx: Transaction, rows: Rows) -> None:
    asked, first = NOON + timedelta(minutes=10), NOON + timedelta(minutes=12)
    rows.conversation("telegram", NOON, human_asked_at=asked, first_human_at=first)  # 120 s
    rows.conversation("telegram", NOON, first_human_at=NOON + _seconds(60))  # nobody asked: 60 s
    # asked again after the first words: those had come 30 s after the first message
    rows.conversation("email", NOON, human_asked_at=asked, first_human_at=NOON + _seconds(30))
    await rows.write()
    waits = {one.account: one for one in await tx.reports.waits(START, END) if one.kind == "human"}
    assert {account: (one.count, one.p50) for account, one in waits.items()} == {
        None: (3, 60.0),
        "telegram": (2, 90.0),
        "email": (1, 30.0),
    }


async def test_I25_standing(tx: Transaction, rows: Rows) -> None:
    today = date(2026, 3, 2)
    yesterday = today - timedelta(days=1)

    def case(at: datetime, **values: object) -> None:
        rows.case(rows.conversation("telegram", NOON), at, "queja", "low", **values)

    case(NOON, due=today)  # due today is not overdue
    case(NOON, due=yesterday)  # overdue
    case(START - timedelta(days=40), due=yesterday)  # opened long ago, overdue all the same
    case(NOON, due=yesterday, closed_at=NOON, solved_at=NOON, solved_by="customer")
    case(NOON, solved_at=END - SECOND, solved_by="agent")
    case(NOON, solved_at=END, solved_by="agent")  # solved tomorrow
    rows.conversation("telegram", NOON, flagged_at=NOON)
    rows.conversation("telegram", NOON, flagged_at=NOON, speaker="agent:x")  # somebody is there already
    await rows.write()
    assert await tx.reports.standing(START, END, today) == Standing(
        opened=5, open=5, overdue=2, flagged=1, solved_by_customer=1, solved_by_agent_only=1
    )


async def test_an_empty_house_has_no_figures(tx: Transaction) -> None:
    assert await tx.reports.channel_mix(START, END, BOGOTA) == []
    assert await tx.reports.by_type(START, END) == []
    assert await tx.reports.waits(START, END) == []
    assert await tx.reports.standing(START, END, date(2026, 3, 2)) == Standing(0, 0, 0, 0, 0, 0)


async def test_a_case_is_listed_once_though_two_conversations_speak_of_it(tx: Transaction, rows: Rows) -> None:
    one = rows.conversation("telegram", NOON)
    other = rows.conversation("email", NOON)
    case = rows.case(one, NOON, "queja", "low")
    other.case_id = case.id
    later = rows.case(one, NOON + SECOND, "reclamo", "high")  # the conversation has moved on
    await rows.write()
    found, total = await tx.reports.counted.cases(CasesCounted(opened=(START, END)), None, 10)
    assert [row.id for row in found] == [later.id, case.id]
    assert total == 2
    assert all(row.conversation_id == one.id for row in found)


async def test_lists_go_on_where_the_page_above_ended(tx: Transaction, rows: Rows) -> None:
    one = rows.conversation("telegram", NOON)
    for n in range(5):
        rows.said(one, NOON + _seconds(n // 2))  # two of a moment: the id decides
    await rows.write()
    seen: list[UUID] = []
    place = None
    for _ in range(3):
        page, total = await tx.reports.counted.messages(START, END, "telegram", place, 2)
        assert total == 5
        seen += [row.id for row in page]
        place = (page[-1].received_at, page[-1].id)
    assert len(seen) == len(set(seen)) == 5


async def test_the_longest_wait_is_first(tx: Transaction, rows: Rows) -> None:
    for n in (3, 9, 6):
        one = rows.conversation("telegram", NOON, name=f"Ana {n}")
        rows.said(one, NOON)
        rows.left(one, "ack", NOON + _seconds(n))
    await rows.write()
    found, total = await tx.reports.counted.waits("ack", START, END, None, None, 2)
    assert [(row.name, row.seconds) for row in found] == [("Ana 9", 9.0), ("Ana 6", 6.0)]
    rest, _ = await tx.reports.counted.waits("ack", START, END, "telegram", (found[-1].seconds, found[-1].id), 2)
    assert ([row.seconds for row in rest], total) == ([3.0], 3)
    assert await tx.reports.counted.waits("ack", START, END, "email", None, 2) == ([], 0)
