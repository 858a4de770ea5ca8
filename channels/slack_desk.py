"""The agents' side of Slack: cards in their channel, threads below them, whispers and forms."""

from channels import slack_writing
from channels.desk_place import Card, Colleague, Form
from channels.slack_calls import Calls
from channels.slack_errors import named_by_remedy


class SlackDesk:
    """`desk` is the id of the agents' channel; a thread is that and the card's time stamp."""

    def __init__(self, calls: Calls, desk: str | None) -> None:
        self.desk = desk
        self._calls = calls

    async def put(self, card: Card) -> str:
        """Show a new card in the agents' channel."""
        with named_by_remedy():
            sent = await self._calls.web().chat_postMessage(channel=self.desk or "", **slack_writing.card(card))
        return f"{sent['channel']}:{sent['ts']}"

    async def change(self, thread: str, card: Card) -> None:
        """Show the card anew."""
        channel, _, ts = thread.partition(":")
        values = slack_writing.card(card)
        with named_by_remedy():
            await self._calls.web().chat_update(channel=channel, ts=ts, text=values["text"], blocks=values["blocks"])

    async def tell(self, thread: str, text: str, *, loud: bool = False) -> None:
        """Write below the card."""
        channel, _, ts = thread.partition(":")
        values = slack_writing.message(text, ())
        with named_by_remedy():
            await self._calls.web().chat_postMessage(channel=channel, thread_ts=ts, reply_broadcast=loud, **values)

    async def whisper(self, thread: str, who: str, text: str) -> None:
        """Write below the card what only one of them sees."""
        channel, _, ts = thread.partition(":")
        with named_by_remedy():
            await self._calls.web().chat_postEphemeral(
                channel=channel, user=who, thread_ts=ts, text=slack_writing.escaped(text)
            )

    async def ask(self, handle: str, thread: str, form: Form) -> None:
        """Open a form; the handle is good for three seconds."""
        with named_by_remedy():
            await self._calls.web().views_open(trigger_id=handle, view=slack_writing.form(form, thread))

    async def colleague(self, who: str) -> Colleague:
        """By the configuration, else by the e-mail of a full member of our own workspace that Slack has confirmed."""
        return (await self._calls.profile(who)).colleague
