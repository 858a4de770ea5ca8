"""Wake-ups on a real PostgreSQL: every trap of the job engine that the design names has a test here."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from storage.migrate import sqlalchemy_url
from storage.wake import Handler, Kind, Pace, Worker, WorkerEnded, queue_of, wake

LOG = logging.getLogger("acuse.test")
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'acuse worker'"
SLOW = Pace(poll=60, again=60, beat=60, grace=0.5)
QUICK = Pace(beat=0.2, stalled=1.0, grace=0.5)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(sqlalchemy_url(database_url), pool_size=20)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE jottings (key uuid, seen boolean DEFAULT false)"))
    yield engine
    await engine.dispose()


async def eventually(condition: Callable[[], bool], within: float = 8.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def rows(engine: AsyncEngine, query: str) -> list[tuple[object, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def until(engine: AsyncEngine, query: str) -> None:
    deadline = time.monotonic() + 8
    while await rows(engine, query) != [(True,)]:
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def waken(engine: AsyncEngine, kind: Kind, key: UUID, lane: str = "") -> None:
    async with AsyncSession(engine) as session, session.begin():
        await wake(session, kind, key, lane=lane)


async def nothing(_: UUID) -> None:
    """A handler for the kind that a test does not look at."""


@asynccontextmanager
async def working(
    url: str, turn: Handler = nothing, send: Handler = nothing, *, pace: Pace = QUICK, **options: object
) -> AsyncIterator[asyncio.Task[None]]:
    worker = Worker(url, {"turn": turn, "send": send}, log=LOG, pace=pace, **options)  # type: ignore[arg-type] # sizes
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


class Calls:
    """A handler that remembers its keys and may be held up."""

    def __init__(self, *, held: bool = False) -> None:
        self.begun: list[UUID] = []
        self.ended: list[UUID] = []
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()

    async def __call__(self, key: UUID) -> None:
        self.begun.append(key)
        await self.gate.wait()
        self.ended.append(key)


async def test_a_wake_up_runs_its_handler_and_leaves_nothing_behind(engine: AsyncEngine, database_url: str) -> None:
    turns, sends, key = Calls(), Calls(), uuid4()
    async with working(database_url, turns, sends):
        await waken(engine, "turn", key)
        await eventually(lambda: turns.ended == [key])
        await waken(engine, "send", key)
        await eventually(lambda: sends.ended == [key])
    assert turns.begun == [key]
    assert await rows(engine, "SELECT * FROM procrastinate_jobs") == []


async def test_a_wake_up_of_a_transaction_that_rolls_back_never_was(engine: AsyncEngine) -> None:
    with pytest.raises(RuntimeError):
        async with AsyncSession(engine) as session, session.begin():
            await wake(session, "turn", uuid4())
            raise RuntimeError("changed my mind")
    assert await rows(engine, "SELECT * FROM procrastinate_jobs") == []


async def test_already_awake_does_not_abort_what_the_transaction_wrote(engine: AsyncEngine) -> None:
    """Trap: 1,208 of 1,500 confirmed messages vanished. Both insert at once, so that the unique key decides."""
    key = uuid4()

    async def note_and_wake(first: asyncio.Event, second: asyncio.Event) -> None:
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("INSERT INTO jottings (key) VALUES (:key)"), {"key": key})
            await wake(session, "turn", key)
            first.set()
            await second.wait()

    inserted, waiting = asyncio.Event(), asyncio.Event()
    early = asyncio.create_task(note_and_wake(inserted, waiting))
    await inserted.wait()
    late = asyncio.create_task(note_and_wake(asyncio.Event(), waiting))
    await until(engine, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
    waiting.set()
    await asyncio.gather(early, late)
    assert await rows(engine, "SELECT count(*) FROM jottings") == [(2,)]
    assert await rows(engine, "SELECT queueing_lock, lock FROM procrastinate_jobs") == [(f"turn:{key}",) * 2]


async def test_a_hundred_writers_of_one_conversation_lose_nothing(engine: AsyncEngine) -> None:
    key = uuid4()

    async def write() -> None:
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("INSERT INTO jottings (key) VALUES (:key)"), {"key": key})
            await wake(session, "turn", key)

    await asyncio.gather(*(write() for _ in range(100)))
    assert await rows(engine, "SELECT count(*) FROM jottings") == [(100,)]
    assert await rows(engine, "SELECT count(*) FROM procrastinate_jobs") == [(1,)]


async def test_a_wake_up_that_waits_starts_after_the_commit_that_relies_on_it(
    engine: AsyncEngine, database_url: str
) -> None:
    """Else it would look at the tables too early, and the row would lie there until the sweep."""
    key, other = uuid4(), uuid4()
    found = list[tuple[UUID, object]]()

    async def look(which: UUID) -> None:
        found.append((which, await rows(engine, "SELECT count(*) FROM jottings")))

    await waken(engine, "turn", key)
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(text("INSERT INTO jottings (key) VALUES (:key)"), {"key": key})
        await wake(session, "turn", key)
        async with working(database_url, look):
            await waken(engine, "turn", other)  # the worker is up and runs what came later
            await eventually(lambda: (other, [(0,)]) in found)
            await session.commit()
            await eventually(lambda: len(found) == 2)
    assert found == [(other, [(0,)]), (key, [(1,)])]


async def test_one_key_never_runs_twice_at_once_and_a_wake_up_during_a_run_runs_after_it(
    engine: AsyncEngine, database_url: str
) -> None:
    """Whichever worker has the first, the second one waits for its end."""
    turns, key = Calls(held=True), uuid4()
    async with working(database_url, turns), working(database_url, turns):
        await waken(engine, "turn", key)
        await eventually(lambda: len(turns.begun) == 1)
        await waken(engine, "turn", key)
        await waken(engine, "turn", other := uuid4())
        await eventually(lambda: other in turns.begun)
        assert turns.begun.count(key) == 1
        turns.gate.set()
        released = time.monotonic()
        await eventually(lambda: turns.begun.count(key) == 2)
    assert time.monotonic() - released < 1.0


async def test_a_send_does_not_wait_for_the_turn_of_its_conversation(engine: AsyncEngine, database_url: str) -> None:
    """Trap: with one key a send waited 505 ms or was swallowed."""
    turns, sends, key = Calls(held=True), Calls(), uuid4()
    async with working(database_url, turns, sends):
        await waken(engine, "turn", key)
        await eventually(lambda: turns.begun == [key])
        await waken(engine, "send", key)
        await eventually(lambda: sends.ended == [key])
        assert turns.ended == []
        turns.gate.set()


async def test_a_provider_that_hangs_stops_neither_understanding_nor_other_lanes(
    engine: AsyncEngine, database_url: str
) -> None:
    turns, hanging, sent = Calls(), asyncio.Event(), list[UUID]()
    stuck = {uuid4() for _ in range(5)}

    async def send(key: UUID) -> None:
        if key in stuck:
            await hanging.wait()
        sent.append(key)

    async with working(database_url, turns, send, sends=2, lanes=["telegram", "mail"]):
        for key in stuck:
            await waken(engine, "send", key, lane="telegram")
        await waken(engine, "send", mail := uuid4(), lane="mail")
        await waken(engine, "turn", turn := uuid4())
        await eventually(lambda: sent == [mail] and turns.ended == [turn])
        hanging.set()
        await eventually(lambda: set(sent) == {mail, *stuck})


async def test_a_lane_with_a_long_name_is_a_lane_like_others(engine: AsyncEngine, database_url: str) -> None:
    """PostgreSQL refuses the notification of a queue whose channel has 64 bytes, and the whole transaction with it."""
    lane, sends, key = "atención-" * 12, Calls(), uuid4()
    assert queue_of("send", lane) != queue_of("send", lane + "x")
    async with working(database_url, nothing, sends, lanes=[lane]):
        await waken(engine, "send", key, lane=lane)
        await eventually(lambda: sends.ended == [key])


async def test_what_waits_in_the_lane_of_a_removed_account_is_run_by_the_others(
    engine: AsyncEngine, database_url: str
) -> None:
    """Else the message would neither leave nor fail, and nothing could wake its conversation again."""
    sends, key = Calls(), uuid4()
    await waken(engine, "send", key, lane="removed")
    async with working(database_url, nothing, sends, lanes=["mail"]):
        await eventually(lambda: sends.ended == [key])


@pytest.mark.parametrize("failure", [ValueError("my card is 4111"), asyncio.CancelledError("my card is 4111")])
async def test_a_handler_that_fails_ends_its_wake_up_and_says_nothing_of_the_customer(
    engine: AsyncEngine, database_url: str, caplog: pytest.LogCaptureFixture, failure: BaseException
) -> None:
    """Trap: a failed or retried job stays and blocks its key. Here the next wake-up simply runs."""
    runs, key = list[UUID](), uuid4()

    async def fail(key: UUID) -> None:
        runs.append(key)
        raise failure

    async with working(database_url, fail):
        await waken(engine, "turn", key)
        await eventually(lambda: len(runs) == 1)
        await until(engine, "SELECT count(*) = 0 FROM procrastinate_jobs")
        await waken(engine, "turn", key)
        await eventually(lambda: len(runs) == 2)
    written = [record.getMessage() for record in caplog.records if record.name == LOG.name]
    assert f"turn {key} failed: {type(failure).__name__} at test_wake.py" in written[0]
    assert "4111" not in caplog.text


async def test_a_handler_that_never_ends_is_cut_off(engine: AsyncEngine, database_url: str) -> None:
    stuck, key = Calls(held=True), uuid4()
    async with working(database_url, stuck, pace=Pace(longest=0.2, grace=0.5)):
        await waken(engine, "turn", key)
        await eventually(lambda: stuck.begun == [key])
        await waken(engine, "turn", key)
        await eventually(lambda: len(stuck.begun) == 2)


async def leave_behind(engine: AsyncEngine, kind: Kind, key: UUID) -> None:
    """What a worker that died in the middle of a job leaves in the tables."""
    async with AsyncSession(engine) as session, session.begin():
        await wake(session, kind, key)
        worker = await session.scalar(text("SELECT worker_id FROM procrastinate_register_worker_v1()"))
        await session.execute(text("SELECT procrastinate_fetch_job_v2(NULL, :worker)"), {"worker": worker})


@pytest.mark.parametrize("woken_again", [False, True])
async def test_what_a_dead_worker_left_is_done_again(engine: AsyncEngine, database_url: str, woken_again: bool) -> None:
    """Trap: with a fresh wake-up beside it, the rescue of the engine's documentation dies on a unique violation."""
    turns, key = Calls(), uuid4()
    await leave_behind(engine, "turn", key)
    if woken_again:
        await waken(engine, "turn", key)
    async with working(database_url, turns):
        await eventually(lambda: turns.ended == [key])
        await until(engine, "SELECT count(*) = 0 FROM procrastinate_jobs")


