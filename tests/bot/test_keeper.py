"""The keeper: parts fail apart, come back, and stop together."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from bot.keeper import Keep, Keeper, PartState, describe


class ConfigurationFault(Exception):
    """Stands for main's."""


ConfigurationFault.__module__ = "main"


class Time:
    """A clock that only sleeping moves; every pause is written down."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)
        self.pauses: list[float] = []

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.moment += timedelta(seconds=seconds)
        await asyncio.sleep(0)


def keeper_at(time: Time, **options: object) -> Keeper:
    log = logging.getLogger("acuse.test")
    return Keeper(time.now, Random(7), time.sleep, log=log, faults=(ConfigurationFault,), **options)  # type: ignore[arg-type] # options vary


async def forever() -> None:
    await asyncio.Event().wait()


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def failing(error: BaseException, times: int) -> Callable[[], Awaitable[None]]:
    left = iter(range(times))

    async def run() -> None:
        if next(left, None) is not None:
            raise error
        await forever()

    return run


async def test_a_part_that_fails_is_started_again_and_the_others_do_not_notice() -> None:
    clock, starts = Time(), list[str]()

    async def steady() -> None:
        starts.append("steady")
        await forever()

    keeper = keeper_at(clock)
    parts = [Keep("worker", failing(ConnectionError("secret text"), 3)), Keep("web", steady)]
    running = asyncio.create_task(keeper.run_all(parts))
    await until(lambda: len(clock.pauses) == 3 and keeper.states()["worker"].state == "running")
    states = keeper.states()
    assert starts == ["steady"]
    assert states["web"] == PartState("running", states["web"].since, restarts=0, reason=None)
    assert states["worker"].restarts == 3
    assert states["worker"].reason is not None
    assert states["worker"].reason.startswith("ConnectionError at test_keeper.py:")
    await stop(running)
    assert {part.state for part in keeper.states().values()} == {"stopped"}


async def test_pauses_grow_with_jitter_to_half_a_minute() -> None:
    clock = Time()
    running = asyncio.create_task(keeper_at(clock).run_all([Keep("worker", failing(OSError(), 12))]))
    await until(lambda: len(clock.pauses) == 12)
    await stop(running)
    longest = [min(30.0, 0.5 * 2**n) for n in range(12)]
    assert all(top / 2 <= pause <= top for pause, top in zip(clock.pauses, longest, strict=True))
    assert len(set(clock.pauses)) == 12


async def test_a_minute_of_health_forgives_what_was_before() -> None:
    clock, run_for = Time(), iter([0, 0, 0, 61, 0])

    async def run() -> None:
        seconds = next(run_for, None)
        if seconds is None:
            await forever()
        clock.moment += timedelta(seconds=seconds or 0)
        raise OSError

    running = asyncio.create_task(keeper_at(clock).run_all([Keep("worker", run)]))
    await until(lambda: len(clock.pauses) == 5)
    await stop(running)
    assert clock.pauses[2] >= 1.0
    assert clock.pauses[3] <= 0.5
    assert 0.5 <= clock.pauses[4] <= 1.0


@pytest.mark.parametrize("end", ["returns", "cancels itself"])
async def test_a_part_that_ends_without_an_error_is_started_again(end: str) -> None:
    clock, ends = Time(), iter([end])

    async def run() -> None:
        how = next(ends, None)
        if how == "cancels itself":
            raise asyncio.CancelledError
        if how is None:
            await forever()

    keeper = keeper_at(clock)
    running = asyncio.create_task(keeper.run_all([Keep("worker", run)]))
    await until(lambda: len(clock.pauses) == 1 and keeper.states()["worker"].state == "running")
    assert "itself" in (keeper.states()["worker"].reason or "")
    await stop(running)


async def test_a_fault_of_the_configuration_at_the_start_ends_everything() -> None:
    keeper, stopped = keeper_at(Time()), asyncio.Event()

    async def other() -> None:
        try:
            await forever()
        finally:
            stopped.set()

    with pytest.raises(ConfigurationFault, match="no token"):
        await keeper.run_all([Keep("web", other), Keep("telegram", failing(ConfigurationFault("no token"), 1))])
    assert stopped.is_set()
    assert keeper.states()["telegram"].state == "stopped"


async def test_a_fault_of_the_configuration_later_is_a_failure_like_others() -> None:
    clock, outcomes = Time(), iter([OSError(), ConfigurationFault("token revoked")])

    async def run() -> None:
        error = next(outcomes, None)
        if error is not None:
            raise error
        await forever()

    keeper = keeper_at(clock)
    running = asyncio.create_task(keeper.run_all([Keep("telegram", run)]))
    await until(lambda: len(clock.pauses) == 2 and keeper.states()["telegram"].state == "running")
    assert keeper.states()["telegram"].reason == "ConfigurationFault: token revoked"
    await stop(running)


async def test_a_stop_ends_all_parts_together_and_gives_up_the_deaf_one(caplog: pytest.LogCaptureFixture) -> None:
    keeper, release = keeper_at(Time(), patience=0.3), asyncio.Event()

    async def deaf() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def slow() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.15)

    parts = [Keep("deaf", deaf), *(Keep(f"slow {n}", slow) for n in range(5))]
    running = asyncio.create_task(keeper.run_all(parts))
    await until(lambda: len(keeper.states()) == 6)
    await asyncio.sleep(0)
    began = time.monotonic()
    await stop(running)
    assert 0.25 < time.monotonic() - began < 0.6, "together, not one after the other"
    assert running.cancelled()
    assert keeper.abandoned == ["deaf"]
    assert keeper.states()["deaf"].reason == "did not stop within 0.3 s"
    assert keeper.states()["slow 0"].state == "stopped"
    assert "deaf did not stop" in caplog.text
    release.set()


async def test_nothing_that_a_customer_wrote_gets_into_states_or_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = Time()
    foreign = failing(ValueError("my card is 4111"), 1)
    keeper = keeper_at(clock)
    running = asyncio.create_task(keeper.run_all([Keep("intake", foreign)]))
    await until(lambda: len(clock.pauses) == 1 and keeper.states()["intake"].state == "running")
    assert "4111" not in f"{keeper.states()}{caplog.text}"
    assert "ValueError" in caplog.text
    await stop(running)


def test_what_is_said_of_an_error() -> None:
    assert describe(ConfigurationFault("channels.mail: no host")) == "ConfigurationFault: channels.mail: no host"
    assert describe(ValueError("my card is 4111")) == "ValueError"
    group = ExceptionGroup("my card", [ValueError("4111"), ValueError("4112"), ConfigurationFault("no host")])
    assert describe(group) == "ValueError, ConfigurationFault: no host"
