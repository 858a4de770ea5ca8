"""Hand over what waits in a line, each event after the one before it; and what time brings to all lines."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bot.parts import Parts
from bot.webhooks.posting import Post, Refused
from bot.webhooks.settings import Webhook
from storage.tables import WebhookEvent, WebhookLine
from storage.webhooks import WebhookState

logger = logging.getLogger(__name__)

ROUNDS = 50  # events that one wake-up hands over before it lets other lines go
LONGEST = timedelta(minutes=2)  # and for how long: a run that the worker cuts off would send its event twice
GRACE = timedelta(seconds=15)  # taken for so much longer than a receiver may take: whoever took it is dead
BACK_OFF = tuple(timedelta(seconds=s) for s in (2, 10, 30, 120, 300, 600))
EVERY = 2.0  # seconds between two looks at what is due
LOOK_EVERY = timedelta(seconds=10)
PURGE_EVERY = timedelta(hours=1)
STRANGERS_KEPT = timedelta(days=30)  # events of a webhook that is no longer configured


class Handing:
    """Handler of the wake-up `hook:<line>`."""

    def __init__(self, parts: Parts, webhooks: Mapping[str, Webhook], posts: Mapping[str, Post]) -> None:
        self._parts = parts
        self._webhooks = webhooks
        self._posts = posts

    async def run(self, line_id: UUID) -> None:
        """Hand over what is due, and leave; what comes later brings a wake-up of its own."""
        leave_at = self._parts.now() + LONGEST
        for _ in range(ROUNDS):
            if self._parts.now() > leave_at:
                break
            taken = await self._take(line_id)
            if taken is None:
                return
            refused = await self._post(taken)
            if not await self._settle(taken, refused):
                return
        async with self._parts.database.transaction() as tx:  # more than one run's worth
            line, events = await tx.webhooks.next(line_id)
            if line is not None and events:
                await tx.wake("hook", line_id, lane=line.webhook)

    async def _take(self, line_id: UUID) -> "_Taken | None":
        """The next event; nobody else takes it before its receiver's time is over."""
        now = self._parts.now()
        async with self._parts.database.transaction() as tx:
            line, events = await tx.webhooks.next(line_id)
            if line is None or line.due_at is None or line.due_at > now or line.webhook not in self._webhooks:
                return None
            if not events:
                line.due_at = None
                return None
            settings, event = self._webhooks[line.webhook], events[0]
            line.due_at = now + timedelta(seconds=settings.timeout_seconds) + GRACE
            event.attempts += 1
            return _Taken(line.webhook, line_id, event.id, event.attempts, body_of(event))

    async def _post(self, taken: "_Taken") -> Refused | None:
        try:
            return await self._posts[taken.webhook].send(str(taken.event_id), taken.body)
        except Exception as error:  # a defect of ours must not send the same event for ever without a pause
            logger.exception("webhook %s: the sending broke", taken.webhook)
            return Refused(f"the sending broke: {type(error).__name__}", "tell us: see the log")

    async def _settle(self, taken: "_Taken", refused: Refused | None) -> bool:
        """Write down what came of it. False: nothing else may be handed over now."""
        async with self._parts.database.transaction() as tx:
            line, events = await tx.webhooks.next(taken.line_id)
            event = next((one for one in events if one.id == taken.event_id), None)
            if line is None or event is None or event.attempts != taken.attempt:
                return False  # whoever believed us dead is at it, or has been
            if refused is None:
                self._delivered(line, event, more=len(events) > 1)
            else:
                self._refused(line, event, refused, more=len(events) > 1)
            return refused is None and len(events) > 1

    def _delivered(self, line: WebhookLine, event: WebhookEvent, *, more: bool) -> None:
        now = self._parts.now()
        event.state, event.settled_at = "delivered", now
        line.delivered_at, line.failures = now, 0
        line.failed_at = line.last_error = None
        line.due_at = now if more else None

    def _refused(self, line: WebhookLine, event: WebhookEvent, refused: Refused, *, more: bool) -> None:
        now = self._parts.now()
        line.failures += 1
        line.failed_at, line.last_error = now, str(refused)[:500]
        line.due_at = now + self._pause(line.failures, refused)
        logger.warning("webhook %s: %s: attempt %d: %s", line.webhook, event.kind, event.attempts, refused.problem)
        if now - event.at > self._webhooks[line.webhook].patience:
            event.state, event.settled_at = "given up", now
            line.due_at = line.due_at if more else None
            logger.error("webhook %s: %s %s is given up: %s", line.webhook, event.kind, event.id, refused)

    def _pause(self, failures: int, refused: Refused) -> timedelta:
        """It grows to ten minutes and stays there; up to a fifth more, so that lines do not knock all at once."""
        wait = BACK_OFF[-1] if refused.gone else BACK_OFF[min(failures, len(BACK_OFF)) - 1]
        wait = max(wait, refused.retry_after or wait)
        return wait + timedelta(milliseconds=self._parts.choose(max(int(wait.total_seconds() * 200), 1)))