async def test_a_worker_that_dies_later_is_noticed_by_one_that_runs(engine: AsyncEngine, database_url: str) -> None:
    turns, key = Calls(), uuid4()
    async with working(database_url, turns):
        await waken(engine, "turn", first := uuid4())
        await eventually(lambda: turns.ended == [first])
        await leave_behind(engine, "turn", key)
        await eventually(lambda: turns.ended == [first, key])


async def test_a_worker_that_lives_is_not_rescued_from_itself(engine: AsyncEngine, database_url: str) -> None:
    """After a laptop's sleep the beats are old: that of this process is renewed before anybody is called dead."""
    turns, key = Calls(held=True), uuid4()
    async with working(database_url, turns, pace=Pace(beat=0.3, stalled=1.0, grace=0.5)):
        await waken(engine, "turn", key)
        await eventually(lambda: turns.begun == [key])
        for _ in range(5):
            async with engine.begin() as connection:
                await connection.execute(
                    text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 h'")
                )
            await asyncio.sleep(0.3)
        assert await rows(engine, "SELECT status::text FROM procrastinate_jobs") == [("doing",)]
        turns.gate.set()
        await eventually(lambda: turns.ended == [key])
    assert turns.begun == [key]


async def test_a_stop_is_quick_and_what_it_cut_off_is_awake_for_the_next_worker(
    engine: AsyncEngine, database_url: str
) -> None:
    cut, key = Calls(held=True), uuid4()
    async with working(database_url, cut) as task:
        await waken(engine, "turn", key)
        await eventually(lambda: cut.begun == [key])
        stopped = time.monotonic()
        task.cancel()
        await asyncio.wait([task])
        assert time.monotonic() - stopped < 2.0
    assert await rows(engine, "SELECT status::text, queueing_lock FROM procrastinate_jobs") == [("todo", f"turn:{key}")]
    whole = Calls()
    async with working(database_url, whole):
        await eventually(lambda: whole.ended == [key])


