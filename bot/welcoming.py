"""What somebody finds who opened a place to write to us and has said nothing yet."""

from bot.parts import Parts
from bot.writing import say
from channels.channel import Opened, Welcome, Welcomes

SUGGESTIONS = ("report", "status", "person")
"""Each is a line that is shown (welcome_…) and one that the person says by pressing it (welcome_…_says)."""


async def welcome(parts: Parts, channel: Welcomes, opened: Opened) -> None:
    """Show it in the language that we know of the person; else in those of the company, and the channel chooses."""
    async with parts.database.transaction() as tx:
        contact = await tx.people.contact(opened.sender.account, opened.sender.value)
        known = (await tx.people.get(contact.person_id)).language if contact is not None else None
    spoken = parts.company.languages
    languages = (known,) if known in spoken else spoken
    await channel.welcome(opened, {one: _words(parts, one) for one in languages if one is not None})


def _words(parts: Parts, language: str) -> Welcome:
    lines = [(f"welcome_{one}", f"welcome_{one}_says") for one in SUGGESTIONS]
    return Welcome(
        say(parts, "welcome_title", language),
        tuple((say(parts, shown, language), say(parts, says, language)) for shown, says in lines),
    )
