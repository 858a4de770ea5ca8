"""The accounts that we write from: how each is, rests during which nothing leaves, and what a provider refuses."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bot.parts import Parts
from bot.refusals import Empty, NotPossible
from bot.views import AccountNotice, Me
from storage.tables import AccountFault, Pause
from storage.traffic import Last, Waiting
from storage.transaction import Transaction

logger = logging.getLogger(__name__)
LOOK_EVERY = timedelta(seconds=5)
LOOK_SECONDS = 1.0
CHECK_SECONDS = 15.0  # a page waits no longer for a provider
LONGEST_WHY = 300


@dataclass(frozen=True, kw_only=True)
class AccountView:
    """An account as managers see it."""

    name: str
    kind: str
    last: Last
    waiting: int  # messages that are written and have not left
    waiting_since: datetime | None
    paused: AccountNotice | None
    refused: AccountNotice | None
    carries_alerts: bool  # mails to the team leave here
    configured: bool  # False: it is no longer in config.yaml


@dataclass(frozen=True)
class AccountHealth:
    """What a live check found."""

    ok: bool
    detail: str
    remedy: str | None


class Accounts:
    """Managers' hands and eyes on the accounts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def all(self) -> Sequence[AccountView]:
        """Those of the configuration, in its order, then others that rest or on which something waits."""
        async with self._parts.database.transaction() as tx:
            waiting, told = await tx.traffic.waiting(), await standing(self._parts, tx)
            others = {one.name for one in told} | set(waiting)
            names = [*self._parts.channels, *sorted(others - set(self._parts.channels))]
            last = await tx.traffic.last(names)
        notices = {(one.name, one.what): one for one in told}
        return [self._view(name, last, waiting, notices) for name in names]

    def _view(
        self,
        name: str,
        last: Mapping[str, Last],
        waiting: Mapping[str, Waiting],
        notices: Mapping[tuple[str, str], AccountNotice],
    ) -> AccountView:
        waits = waiting.get(name)
        alerts = bool(self._parts.company.alert_to) and name == self._parts.account_of_kind("email")
        return AccountView(
            name=name,
            kind=self._parts.kinds.get(name, name),
            last=last.get(name, Last()),
            waiting=waits.rows if waits else 0,
            waiting_since=waits.since if waits else None,
            paused=notices.get((name, "paused")),
            refused=notices.get((name, "refused")),
            carries_alerts=alerts,
            configured=name in self._parts.channels,
        )

    async def health(self, account: str) -> AccountHealth | None:
        """Ask the provider now. None: there is no such account."""
        channel = self._parts.channels.get(account)
        if channel is None:
            return None
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                found = await channel.check()
        except TimeoutError:
            return AccountHealth(ok=False, detail=f"no answer within {CHECK_SECONDS:.0f} s", remedy=None)
        return AccountHealth(found.ok, found.detail, found.remedy)

    async def pause(self, me: Me, account: str, why: str) -> None:
        """Nothing leaves there from the commit on; what is being sent at this moment still does.

        Raises Empty without a reason, NotPossible for an account that does not exist or for who may not.
        """
        why = " ".join(why.split())[:LONGEST_WHY]
        self._refuse_unless_manager(me)
        if account not in self._parts.channels:
            raise NotPossible("there is no such account")
        if not why:
            raise Empty("say why")
        async with self._parts.database.transaction() as tx:
            if await tx.pacing.pause(account, f"agent:{me.id}", why):
                tx.agents.audit(f"agent:{me.id}", "pause account", account, why=why)
            await tx.ring("desk")

    async def resume(self, me: Me, account: str) -> None:
        """What waits leaves, in its order in each conversation: the longest wait first, the rest with the sweeps."""
        self._refuse_unless_manager(me)
        async with self._parts.database.transaction() as tx:
            if await tx.pacing.resume(account):
                tx.agents.audit(f"agent:{me.id}", "resume account", account)
                for conversation_id in await tx.outbox.held_up(account):
                    await tx.wake("send", conversation_id, lane=self._parts.lane(account))
            await tx.ring("desk")

    async def mended(self, me: Me, account: str) -> None:
        """Somebody has mended what the provider refused; should it refuse again, all are told again in a day."""
        self._refuse_unless_manager(me)
        async with self._parts.database.transaction() as tx:
            if await tx.faults.mend(account):
                tx.agents.audit(f"agent:{me.id}", "account mended", account)
            await tx.ring("desk")

    def _refuse_unless_manager(self, me: Me) -> None:
        if not me.may_manage:
            raise NotPossible("only managers and administrators decide about accounts")


class AccountStates:
    """For /health: accounts on which nothing leaves. Looked up every few seconds at most, and never waited for long."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: Mapping[str, str] = {}
        self._looked: datetime | None = None

    async def now(self) -> Mapping[str, str]:
        """Name and paused | refused; what was known last when the database does not answer."""
        now = self._parts.now()
        if self._looked is None or now - self._looked >= LOOK_EVERY:
            self._looked = now
            try:
                async with asyncio.timeout(LOOK_SECONDS), self._parts.database.transaction() as tx:
                    self._known = {one.name: one.what for one in await standing(self._parts, tx)}
            except Exception as error:  # whoever asks for the health wants an answer then above all
                logger.info("accounts: their state is not known now: %s", type(error).__name__)
        return self._known


async def standing(parts: Parts, tx: Transaction) -> list[AccountNotice]:
    """What everybody at the desk should know of the accounts now; one short look."""
    pauses, faults = await tx.faults.open()
    names = {agent.id: agent.name for agent in await tx.agents.all()} if pauses else {}
    return [_paused(parts, one, names) for one in pauses] + [_refused(parts, one) for one in faults]


def _paused(parts: Parts, pause: Pause, names: Mapping[UUID, str]) -> AccountNotice:
    kind, _, agent = pause.by.partition(":")
    who = names.get(UUID(agent)) if kind == "agent" and agent else pause.by
    return AccountNotice(
        "paused", pause.account, parts.kinds.get(pause.account, pause.account), pause.since, pause.why, who
    )


def _refused(parts: Parts, fault: AccountFault) -> AccountNotice:
    kind = parts.kinds.get(fault.account, fault.account)
    return AccountNotice("refused", fault.account, kind, fault.since, fault.reason, None)