async def test_a_stop_waits_for_what_can_finish(engine: AsyncEngine, database_url: str) -> None:
    turns, key = Calls(held=True), uuid4()
    async with working(database_url, turns, pace=Pace(grace=3)) as task:
        await waken(engine, "turn", key)
        await eventually(lambda: turns.begun == [key])
        task.cancel()
        asyncio.get_running_loop().call_later(0.2, turns.gate.set)
        await asyncio.wait([task])
    assert turns.ended == [key]
    assert await rows(engine, "SELECT * FROM procrastinate_jobs") == []


async def test_the_end_that_the_database_did_not_hear_does_not_block_the_key(
    engine: AsyncEngine, database_url: str
) -> None:
    """Trap: a job that stays `doing` under a worker that lives blocks its key for ever."""
    turns, key = Calls(held=True), uuid4()
    async with working(database_url, turns) as task:
        await waken(engine, "turn", key)
        await eventually(lambda: turns.begun == [key])
        async with engine.begin() as connection:
            await connection.execute(text(CUT))
        turns.gate.set()
        await eventually(lambda: turns.ended == [key])
        await waken(engine, "turn", key)
        await eventually(lambda: turns.ended == [key, key])
        await until(engine, "SELECT count(*) = 0 FROM procrastinate_jobs")
        assert not task.done()


