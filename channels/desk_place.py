"""Where agents work outside the console: cards, threads, whispers and forms. What comes back is a DeskAct."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from channels.channel import Button


@dataclass(frozen=True, kw_only=True)
class Card:
    """What colleagues see of one conversation, where they work outside the console."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()  # label and value
    said: tuple[str, ...] = ()  # what was written, oldest first
    status: str = ""  # who has it
    buttons: tuple[Button, ...] = ()  # the payload is the verb


@dataclass(frozen=True, kw_only=True)
class Form:
    """A box that a colleague writes into; it comes back as a DeskAct with this verb."""

    verb: str
    title: str
    label: str
    send: str
    cancel: str


@dataclass(frozen=True)
class Colleague:
    """Who pressed or wrote: by the configuration an agent's login, else by the e-mail that the provider vouches for."""

    name: str
    login: str | None = None
    email: str | None = None


@runtime_checkable
class DeskPlace(Protocol):
    """A channel that also has a place for agents: each conversation is a card there with a thread below it.

    All raise Undeliverable or Unavailable.
    """

    desk: str | None  # where the cards go; None: there is no such place

    async def put(self, card: Card) -> str:
        """Show a new card; returns the name of its thread."""

    async def change(self, thread: str, card: Card) -> None:
        """Show the card anew."""

    async def tell(self, thread: str, text: str, *, loud: bool = False) -> None:
        """Write below the card. `loud`: everybody in the place sees it."""

    async def whisper(self, thread: str, who: str, text: str) -> None:
        """Write below the card what only this colleague sees."""

    async def ask(self, handle: str, thread: str, form: Form) -> None:
        """Open a form."""

    async def colleague(self, who: str) -> Colleague:
        """Who that is."""
