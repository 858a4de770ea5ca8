"""The customers' devices of the page: one for each channel, each with the verbs that its person has."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from demo.mail import MailStandIn
from demo.provider import Picture
from demo.slack import ACTION, SlackStandIn
from demo.standin import Bubble, Phone, StandIn
from demo.telegram import TelegramStandIn
from demo.twilio import TwilioStandIn

Sent = tuple[str, str, bytes]  # name, type, content of a file


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a device is drawn."""

    kind: str  # of the channel; also the name of its glyph and its words
    person: str
    detail: str  # beside the name: a number, an address
    heading: str  # above the screen: who they write to
    colour: str  # class of the glyph
    desk: bool = False  # a thin frame: it is no phone
    files: bool = True
    fails: bool = True  # its provider can be made to fail here
    confirms: bool = False  # the provider says when a message was delivered and read
    tricks: tuple[str, ...] = ()  # further things that can be made to happen


class Device(Protocol):
    """One person with one device."""

    @property
    def look(self) -> Look:
        """How it is drawn."""

    @property
    def standin(self) -> StandIn:
        """The provider behind it."""

    @property
    def phone(self) -> Phone:
        """What stands on it."""

    @property
    def asks(self) -> str | None:
        """A form that is open, or the thread that the next words go to."""

    async def write(self, text: str, file: Sent | None) -> None:
        """The person writes."""

    async def press(self, bubble: Bubble, payload: str) -> None:
        """The person presses a button under a message."""

    async def trick(self, name: str) -> None:
        """One of `look.tricks` happens."""


class TelegramDevice:
    """Rosa's phone."""

    asks = None

    look = Look(
        kind="telegram", person="Rosa", detail="@rosa_m", heading="Nube", colour="tg", tricks=("block", "repeat")
    )

    def __init__(self, standin: TelegramStandIn, chat: int) -> None:
        self.standin = standin
        self._chat = chat
        self.phone = standin.phone(str(chat), self.look.person)

    async def write(self, text: str, file: Sent | None) -> None:
        """The first word to a bot is its start button."""
        self.standin.write(self._chat, text, file=file)

    async def press(self, bubble: Bubble, payload: str) -> None:
        """Under a message, or on the keyboard in place of letters."""
        if payload == "contact":
            self.standin.share_contact(self._chat, "+573005550142")
        elif payload:
            self.standin.press(self._chat, int(bubble.id), payload)

    async def trick(self, name: str) -> None:
        """block: or let in again; repeat: hand out again what was handed out last."""
        if name == "block":
            self.standin.block(self._chat, blocked=self._chat not in self.standin.blocked)
        elif name == "repeat":
            self.standin.repeat()


class TwilioDevice:
    """Ana's phone: WhatsApp or SMS."""

    asks = None

    def __init__(self, standin: TwilioStandIn, address: str, heading: str) -> None:
        whatsapp = standin.kind == "whatsapp"
        self.look = Look(
            kind=standin.kind,
            person="Ana Torres",
            detail=address.removeprefix("whatsapp:")[:6] + " ··· " + address[-4:],
            heading=heading,
            colour="wa" if whatsapp else "sms",
            confirms=True,
            files=whatsapp,
            tricks=("window", "voice", "disorder") if whatsapp else ("stop", "disorder"),
        )
        self.standin = standin
        self._address = address
        self.phone = standin.phone(address, self.look.person)

    async def write(self, text: str, file: Sent | None) -> None:
        """Words, a file, or both."""
        await self.standin.write(self._address, text, media=[(file[1], file[2])] if file else ())

    async def press(self, bubble: Bubble, payload: str) -> None:
        """A button or a line of a list."""
        await self.standin.press(bubble, self._address, payload)

    async def trick(self, name: str) -> None:
        """window: a day has passed; disorder: receipts come twice and out of order; stop and voice: what is sent."""
        match name:
            case "window":
                self.standin.close_window(self._address)
            case "disorder":
                self.standin.reorder = not self.standin.reorder
                self.standin.repeats = 2 if self.standin.reorder else 1
            case "stop":
                await self.standin.write(self._address, "STOP")
            case "voice":
                await self.standin.write(self._address, "", media=[("audio/ogg", b"OggS" + bytes(200))])