async def test_what_was_taken_and_never_begun_is_run_after_all(engine: AsyncEngine, database_url: str) -> None:
    """The answer that named it got lost with the connection: it is `doing` in the name of a worker that lives."""
    turns, key = Calls(), uuid4()
    async with working(database_url, turns):
        await waken(engine, "turn", first := uuid4())
        await eventually(lambda: turns.ended == [first])
        async with engine.begin() as connection:
            taken = (
                "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)"
                " SELECT 'turn', 'turn', :name, :name, jsonb_build_object('key', CAST(:key AS text)), 'doing', max(id)"
                " FROM procrastinate_workers"
            )
            await connection.execute(text(taken), {"name": f"turn:{key}", "key": str(key)})
            await connection.execute(text(CUT))
        await eventually(lambda: turns.ended == [first, key])


async def test_a_worker_that_was_taken_for_dead_comes_back(engine: AsyncEngine, database_url: str) -> None:
    """Another one rescued what it ran, and struck its name off; what it runs now is in a name again."""
    turns, key = Calls(held=True), uuid4()
    async with working(database_url, turns):
        await waken(engine, "turn", key)
        await eventually(lambda: turns.begun == [key])
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM procrastinate_workers"))
        await until(engine, "SELECT count(*) = 1 FROM procrastinate_workers")
        await until(engine, "SELECT worker_id IS NOT NULL FROM procrastinate_jobs")
        turns.gate.set()
        await until(engine, "SELECT count(*) = 0 FROM procrastinate_jobs")
    assert turns.begun == [key]


async def test_the_next_of_a_key_begins_at_once_and_not_at_the_next_look(
    engine: AsyncEngine, database_url: str
) -> None:
    """A second message that comes during the turn of the first: the end of that turn is the sign."""
    turns, key = Calls(held=True), uuid4()
    async with working(database_url, turns, pace=SLOW):
        await waken(engine, "turn", key)
        await eventually(lambda: len(turns.begun) == 1)
        await waken(engine, "turn", key)
        await asyncio.sleep(0.05)  # it is looked at, and must wait
        released = time.monotonic()
        turns.gate.set()
        await eventually(lambda: len(turns.ended) == 2, within=2)
    assert time.monotonic() - released < 0.5


async def test_a_wake_up_that_a_transaction_held_begins_when_it_is_over(engine: AsyncEngine, database_url: str) -> None:
    turns, key, other = Calls(), uuid4(), uuid4()
    await waken(engine, "turn", key)
    async with AsyncSession(engine) as session, session.begin():
        await wake(session, "turn", key)
        async with working(database_url, turns, pace=SLOW):
            await waken(engine, "turn", other)
            await eventually(lambda: turns.ended == [other])
            await session.commit()
            await eventually(lambda: turns.ended == [other, key], within=2)


