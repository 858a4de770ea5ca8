"""Leases on a real PostgreSQL, with processes that die and processes that freeze."""

import asyncio
import inspect
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from storage.lease import Lease, LeaseLost, Terms, hold

ROOT = Path(__file__).parents[2]
BRIEF = Terms(lifetime=1.5, beat=0.4, retry=0.05)

# confirms each line that it reads, as a listener confirms what it has stored
LISTENER = """
import asyncio, sys
from storage.lease import Lease, LeaseLost, Terms, hold

async def main():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async def listen():
        print("listening", flush=True)
        while line := await reader.readline():
            print("confirmed", line.decode().strip(), flush=True)
    lifetime, beat, retry = map(float, sys.argv[2:])
    try:
        await hold(Lease(sys.argv[1], "mailbox", terms=Terms(lifetime, beat, retry)), listen)
    except LeaseLost:
        print("lost", flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def listener_process(url: str, terms: Terms) -> AsyncIterator[Process]:
    arguments = [url, str(terms.lifetime), str(terms.beat), str(terms.retry)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LISTENER, *arguments, stdin=PIPE, stdout=PIPE, env=environment, cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def next_line(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


async def say(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()


async def acquired(lease: Lease, within: float = 8.0) -> float:
    """Seconds until it was ours."""
    began = time.monotonic()
    await asyncio.wait_for(lease.acquire(), within)
    return time.monotonic() - began


async def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def forever() -> None:
    await asyncio.Event().wait()


async def freeze_and_thaw(url: str, terms: Terms) -> float:
    """Freeze the holder until the lease has moved, and wake it; how many seconds the move took."""
    async with listener_process(url, terms) as process:
        assert await next_line(process) == "listening"
        await say(process, "one")
        assert await next_line(process) == "confirmed one"
        process.send_signal(signal.SIGSTOP)
        await say(process, "two")  # the first thing that it will see when it goes on
        heir = Lease(url, "mailbox", terms=terms)
        moved_after = await acquired(heir, within=30)
        process.send_signal(signal.SIGCONT)
        assert await next_line(process) == "lost", "it confirmed what was no longer its own"
        assert await next_line(process) == ""
        assert heir.held
        await heir.release()
    return moved_after


async def test_a_frozen_process_loses_its_lease_and_learns_it_before_it_confirms(database_url: str) -> None:
    assert await freeze_and_thaw(database_url, BRIEF) < BRIEF.lifetime + 1.5


@pytest.mark.soak
async def test_with_the_real_terms_a_lease_moves_from_a_frozen_process_in_twenty_seconds(database_url: str) -> None:
    assert await freeze_and_thaw(database_url, Terms()) < 20


async def test_the_lease_of_a_killed_process_moves_at_once(database_url: str) -> None:
    async with listener_process(database_url, Terms()) as process:
        assert await next_line(process) == "listening"
        heir = Lease(database_url, "mailbox", terms=Terms(retry=0.05))
        waiting = asyncio.create_task(acquired(heir))
        process.kill()
        assert await waiting < 3
        await heir.release()


async def test_one_at_a_time_holds_a_name_and_names_do_not_meet(database_url: str) -> None:
    first, second = Lease(database_url, "mailbox", terms=BRIEF), Lease(database_url, "mailbox", terms=BRIEF)
    other = Lease(database_url, "telegram", terms=BRIEF)
    await acquired(first)
    await acquired(other)
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(BRIEF.lifetime * 1.5)  # longer than a lease without a beat would last
    assert first.held
    assert other.held
    assert not waiting.done()
    await first.release()
    await asyncio.wait_for(waiting, 5)
    assert second.held
    assert not first.held
    await second.release()
    await other.release()


async def test_a_lease_can_be_had_again_after_it_was_lost(database_url: str) -> None:
    lease = Lease(database_url, "mailbox", terms=Terms(retry=0.05))
    for _ in range(2):
        async with lease:
            assert lease.held
            end_connections(database_url)
            await asyncio.wait_for(lease.lost.wait(), 2)  # at once, not at the next beat
            assert not lease.held


def end_connections(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'acuse lease mailbox'"
        connection.execute(cut)


async def test_who_waits_keeps_no_statement_open(database_url: str) -> None:
    """A statement that waits for days keeps the server from cleaning up."""
    async with Lease(database_url, "mailbox", terms=BRIEF):
        waiting = asyncio.create_task(Lease(database_url, "mailbox", terms=Terms()).acquire())
        await asyncio.sleep(0.3)
        with psycopg.connect(database_url) as connection:
            query = "SELECT state FROM pg_stat_activity WHERE application_name = 'acuse lease mailbox'"
            assert connection.execute(query).fetchall() == [("idle",), ("idle",)]
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_a_lost_lease_stops_the_listener_and_lets_it_clean_up(database_url: str) -> None:
    steps = list[str]()

    async def listen() -> None:
        steps.append("listening")
        try:
            await forever()
        finally:
            await asyncio.sleep(0.05)
            steps.append("logged out")

    holding = asyncio.create_task(hold(Lease(database_url, "mailbox"), listen))
    await eventually(lambda: steps == ["listening"])
    end_connections(database_url)
    with pytest.raises(LeaseLost, match="mailbox"):
        await asyncio.wait_for(holding, 5)
    assert steps == ["listening", "logged out"]


async def test_the_clock_is_asked_before_each_step_of_the_listener(database_url: str) -> None:
    """A freeze between two steps: what is ready afterwards is not done."""
    moment, confirmed = [0.0], list[int]()

    async def listen() -> None:
        for number in range(10):
            await asyncio.sleep(0)
            confirmed.append(number)
            if number == 3:
                moment[0] += Terms().lifetime

    with pytest.raises(LeaseLost):
        await hold(Lease(database_url, "mailbox", clock=lambda: moment[0]), listen)
    assert confirmed == [0, 1, 2, 3]


async def test_a_timeout_that_ended_during_the_freeze_does_not_hide_the_loss(database_url: str) -> None:
    """It would turn the cancellation into its own TimeoutError, and the listener would go on."""
    moment, confirmed = [0.0], list[str]()

    async def listen() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                moment[0] += Terms().lifetime
                await forever()
        confirmed.append("after the timeout")

    with pytest.raises(LeaseLost):
        await hold(Lease(database_url, "mailbox", clock=lambda: moment[0]), listen)
    assert confirmed == []


async def test_the_listeners_own_end_and_failure_pass_through_and_give_the_lease_back(database_url: str) -> None:
    ended = list[bool]()

    async def end() -> None:
        await asyncio.sleep(0)
        ended.append(True)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("the mailbox went away")

    await hold(Lease(database_url, "mailbox"), end)
    assert ended == [True]
    with pytest.raises(ConnectionError):
        await hold(Lease(database_url, "mailbox"), fail)
    heir = Lease(database_url, "mailbox", terms=BRIEF)
    assert await acquired(heir) < 2
    await heir.release()


async def test_a_cancelled_hold_stops_the_listener_and_gives_the_lease_back(database_url: str) -> None:
    steps = list[str]()

    async def listen() -> None:
        steps.append("listening")
        try:
            await forever()
        finally:
            steps.append("stopped")

    holding = asyncio.create_task(hold(Lease(database_url, "mailbox"), listen))
    await eventually(lambda: steps == ["listening"])
    holding.cancel()
    await asyncio.wait([holding])
    assert holding.cancelled()
    assert steps == ["listening", "stopped"]
    heir = Lease(database_url, "mailbox", terms=BRIEF)
    assert await acquired(heir) < 2
    await heir.release()


async def test_tasks_get_coroutines_only_as_python_from_3_12_on_wants(database_url: str) -> None:
    given: list[object] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
        given.append(work)
        return asyncio.Task(work, loop=loop, **more)

    async def listen() -> None:
        await asyncio.sleep(0)

    asyncio.get_running_loop().set_task_factory(factory)
    try:
        await hold(Lease(database_url, "mailbox", terms=BRIEF), listen)
    finally:
        asyncio.get_running_loop().set_task_factory(None)
    assert given and all(inspect.iscoroutine(one) for one in given)
