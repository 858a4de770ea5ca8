"""Keeps the parts of the program going, each apart from the others.

A part that fails is started again after a pause that grows; the reason stands in `states()` for /health. Only a
fault in the configuration, found when a part first starts, ends the process.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Literal

OURS = ("main", "console", "bot", "channels", "nlu", "storage")
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_HEALTHY_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class Keep:
    """A part. `run` goes on until it is cancelled; that it returns or raises is a failure."""

    name: str
    run: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class PartState:
    """How a part is: since when, how often it was started again, and why the last time."""

    state: Literal["running", "restarting", "stopped"]
    since: datetime
    restarts: int = 0
    reason: str | None = None


class Keeper:
    """`faults` are the exceptions that end the process when a part raises one at its first start.

    `patience`: seconds that all parts together get to stop; one that takes longer is named in `abandoned`.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        random: Random,
        sleep: Callable[[float], Awaitable[None]],
        *,
        faults: tuple[type[Exception], ...] = (),
        patience: float = 5.0,
        log: logging.Logger,
    ) -> None:
        self.abandoned: list[str] = []
        self._now = now
        self._random = random
        self._sleep = sleep
        self._faults = faults
        self._patience = patience
        self._log = log
        self._states: dict[str, PartState] = {}

    def states(self) -> dict[str, PartState]:
        """How every part is at this moment, by name; safe to show to anybody."""
        return dict(self._states)

    async def run_all(self, parts: Sequence[Keep]) -> None:
        """Keep the parts going until cancelled. Raises a fault of the configuration when one is found at the start."""
        if not parts:  # a listener without channels that listen: it waits for its end like the others
            await asyncio.get_running_loop().create_future()
        tasks = {asyncio.create_task(self._keep(part), name=f"keep {part.name}"): part for part in parts}
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await self._stop(tasks)
        for task in ended:
            await task

    async def _keep(self, part: Keep) -> None:
        failures = restarts = 0
        reason: str | None = None
        while True:
            started = self._now()
            self._states[part.name] = PartState("running", started, restarts, reason)
            error = await _outcome(part)
            healthy = self._now() - started >= _HEALTHY_AFTER
            if isinstance(error, self._faults) and restarts == 0 and not healthy:
                raise error
            failures = 1 if healthy else failures + 1
            restarts, reason = restarts + 1, describe(error)
            pause = self._pause(failures)
            self._states[part.name] = PartState("restarting", self._now(), restarts, reason)
            self._log.warning("%s ended, again in %.1f s: %s", part.name, pause, reason)
            await self._sleep(pause)

    def _pause(self, failures: int) -> float:
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
        return longest * self._random.uniform(0.5, 1.0)  # so that a hundred parts do not knock at once

    async def _stop(self, tasks: dict[asyncio.Task[None], Keep]) -> None:
        for task in tasks:
            task.cancel()
        _, deaf = await asyncio.wait(tasks, timeout=self._patience)
        for task, part in tasks.items():
            before = self._states.get(part.name, PartState("stopped", self._now()))
            reason = f"did not stop within {self._patience:g} s" if task in deaf else before.reason
            self._states[part.name] = PartState("stopped", self._now(), before.restarts, reason)
            if task in deaf:
                self.abandoned.append(part.name)
                self._log.error("%s %s: abandoned", part.name, reason)


class EndedByItself(Exception):
    """A part returned though it should go on."""


async def _outcome(part: Keep) -> Exception:
    """Run it once; how it failed."""
    try:
        await part.run()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return EndedByItself("cancelled itself")
    except Exception as error:
        return error
    return EndedByItself("ended by itself")


def describe(error: BaseException) -> str:
    """Type and place of an error; its message only if the error is of ours, as others quote what customers wrote."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(dict.fromkeys(map(describe, error.exceptions)))
    kind = type(error)
    if kind.__module__.partition(".")[0] in OURS:
        return f"{kind.__name__}: {error}"
    frames = extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{kind.__name__}{place}"
