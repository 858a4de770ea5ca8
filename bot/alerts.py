"""Tell people that somebody needs them, and again, until a person takes the conversation."""

import logging
from datetime import timedelta
from uuid import UUID

from bot import dates
from bot.absent import Absent
from bot.account_alerts import AccountAlerts
from bot.bell import Bell, resting
from bot.parts import Parts
from bot.writing import say, write
from channels.channel import Address
from channels.desk_place import DeskPlace
from storage.conversations import UNANSWERED
from storage.tables import Conversation
from storage.transaction import Transaction

logger = logging.getLogger(__name__)
APART = 2.0  # seconds between two looks at the least
NET = 5.0  # and at the most: an alert is repeated without anybody saying so


class Alerts:
    """Runs in every worker. An alert is an outgoing row like any other: kept, retried, withdrawn at a take-over."""

    def __init__(self, parts: Parts, bell: Bell | None = None) -> None:
        self._parts = parts
        self._bell = bell
        self._absent = Absent(parts)
        self._accounts = AccountAlerts(parts)

    async def run(self) -> None:
        """Look until cancelled, whenever something changed for the desk."""
        async with resting(self._bell, "desk", apart=APART) as rest:
            while True:
                await self.alert()
                await rest(NET)

    async def alert(self) -> int:
        """Alert for every flagged conversation that nobody took; returns how many."""
        await self._absent.look()
        await self._accounts.look()
        repeat = timedelta(minutes=self._parts.policy.alert_repeat_minutes)
        async with self._parts.database.transaction() as tx:
            flagged = await tx.conversations.to_alert(repeat)
            for conversation in flagged:
                await self._mail(tx, conversation)
                await tx.ring("desk")
        return len(flagged)

    async def _mail(self, tx: Transaction, conversation: Conversation) -> None:
        account = self._parts.account_of_kind("email")
        if account is None or not self._parts.company.alert_to:
            if not any(isinstance(one, DeskPlace) and one.desk for one in self._parts.channels.values()):
                logger.warning("alerts: somebody waits for a person, and nobody can be mailed: see company.alert_to")
            return
        case = await tx.cases.get(conversation.case_id) if conversation.case_id else None
        language = self._parts.company.languages[0]
        page = f"{self._parts.company.public_url or ''}/desk/c/{conversation.id}"
        # no word of the customer: mail travels further than the console
        text = say(
            self._parts,
            "alert_mail.urgent" if conversation.urgent else "alert_mail",
            language,
            {
                "code": case.code if case else "–",
                "reason": await self._reason(tx, conversation, language),
                "link": page,
            },
        )
        if any(one.account == conversation.account for one in await tx.pacing.pauses()):
            text += "\n" + say(self._parts, "alert_resting", language, {"account": conversation.account})
        for to in self._parts.company.alert_to:
            await write(
                self._parts,
                tx,
                conversation,
                Address(account, to),
                author="bot",
                kind="alert",
                text=text,
                lines=["alert_mail"],
                language=language,
            )

    async def _reason(self, tx: Transaction, conversation: Conversation, language: str) -> str:
        line = f"reason_{conversation.flag_reason}"
        if conversation.flag_reason == UNANSWERED:
            has = conversation.speaker.removeprefix("agent:")
            agent = await tx.agents.get(UUID(has)) if has != "bot" else None
            since = conversation.taken_at or conversation.flagged_at or self._parts.now()
            told = dates.console_moment(since, self._parts.now(), language, self._parts.company.timezone)
            return say(self._parts, line, language, {"agent": agent.name if agent else "–", "since": told})
        known = line in self._parts.catalogue.names(language)
        return say(self._parts, line, language) if known else conversation.flag_reason or ""
