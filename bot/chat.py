"""The web chat: what a page in a browser may say, see and confirm. Its address is a secret of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bot.bursts import TRANSCRIPT
from bot.delivery import Deliveries
from bot.intake import Intake
from bot.parts import Parts
from bot.provider_order import Mark, in_provider_order
from bot.views import FileView
from channels.channel import DeliveryReport, Inbound, Media
from channels.channel import Malformed as Malformed  # for the page that must answer it
from channels.webchat import WebChat
from storage.tables import Attachment, ContactPoint, Outgoing

SEEN = ("sent", "delivered", "read")


@dataclass(frozen=True)
class Bubble:
    """One message in the chat window."""

    id: UUID
    who: str  # me | bot | agent
    name: str | None  # of the agent
    at: datetime
    text: str
    place: str  # pass the last one as `after` to see what is newer
    buttons: Sequence[tuple[str, str]] = ()  # label, payload
    files: Sequence[FileView] = ()
    client_id: str | None = None  # what the browser called its own message
    read: bool = False
    transcript: str | None = None  # of a voice note of mine: what a machine heard
    kind: str = "in"  # of ours: ack | answer | receipt | update | closing | agent | code | alert


@dataclass(frozen=True)
class Embedding:
    """How the chat looks from outside: its title, and the sites that may show it in their pages."""

    title: str | None
    origins: Sequence[str]


def embedding(parts: Parts, account: str) -> Embedding:
    """As config.yaml says for this account of the web chat."""
    channel = parts.channels[account]
    assert isinstance(channel, WebChat)
    return Embedding(channel.settings.title, channel.settings.allowed_origins)


class Chat:
    """One visitor's chat. `address` is the secret that the browser's cookie stands for."""

    def __init__(self, parts: Parts, intake: Intake, account: str, address: str) -> None:
        channel = parts.channels[account]
        assert isinstance(channel, WebChat)
        self._channel = channel
        self._parts = parts
        self._intake = intake
        self._account = account
        self._address = address

    async def say(
        self,
        client_id: str,
        text: str,
        *,
        pressed: str | None = None,
        files: Sequence[tuple[str, bytes]] = (),
        language: str | None = None,
    ) -> None:
        """Keep what the visitor wrote; the same `client_id` twice is one message. Raises Malformed."""
        media = tuple(Media(name=name, content=content, size=len(content)) for name, content in files)
        inbound: Inbound = self._channel.inbound(
            self._address,
            client_id,
            text,
            media=media,
            pressed=pressed,
            language=language,
            sent_at=self._parts.now(),
        )
        async with self._parts.database.transaction() as tx:
            allowed = await tx.limits.use(f"chat:{self._address}", at_most=40, within=timedelta(minutes=1))
        if not allowed:
            raise TooFast("wait a moment")
        await self._intake.keep(self._account, inbound)

    async def topic(self) -> str | None:
        """What rings when something new is there; None while nothing was said yet."""
        async with self._parts.database.transaction() as tx:
            contact = await tx.people.contact(self._account, self._address)
            conversation = await tx.conversations.latest_of_contact(contact.id) if contact else None
        return f"conversation:{conversation.id}" if conversation else None

    async def history(self, limit: int = 200) -> list[Bubble]:
        """Everything that was said here, both sides, in order."""
        async with self._parts.database.transaction() as tx:
            contact = await tx.people.contact(self._account, self._address)
            conversation = await tx.conversations.latest_of_contact(contact.id) if contact else None
            if conversation is None:
                return []
            messages, outgoing, _ = await tx.inbox.said(conversation.id, limit)
            names = {agent.id: agent.name for agent in await tx.agents.all()}
            came = await tx.messages.attachments([one.id for one in messages])
            left = await tx.outbox.files([one.id for one in outgoing])
        bubbles = []
        for message in messages:
            files = [_view(one) for one in came if one.message_id == message.id]
            client_id = message.provider_key.rpartition(":")[2]
            place = _place(message.received_at)
            bubbles.append(
                (
                    message.number,
                    Bubble(
                        message.id,
                        "me",
                        None,
                        message.sent_at,
                        message.text,
                        place,
                        (),
                        files,
                        client_id,
                        transcript=None if message.text else message.extra.get(TRANSCRIPT),
                    ),
                )
            )
        for row in outgoing:
            if row.account == self._account and row.state in SEEN and row.sent_at is not None:
                files = [_view(one) for one in left if one.outgoing_id == row.id]
                bubbles.append((row.number, _bubble(row, names, files)))
        arrived = [bubble for _, bubble in sorted(bubbles, key=lambda one: one[0])]
        return in_provider_order(arrived, lambda one: Mark(one.at, one.who == "me"))  # as agents read it

    async def news(self, after: str | None) -> list[Bubble]:
        """What we said since the place `after`, in the order in which it was sent."""
        async with self._parts.database.transaction() as tx:
            contact = await tx.people.contact(self._account, self._address)
            conversation = await tx.conversations.latest_of_contact(contact.id) if contact else None
            if conversation is None:
                return []
            rows = await tx.outbox.shown_after(conversation.id, self._account, _moment(after))
            if not rows:
                return []
            names = {agent.id: agent.name for agent in await tx.agents.all()}
            left = await tx.outbox.files([one.id for one in rows])
        return [_bubble(row, names, [_view(one) for one in left if one.outgoing_id == row.id]) for row in rows]

    async def seen(self, ids: Sequence[UUID], state: str) -> None:
        """The browser says that it shows these (delivered) or that the visitor looked at them (read)."""
        if state not in ("delivered", "read"):
            raise Malformed("state must be delivered or read")
        for row_id in ids[:50]:
            async with self._parts.database.transaction() as tx:
                row = await tx.outbox.get(row_id)
                if row is None or (row.account, row.address) != (self._account, self._address):
                    continue  # somebody else's message: nothing is said about it
                report = DeliveryReport(
                    account=self._account, provider_id=row.provider_id or "", state=state, at=self._parts.now()
                )
                await Deliveries(self._parts).report(tx, report)

    async def file(self, attachment_id: UUID) -> tuple[FileView, str] | None:
        """A file of this very chat: its view and its path."""
        async with self._parts.database.transaction() as tx:
            row = await tx.messages.attachment(attachment_id)
            contact: ContactPoint | None = await tx.people.contact(self._account, self._address)
            conversation = await tx.conversations.latest_of_contact(contact.id) if contact else None
            if row is None or row.sha256 is None or conversation is None:
                return None
            message = await tx.messages.get(row.message_id) if row.message_id else None
            sent = await tx.outbox.get(row.outgoing_id) if row.outgoing_id else None
            owner = message or sent
            if owner is None or owner.conversation_id != conversation.id:
                return None
        return _view(row), str(self._parts.files.path(row.sha256))


class TooFast(Exception):
    """More messages in a minute than a person writes."""


def _place(at: datetime) -> str:
    return at.isoformat()


def _moment(place: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(place) if place else None
    except ValueError:
        return None


def _view(row: Attachment) -> FileView:
    return FileView(row.id, row.name, row.type, row.size, row.state, row.reason)


def _bubble(row: Outgoing, names: Mapping[UUID, str], files: Sequence[FileView]) -> Bubble:
    author, _, agent = row.author.partition(":")
    assert row.sent_at is not None
    return Bubble(
        id=row.id,
        who="agent" if author == "agent" else "bot",
        name=names.get(UUID(agent)) if author == "agent" else None,
        at=row.sent_at,
        text=row.text,
        place=_place(row.sent_at),
        buttons=[(one["label"], one["payload"]) for one in row.buttons],
        files=files,
        read=row.state == "read",
        kind=row.kind,
    )
