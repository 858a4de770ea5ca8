"""Tell managers, once, that a provider refuses everything that an account sends; and notice when it is mended."""

import logging
from datetime import timedelta

from bot import dates
from bot.parts import Parts
from bot.writing import say, write
from channels.channel import Address
from storage.tables import AccountFault, Conversation
from storage.transaction import Transaction

logger = logging.getLogger(__name__)
LOOK_EVERY = timedelta(seconds=5)
QUIET = timedelta(minutes=10)  # nothing refused and something sent: it is mended
AGAIN = timedelta(days=1)  # one that comes and goes is not told of more often


class AccountAlerts:
    """Runs with the alerts. The banner, the accounts' page and /health read the same row."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._looked = parts.now() - LOOK_EVERY

    async def look(self) -> int:
        """Tell of what is new, end what is mended; returns how many were told of."""
        now = self._parts.now()
        if now - self._looked < LOOK_EVERY:
            return 0
        self._looked = now
        async with self._parts.database.transaction() as tx:
            if await tx.faults.close_mended(QUIET):
                await tx.ring("desk")
            untold = await tx.faults.untold(AGAIN)
        return sum([await self._tell(fault) for fault in untold])

    async def _tell(self, fault: AccountFault) -> bool:
        """Like every mail a row of the outbox: it hangs in the conversation whose message was refused."""
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(fault.conversation_id)
            if conversation is None or not await tx.faults.claim(fault.account, AGAIN):
                return False
            await self._mail(tx, conversation, fault)
            await tx.ring("desk")
        return True

    async def _mail(self, tx: Transaction, conversation: Conversation, fault: AccountFault) -> None:
        account = await self._way_out(tx)
        if account is None or not self._parts.company.alert_to:
            logger.error("accounts: %s cannot send, and nobody can be mailed about it", fault.account)
            return
        company, language = self._parts.company, self._parts.company.languages[0]
        since = dates.console_moment(fault.since, self._parts.now(), language, company.timezone)
        link = f"{company.public_url or ''}/desk/accounts"
        blanks = {"account": fault.account, "since": since, "reason": fault.reason, "link": link}
        text = say(self._parts, "alarm_account", language, blanks)
        for to in company.alert_to:
            await write(
                self._parts,
                tx,
                conversation,
                Address(account, to),
                author="bot",
                kind="alarm",
                text=text,
                lines=["alarm_account"],
                language=language,
            )

    async def _way_out(self, tx: Transaction) -> str | None:
        """A mailbox that neither is broken itself nor rests."""
        pauses, faults = await tx.faults.open()
        shut = {pause.account for pause in pauses} | {fault.account for fault in faults}
        mailboxes = (name for name, kind in self._parts.kinds.items() if kind == "email")
        return next((one for one in mailboxes if one not in shut), None)
