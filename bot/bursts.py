"""What waits in a conversation, put together to what gets one Answer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from bot.fitting import pressed_of
from bot.provider_order import Mark, in_provider_order
from bot.unkept import Unkept
from channels.channel import Button
from nlu.understanding import Understanding
from storage.tables import Message

PHONE = "phone"  # in a message's `event`: the sender's own number, which the provider vouches for
VOICE = "voice"  # in a message's `extra`: it was spoken
TRANSCRIPT = "transcript"  # there too: what was heard; `text` stays what was typed
TYPED = ("nps", "comment")  # questions to which a number is an answer, and not a choice that stands further above
READ = 20_000  # characters: nobody writes more by hand, and a megabyte must not hold up the others


@dataclass(frozen=True)
class Burst:
    """Messages that get one Answer together: plain words in a row, or one pressed button, or one internal event."""

    messages: tuple[Message, ...]
    files: int
    pressed: str | None
    understanding: Understanding | None
    refused: tuple[Unkept, ...] = ()  # why a file was not kept; each reason once
    voice: bool = False  # a voice note, and not a word

    @property
    def text(self) -> str:
        """The words of it that are read; all of them are kept in the messages."""
        return "\n".join(filter(None, map(words_of, self.messages)))[:READ]

    @property
    def heard(self) -> str:
        """The part of them that a machine made out of a recording."""
        return "\n".join(one.extra[TRANSCRIPT] for one in self.messages if not one.text and one.extra.get(TRANSCRIPT))

    @property
    def empty(self) -> bool:
        """Whether nothing is left but files that were not kept."""
        nothing = not (self.text or self.files or self.pressed)
        return nothing and bool(self.refused) and self.messages[0].kind != "internal"


@dataclass(frozen=True)
class Waiting:
    """What stood in the database when we began to think."""

    account: str
    language: str | None
    pending: str | None
    messages: list[Message]
    files: dict[UUID, int]
    refused: dict[UUID, list[Unkept]]
    buttons: list[Button]
    clock: bool = True  # whether the moments of the messages say in which order they were written


def words_of(message: Message) -> str:
    """What is read of a message: what was typed, else what was heard."""
    return message.text or str(message.extra.get(TRANSCRIPT) or "")


def bursts_of(waiting: Waiting) -> list[Burst]:
    """Plain words in a row belong together; a pressed (or typed) choice and an internal event stand alone.

    Webhooks come shuffled: the words of one burst are read in the order in which the provider had them (P16).
    """
    found: list[Burst] = []
    plain: list[Message] = []

    def together(messages: Sequence[Message], pressed: str | None = None) -> Burst:
        # a recording that was heard is the words themselves, and no file beside them
        files = sum(waiting.files.get(one.id, 0) for one in messages if not one.extra.get(TRANSCRIPT))
        refused = tuple(dict.fromkeys(why for message in messages for why in waiting.refused.get(message.id, ())))
        spoken = any(message.extra.get(VOICE) for message in messages) and not any(map(words_of, messages))
        return Burst(tuple(messages), files, pressed, None, refused, spoken)

    def close() -> None:
        if plain:
            found.append(together(in_provider_order(plain, lambda one: Mark(one.sent_at, True, waiting.clock))))
            plain.clear()

    for message in waiting.messages:
        typed = None if plain or waiting.pending in TYPED else pressed_of(words_of(message), waiting.buttons)
        pressed = message.pressed or typed
        if pressed or message.kind == "internal" or {"start", PHONE} & message.event.keys():
            close()
            found.append(together((message,), pressed))
        else:
            plain.append(message)
    close()
    return found


def understood_of(burst: Burst, message: Message) -> dict[str, Any]:
    """What was understood, kept with the last message of its burst."""
    if burst.understanding is None:
        return {}
    if message is not burst.messages[-1]:
        return {"with": str(burst.messages[-1].id)}
    whole = asdict(replace(burst.understanding, embedding=None))
    del whole["embedding"]  # it is the case's, and two thousand letters of JSON
    return whole
