"""One transaction: everything that the bot can read and write, by noun."""

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TypeAlias
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from storage.agents import Agents, Desks, Sessions, Verifications
from storage.cases import Cases
from storage.conversations import Conversations
from storage.desk_threads import DeskThreads
from storage.direct import Statement
from storage.early import Early
from storage.faults import Faults
from storage.inbox import Inbox
from storage.listen import ring
from storage.merges import Merges
from storage.messages import Messages
from storage.notices import Notices
from storage.outbox import Outbox
from storage.pacing import Pacing
from storage.people import People
from storage.reports import Reports
from storage.scene import Scene, Unanswered, scene, unanswered
from storage.scope import Scope
from storage.similar import Similar
from storage.surveys import Surveys
from storage.timers import Cursors, Limits, Timers
from storage.traffic import Traffic
from storage.wake import Kind, wake_statement
from storage.webhooks import Webhooks


class Transaction:
    """Kept whole or not at all; made by Database.transaction()."""

    def __init__(self, scope: Scope, teller: "Teller | None" = None) -> None:
        self._scope = scope
        self._teller = teller
        self._notices = Notices() if teller is not None else None
        if self._notices is not None:
            scope.direct.watch = self._notices.note
        self._wakes: dict[tuple[str, UUID], Statement] = {}
        self._topics: dict[str, None] = {}  # in the order of ringing, each once

    @property
    def session(self) -> AsyncSession:
        """The bare session, for tests and benchmarks."""
        return self._scope.session

    @cached_property
    def people(self) -> People:
        """People and their addresses."""
        return People(self._scope)

    @cached_property
    def conversations(self) -> Conversations:
        """Threads, and their locks."""
        return Conversations(self._scope)

    @cached_property
    def messages(self) -> Messages:
        """What arrived."""
        return Messages(self._scope)

    @cached_property
    def outbox(self) -> Outbox:
        """What leaves."""
        return Outbox(self._scope)

    @cached_property
    def early(self) -> Early:
        """What was said of messages before we knew their ids."""
        return Early(self._scope)

    @cached_property
    def pacing(self) -> Pacing:
        """How fast it may leave, and where not at all."""
        return Pacing(self._scope)

    @cached_property
    def faults(self) -> Faults:
        """Accounts whose provider refuses everything."""
        return Faults(self._scope)

    @cached_property
    def cases(self) -> Cases:
        """Cases and their history."""
        return Cases(self._scope, self._notices)

    @cached_property
    def merges(self) -> Merges:
        """Cases that were merged into another."""
        return Merges(self._scope)

    @cached_property
    def similar(self) -> Similar:
        """Cases that read alike."""
        return Similar(self._scope)

    @cached_property
    def surveys(self) -> Surveys:
        """What customers say of solved cases."""
        return Surveys(self._scope)

    @cached_property
    def timers(self) -> Timers:
        """What becomes due."""
        return Timers(self._scope)

    @cached_property
    def cursors(self) -> Cursors:
        """Where listeners stand."""
        return Cursors(self._scope)

    @cached_property
    def limits(self) -> Limits:
        """How often something may be done."""
        return Limits(self._scope)

    @cached_property
    def agents(self) -> Agents:
        """Who works in the console."""
        return Agents(self._scope)

    @cached_property
    def sessions(self) -> Sessions:
        """Browsers that we know."""
        return Sessions(self._scope)

    @cached_property
    def desks(self) -> Desks:
        """Notes and drafts."""
        return Desks(self._scope)

    @cached_property
    def desk_threads(self) -> DeskThreads:
        """Where agents see conversations outside the console."""
        return DeskThreads(self._scope)

    @cached_property
    def verifications(self) -> Verifications:
        """Proofs under way."""
        return Verifications(self._scope)

    @cached_property
    def inbox(self) -> Inbox:
        """Lists and pages of the console."""
        return Inbox(self._scope)

    @cached_property
    def webhooks(self) -> Webhooks:
        """What other programs are told."""
        return Webhooks(self._scope)

    @cached_property
    def traffic(self) -> Traffic:
        """What passes through the accounts."""
        return Traffic(self._scope)

    @cached_property
    def reports(self) -> Reports:
        """Managers' figures."""
        return Reports(self._scope)

    async def unanswered(self, conversation_id: UUID) -> Unanswered | None:
        """What waits in a conversation, oldest first, with what it is understood by."""
        return await unanswered(self._scope.direct, conversation_id)

    async def scene(self, conversation_id: UUID, case_id: UUID | None) -> Scene:
        """The person, their addresses and the (locked) case of a conversation that the caller has locked."""
        return await scene(self._scope.direct, conversation_id, case_id)

    async def wake(self, kind: Kind, key: UUID, *, lane: str = "") -> None:
        """Say "run this now" when this transaction commits; sends have one lane per account, hooks per webhook."""
        self._wakes[kind, key] = wake_statement(kind, key, lane)

    async def ring(self, topic: str) -> None:
        """Tell open pages that something changed, when this transaction commits."""
        self._topics.setdefault(topic)

    async def complete(self) -> None:
        """What is done once, at the end: the rest is written, and the commit travels with it."""
        if self._teller is not None and self._notices is not None:
            await self._scope.direct.run()  # what is still to be written is told as well
            if self._notices:
                await self._teller(self, self._notices)
        # in one order for everybody, so that two transactions never wait for each other
        last = [self._wakes[one] for one in sorted(self._wakes)]
        if self._topics:
            last.append(ring(*self._topics))
        await self._scope.direct.run(*last, last=True)
        self._wakes.clear()
        self._topics.clear()

    async def flush(self) -> None:
        """Write what is pending, so that the queries that follow see it."""
        await self._scope.direct.run()


Teller: TypeAlias = Callable[[Transaction, Notices], Awaitable[None]]
"""Writes what is told outside of what a transaction changed, into the same transaction."""
