"""Accounts whose provider refuses what they send, whoever it is for: kept once for each, not once for each message."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import aliased
from sqlmodel import col, select

from storage.scope import Scope
from storage.tables import AccountFault, Pause

_NOTE = """
INSERT INTO account_faults AS fault (account, since, last_at, times, reason, conversation_id)
VALUES (%(account)s, %(now)s, %(now)s, 1, %(reason)s, %(talk)s)
ON CONFLICT (account) DO UPDATE SET
  since = CASE WHEN fault.mended_at IS NULL THEN fault.since ELSE excluded.since END,
  times = CASE WHEN fault.mended_at IS NULL THEN fault.times + 1 ELSE 1 END,
  last_at = excluded.last_at, reason = excluded.reason, conversation_id = excluded.conversation_id, mended_at = NULL
"""
_UNTOLD = "mended_at IS NULL AND (told_at IS NULL OR (told_at < since AND told_at < %s))"  # a return was told of
_MENDED = """
UPDATE account_faults AS fault SET mended_at = %(now)s WHERE mended_at IS NULL AND last_at < %(quiet)s AND (
  EXISTS (SELECT 1 FROM outgoing o WHERE o.account = fault.account AND o.state = 'sent' AND o.fallback_at IS NULL
             AND o.sent_at > fault.last_at)
  OR EXISTS (SELECT 1 FROM outgoing o WHERE o.kind IN ('ack', 'answer', 'receipt') AND o.account = fault.account
                AND o.created_at > fault.last_at - interval '2 days' AND o.sent_at > fault.last_at)
) RETURNING account
"""  # each by an index, and only while something is broken


class Faults:
    """Note, tell and forget."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def note(self, account: str, reason: str, conversation_id: UUID) -> None:
        """It was refused again. The row is written last in a transaction: all senders of the account share it."""
        values = {"account": account, "now": self._scope.now(), "reason": reason[:500], "talk": conversation_id}
        self._scope.direct.later((_NOTE, values))

    async def open(self) -> tuple[list[Pause], list[AccountFault]]:
        """The accounts that rest and those whose faults stand, each by name; in one look, for each page."""
        fault = aliased(AccountFault, select(AccountFault).where(col(AccountFault.mended_at).is_(None)).subquery())
        query = select(Pause, fault).join(fault, col(fault.account) == col(Pause.account), full=True)
        found = (await self._scope.session.exec(query)).all()
        pauses, faults = [one for one, _ in found if one is not None], [one for _, one in found if one is not None]
        return sorted(pauses, key=lambda one: one.account), sorted(faults, key=lambda one: one.account)

    async def stands(self, account: str, lately: timedelta) -> bool:
        """Whether the provider refuses what the account sends, and did so not long ago."""
        fault = "SELECT 1 FROM account_faults WHERE account = %s AND mended_at IS NULL AND last_at > %s"
        [found] = await self._scope.direct.run((fault, (account, self._scope.now() - lately)))
        return bool(found)

    async def untold(self, pause: timedelta) -> list[AccountFault]:
        """Those that nobody was told of; one that came back only if the last word is older than `pause`."""
        return await self._scope.direct.find(AccountFault, f"WHERE {_UNTOLD} ORDER BY since", self._scope.now() - pause)

    async def claim(self, account: str, pause: timedelta) -> bool:
        """Whoever gets True tells of it. Its conversation is locked before, as everywhere."""
        now: datetime = self._scope.now()
        told = f"UPDATE account_faults SET told_at = %s WHERE account = %s AND {_UNTOLD} RETURNING 1"  # noqa: S608  a constant
        [found] = await self._scope.direct.run((told, (now, account, now - pause)))
        return bool(found)

    async def close_mended(self, quiet_for: timedelta) -> list[str]:
        """End those whose account has sent something since, and refused nothing for so long. Gives their names."""
        now: datetime = self._scope.now()
        [found] = await self._scope.direct.run((_MENDED, {"now": now, "quiet": now - quiet_for}))
        return [account for (account,) in found]

    async def mend(self, account: str) -> bool:
        """Somebody says that it is mended. False: nothing was broken."""
        ended = "UPDATE account_faults SET mended_at = %s WHERE account = %s AND mended_at IS NULL RETURNING 1"
        [found] = await self._scope.direct.run((ended, (self._scope.now(), account)))
        return bool(found)