async def test_what_waits_for_another_worker_is_looked_at_again_soon(engine: AsyncEngine, database_url: str) -> None:
    """Its key runs in a process that dies without a word: nobody tells the end, nor is there a new wake-up."""
    turns, key = Calls(), uuid4()
    await leave_behind(engine, "turn", key)
    await waken(engine, "turn", key)
    async with working(database_url, turns, pace=Pace(poll=60, beat=60, again=0.1)):
        await waken(engine, "turn", other := uuid4())
        await eventually(lambda: turns.ended == [other])
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM procrastinate_jobs WHERE status = 'doing'"))
        await eventually(lambda: turns.ended == [other, key], within=2)


async def test_a_thousand_that_wait_are_run_once_each_by_two_workers_and_none_twice_at_once(
    engine: AsyncEngine, database_url: str
) -> None:
    """R006, with wake-ups that come again while they run."""
    keys = [uuid4() for _ in range(250)]
    running, most, runs = Counter[UUID](), Counter[UUID](), Counter[UUID]()

    async def turn(key: UUID) -> None:
        running[key] += 1
        most[key] = max(most[key], running[key])
        await asyncio.sleep(0)
        running[key] -= 1
        runs[key] += 1

    async def waken_all() -> None:
        async with AsyncSession(engine) as session, session.begin():
            for key in keys:
                await wake(session, "turn", key)

    await waken_all()
    async with working(database_url, turn), working(database_url, turn):
        for _ in range(3):
            await waken_all()
        await until(engine, "SELECT count(*) = 0 FROM procrastinate_jobs")
    assert set(runs) == set(keys)
    assert set(most.values()) == {1}
    assert sum(runs.values()) <= 4 * len(keys)


async def test_an_idle_worker_asks_next_to_nothing(engine: AsyncEngine, database_url: str) -> None:
    """One look in five seconds and one sign of life, for any number of lanes."""
    turns, key = Calls(), uuid4()
    async with working(database_url, turns, pace=SLOW, lanes=["web", "mail", "telegram", "slack"]):
        await waken(engine, "turn", key)
        await eventually(lambda: turns.ended == [key])
        await until(engine, "SELECT count(*) = 0 FROM procrastinate_jobs")
        asked = "SELECT query_start FROM pg_stat_activity WHERE application_name = 'acuse worker'"
        before = await rows(engine, asked)
        await asyncio.sleep(1)
        assert len(before) == 1
        assert await rows(engine, asked) == before


async def test_run_raises_when_the_database_goes_and_can_be_run_again(engine: AsyncEngine, database_url: str) -> None:
    """The engine ends without a word; the keeper must see a failure, and start the worker again."""
    turns, key = Calls(), uuid4()
    worker = Worker(database_url, {"turn": turns, "send": nothing}, log=LOG, pace=QUICK)
    task = asyncio.create_task(worker.run())
    await waken(engine, "turn", key)
    await eventually(lambda: turns.ended == [key])
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE procrastinate_jobs RENAME TO away"))
        await connection.execute(text(CUT))
    await asyncio.wait([task], timeout=10)
    assert isinstance(task.exception(), WorkerEnded)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE away RENAME TO procrastinate_jobs"))
    again = asyncio.create_task(worker.run())
    await waken(engine, "turn", second := uuid4())
    await eventually(lambda: turns.ended == [key, second])
    again.cancel()
    await asyncio.wait([again])


async def test_a_worker_whose_database_is_gone_stops_in_time(
    engine: AsyncEngine, server: str, database_url: str
) -> None:
    """It waits half a minute for a connection, in which it would say good-bye; the keeper gives it five seconds."""
    turns, key = Calls(), uuid4()
    async with working(database_url, turns) as task:
        await waken(engine, "turn", key)
        await eventually(lambda: turns.ended == [key])
        with psycopg.connect(server, autocommit=True) as connection:
            name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(others, [name])
        await asyncio.sleep(0.5)
        assert not task.done()
        stopped = time.monotonic()
        task.cancel()
        await asyncio.wait([task])
    assert time.monotonic() - stopped < 2.5


async def test_nothing_of_a_wake_up_lies_in_the_future(engine: AsyncEngine) -> None:
    """Trap: a job of the future blocks its lock. Timers are rows of ours."""
    await waken(engine, "turn", uuid4())
    await waken(engine, "send", uuid4(), lane="mail")
    assert await rows(engine, "SELECT DISTINCT scheduled_at, args ? 'key', attempts FROM procrastinate_jobs") == [
        (None, True, 0)
    ]
