"""A whole Acuse in one process: real database, real rules, a clock that stands still, channels without a network."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from sqlmodel import SQLModel, select, text

from bot.catalogue import Catalogue
from bot.company import Company
from bot.desk import Desk
from bot.intake import Intake
from bot.parts import Parts
from bot.policy import Policy
from bot.rooms import Rooms
from bot.sending import Sending
from bot.ticker import Ticker
from bot.turn import Turns
from bot.views import Me
from channels.channel import Channel, Features, Inbound, Outbound
from channels.memory import Memory
from channels.webchat import Settings as WebChatSettings
from channels.webchat import WebChat
from nlu.language import detect
from nlu.understander import Settings as NluSettings
from nlu.understander import open_understander
from nlu.understanding import Understander
from storage.database import Database
from storage.files import Files
from storage.ids import uuid7_source
from storage.tables import Case, Conversation, Outgoing
from storage.transaction import Teller

Row = TypeVar("Row", bound=SQLModel)

NUBE = Company(
    name="Nube",
    bot_name="Clara",
    country="CO",
    timezone="America/Bogota",
    hours={"mon-fri": "08:00-18:00", "sat": "09:00-13:00"},
    alert_to=["turno@nube.example"],
)
CHAT = Features(buttons=8, burst=timedelta(0))
MAIL = Features(
    subject=True, threads=True, burst=timedelta(0), late_ack=timedelta(seconds=60), text_limit=100_000, verified=False
)


class Linked(Memory):
    """A chat that a link leads to, as Telegram's does."""

    async def deep_link(self, payload: str) -> str:
        """The address that opens the chat with this payload."""
        return f"https://t.example/nube?start={payload}"


class World:
    """Drives the same verbs as the running program, one step at a time, in an order that the test decides."""

    def __init__(self, parts: Parts, clock: Callable[[], datetime]) -> None:
        self.parts = parts
        self.clock: Any = clock
        self.intake = Intake(parts, lambda text, sticky: detect(text, sticky).language)
        self.turns = Turns(parts)
        self.sending = Sending(parts)
        self.ticker = Ticker(parts)

    def memory(self, account: str) -> Memory:
        """The stand-in of an account."""
        channel = self.parts.channels[account]
        assert isinstance(channel, Memory)
        return channel

    async def write(self, account: str, sender: str, text: str, **fields: Any) -> UUID:
        """Somebody writes, and everything that follows from it happens. Returns the conversation."""
        return await self.keep(self.memory(account).write(sender, text, **fields))

    async def keep(self, inbound: Inbound) -> UUID:
        """Take in a message and answer it."""
        kept = await self.intake.keep(inbound.sender.account, inbound)
        assert kept is not None
        await self.settle(kept.conversation_id)
        return kept.conversation_id

    async def settle(self, conversation_id: UUID) -> None:
        """Run what the wake-ups of a conversation, and of all that its turn touched, would run."""
        await self.turns.run(conversation_id)
        for one in await self.conversations():
            await self.sending.run(one.id)

    async def conversations(self) -> list[Conversation]:
        """All of them."""
        return await self._all(Conversation, "id")

    async def cases(self) -> list[Case]:
        """All of them, oldest first."""
        return await self._all(Case, "opened_at")

    async def outgoing(self) -> list[Outgoing]:
        """All of them, in the order of writing."""
        return await self._all(Outgoing, "created_at")

    async def _all(self, table: type[Row], order: str) -> list[Row]:
        async with self.parts.database.transaction() as tx:
            query = select(table).order_by(text(order), text("id"))
            return list((await tx.session.exec(query)).all())

    def sent(self, account: str, to: str | None = None) -> list[Outbound]:
        """What left on an account."""
        return [one for one in self.memory(account).sent if to is None or one.to.value == to]

    async def agent(self, login: str = "pedro", name: str = "Pedro", role: str = "agent") -> Me:
        """Somebody who works in the console."""
        async with self.parts.database.transaction() as tx:
            made = await tx.agents.add(login=login, name=name, role=role, password_hash="-")
        return Me(made.id, made.login, made.name, made.role, made.language)

    async def agent_by_mark(self, mark: str) -> Me:
        """The agent who is meant by `agent:<id>`."""
        async with self.parts.database.transaction() as tx:
            found = await tx.agents.get(UUID(mark.removeprefix("agent:")))
        assert found is not None
        return Me(found.id, found.login, found.name, found.role, found.language)

    def desk(self, me: Me) -> Desk:
        """An agent's hands."""
        return Desk(self.parts, me)

    def rooms(self, me: Me) -> Rooms:
        """An agent's eyes."""
        return Rooms(self.parts, me)


@cache
def _catalogue() -> Catalogue:
    return Catalogue.load()  # reading it takes longer than all the rest of a world


@asynccontextmanager
async def a_world(
    url: str,
    clock: Callable[[], datetime],
    files: Path,
    *,
    company: Company = NUBE,
    policy: Policy | None = None,
    understander: Understander | None = None,
    channels: dict[str, Channel] | None = None,
    teller: Teller | None = None,
) -> AsyncIterator[World]:
    """Put it together; `channels` replace the usual chat, telegram, email and webchat."""
    random = Random(7)
    database = Database(url, now=clock, ids=uuid7_source(clock, random.randbytes), teller=teller)
    given: dict[str, Channel] = channels or {
        "chat": Memory("chat", features=CHAT, now=clock),
        "telegram": Memory("telegram", features=CHAT, now=clock),
        "email": Memory("email", features=MAIL, now=clock),
        "webchat": WebChat("webchat", WebChatSettings(), now=clock),
    }
    parts = Parts(
        database=database,
        channels=given,
        kinds={name: name for name in given},
        files=Files(files, limit_bytes=1_000_000),
        catalogue=_catalogue(),
        company=company,
        policy=policy or Policy(undo_seconds=0, burst_seconds={"webchat": 0}),
        understander=understander or await open_understander(NluSettings(enabled=False)),
        now=clock,
        choose=random.randrange,
        secret=b"a secret of the tests",
    )
    try:
        yield World(parts, clock)
    finally:
        await database.close()
