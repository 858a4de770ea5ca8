"""Bring in what a listener hears; what is not committed is never confirmed."""

from collections.abc import Callable

from bot.intake import Intake, Kept
from bot.parts import Parts
from bot.quarantine import Quarantine
from bot.signs import Signs
from channels.channel import Arrival, Inbound, Listener, Opened
from storage.lease import Lease, hold


class Pump:
    """One listening account. Only one process at a time holds its lease."""

    def __init__(
        self,
        parts: Parts,
        intake: Intake,
        account: str,
        listener: Listener,
        *,
        lease: Callable[[str], Lease],
        holder: str,
    ) -> None:
        self._parts = parts
        self._intake = intake
        self._account = account
        self._listener = listener
        self._lease = lease
        self._holder = holder
        self._quarantine = Quarantine(parts, intake, account)
        self._signs = Signs()

    async def run(self) -> None:
        """Wait for the lease, then listen until it is lost. Raises Unavailable when the provider went away."""
        await hold(self._lease(f"listener:{self._account}"), self._listen)

    async def _listen(self) -> None:
        async with self._parts.database.transaction() as tx:
            cursor = await tx.cursors.load(self._account)
            await tx.cursors.held(f"listener:{self._account}", self._holder)
        async for arrival in self._listener.listen(cursor):
            kept = await self._keep(arrival)
            if isinstance(arrival, Inbound):
                self._signs.show(self._listener, arrival, kept)
            elif isinstance(arrival, Opened):
                self._signs.greet(self._parts, self._listener, arrival)

    async def _keep(self, arrival: Arrival) -> Kept | None:
        """What fails again and again is set aside: one item must not stop all behind it (P11)."""
        try:
            kept = await self._intake.keep(self._account, arrival)
        except Exception as fault:
            if await self._quarantine.take(arrival, fault):
                return None
            raise
        self._quarantine.kept(arrival)
        return kept