class MailDevice:
    """Luis's mailbox."""

    asks = None

    look = Look(
        kind="email",
        person="Luis Ortega",
        detail="luis@correo.example",
        heading="soporte@nube.example",
        colour="mail",
        desk=True,
        tricks=("away", "broken", "renumber"),
    )

    def __init__(self, standin: MailStandIn) -> None:
        self.standin = standin
        self.phone = standin.phone(self.look.detail, self.look.person)

    async def write(self, text: str, file: Sent | None) -> None:
        """An answer to the last mail; a new one if there is none."""
        self.standin.reply(self.look.detail, text, files=_one(file))

    async def press(self, bubble: Bubble, payload: str) -> None:
        """Mails have no buttons."""

    async def trick(self, name: str) -> None:
        """away: an automatic answer; broken: a mail that nobody can read; renumber: the mailbox is restored."""
        if name == "away":
            self.standin.write(
                self.look.detail,
                "Fuera de la oficina",
                "Estoy de vacaciones hasta el lunes.",
                headers={"Auto-Submitted": "auto-replied"},
            )
        elif name == "broken":
            self.standin.deliver(
                b"From: Luis <luis@correo.example>\r\nMIME-Version: 1.0\r\nSubject: =?utf-9?Q?=C3=\r\n"
                b"Content-Type: multipart/mixed; boundary=\r\nContent-Transfer-Encoding: base65\r\n\r\n"
                b"--\r\n\xff\xfe\x00"
            )
        elif name == "renumber":
            self.standin.renumber()


class SlackDevice:
    """Inés, in a channel that her company shares with ours."""

    look = Look(
        kind="slack",
        person="Inés Prada",
        detail="Ferretería Andina",
        heading="# soporte-nube",
        colour="slack",
        desk=True,
        tricks=("thread", "repeat"),
    )

    def __init__(self, standin: SlackStandIn, user: str, channel: str) -> None:
        self.standin = standin
        self._user, self._channel = user, channel
        self._thread: str | None = None
        self._repeat = 1
        self.phone = standin.phone(channel)

    @property
    def asks(self) -> str | None:
        """The thread that she is in."""
        root = self.phone.bubble(self._thread) if self._thread else None
        return root.text if root else None

    async def write(self, text: str, file: Sent | None) -> None:
        """The first words open a thread, the next ones stay in it."""
        files, thread = _one(file), self._thread if self.asks else None
        ts = await self.standin.write(
            self._user, text, channel=self._channel, thread_ts=thread, files=files, repeat=self._repeat
        )
        self._thread = thread or ts

    async def press(self, bubble: Bubble, payload: str) -> None:
        """A button in the thread."""
        action_id, _, value = payload.partition(ACTION)
        await self.standin.press(self._user, self._channel, bubble.id, action_id, value)

    async def trick(self, name: str) -> None:
        """thread: the next words open another one; repeat: each event comes twice."""
        if name == "thread":
            self._thread = None
        elif name == "repeat":
            self._repeat = 3 - self._repeat


class AgentsDevice:
    """Pedro, an agent, in the private channel where the team works without opening the console."""

    look = Look(
        kind="slackdesk",
        person="Pedro Salas",
        detail="agente de Nube",
        heading="# casos",
        colour="slack",
        desk=True,
        files=False,
        fails=False,
    )

    def __init__(self, standin: SlackStandIn, user: str, channel: str) -> None:
        self.standin = standin
        self._user, self._channel = user, channel
        self._thread: str | None = None
        self.phone = standin.phone(channel)

    @property
    def asks(self) -> str | None:
        """The form that is open, else the card whose thread he writes in."""
        if self.standin.views:
            return str(self.standin.views[-1]["title"]["text"])
        card = self.phone.bubble(self._thread) if self._thread else None
        return card.heading if card else None

    async def write(self, text: str, file: Sent | None) -> None:
        """Into the form that is open; else below the card that he pressed last."""
        if self.standin.views:
            await self.standin.submit(self._user, text)
            return
        cards = [one.id for one in self.phone.bubbles if not one.mine and one.extra.get("thread") == one.id]
        self._thread = self._thread or (cards[-1] if cards else None)
        await self.standin.write(self._user, text, channel=self._channel, thread_ts=self._thread)

    async def press(self, bubble: Bubble, payload: str) -> None:
        """A button of a card."""
        self._thread = bubble.id
        action_id, _, value = payload.partition(ACTION)
        await self.standin.press(self._user, self._channel, bubble.id, action_id, value)

    async def trick(self, name: str) -> None:
        """None here."""


def picture() -> Picture:
    """A small photo of a broken blender, for whoever has none at hand."""
    return Picture("licuadora.png", "image/png", _png(96, 72))


def _one(file: Sent | None) -> Sequence[Sent]:
    return [file] if file else []


def _png(width: int, height: int) -> bytes:
    """A plain picture without any library: a red jug with a crack, on grey."""

    def colour(x: int, y: int) -> bytes:
        if abs(x - width // 2 - (y % 9) + 4) < 2 and y > 20:
            return b"\xff\xff\xff"
        inside = width * 0.28 < x < width * 0.72 and 10 < y < height - 8
        return b"\xc0\x3a\x2f" if inside else b"\xd8\xd5\xcf"

    rows = b"".join(b"\0" + b"".join(colour(x, y) for x in range(width)) for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