@dataclass(frozen=True)
class _Taken:
    """What is being handed over, and at which attempt."""

    webhook: str
    line_id: UUID
    event_id: UUID
    attempt: int
    body: bytes


def body_of(event: WebhookEvent) -> bytes:
    """What is sent of an event, the same at each attempt."""
    told = {
        "type": event.kind,
        "timestamp": event.at.isoformat(),
        "id": str(event.id),
        "sequence": event.number,
        "data": event.data,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


class Rounds:
    """What time brings: attempts that are due again, wake-ups that got lost, and the end of what was settled."""

    def __init__(self, parts: Parts, webhooks: Mapping[str, Webhook]) -> None:
        self._parts = parts
        self._webhooks = webhooks
        self._purged = parts.now() - PURGE_EVERY

    async def run(self) -> None:
        """Look until cancelled. Raises what the database raises; the keeper starts it again."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> int:
        """Wake what is due; a wake-up too many changes nothing. Returns how many lines were due."""
        names = list(self._webhooks)
        async with self._parts.database.transaction() as tx:
            due = await tx.webhooks.due(names)
            for line, webhook in sorted(due):
                await tx.wake("hook", line, lane=webhook)
        if self._parts.now() - self._purged >= PURGE_EVERY:
            self._purged = self._parts.now()
            async with self._parts.database.transaction() as tx:
                await tx.webhooks.purge({name: one.keep for name, one in self._webhooks.items()}, STRANGERS_KEPT)
        return len(due)


class Watching:
    """Keeps for /health how it stands with each webhook."""

    def __init__(self, parts: Parts, webhooks: Mapping[str, Webhook]) -> None:
        self._parts = parts
        self._names = list(webhooks)
        self._states: Mapping[str, WebhookState] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    async def look(self) -> Mapping[str, WebhookState]:
        """How it stands now."""
        async with self._parts.database.transaction() as tx:
            self._states = await tx.webhooks.states(self._names)
        return self._states

    def health(self) -> dict[str, dict[str, object]]:
        """As it stood at the last look; safe to show to anybody: neither addresses nor secrets."""
        return {name: _shown(one) for name, one in self._states.items()}


def _shown(state: WebhookState) -> dict[str, object]:
    return {
        "delivered_at": _seconds(state.delivered_at),
        "waiting": state.waiting,
        "oldest_waiting": _seconds(state.oldest_waiting),
        "given_up": state.given_up,
        "error": state.error,
    }


def _seconds(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment is not None else None


def in_words(name: str, state: WebhookState, ago: Callable[[datetime], str]) -> tuple[bool | None, str]:
    """For `acuse check`: whether it is well (None: look at it), and what there is to say."""
    said = [f"last delivered {ago(state.delivered_at)}" if state.delivered_at else "nothing delivered yet"]
    if state.oldest_waiting is not None:
        said.append(f"{state.waiting} waiting, the oldest since {ago(state.oldest_waiting)}")
    if state.given_up:
        said.append(f"{state.given_up} given up: send them again with `acuse webhooks retry {name}`")
    if state.error is not None:
        said.append(state.error)
    return (None if state.given_up else True) if state.error is None else False, "; ".join(said)
