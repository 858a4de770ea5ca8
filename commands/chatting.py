"""`acuse chat`: talk to the bot in the terminal."""

import asyncio
import logging
import tempfile
from datetime import timedelta
from pathlib import Path

from bot.sending import Sending
from bot.turn import Turns
from channels.channel import Features, Outbound
from channels.memory import Memory
from commands.telling import log_to_terminal, to_the_end
from installation import Configuration, log, now, read_configuration, terminal
from machine import machine, run_until_over
from storage import migrate as migrations
from storage.embedded import Embedded


def chat() -> None:
    """Talk to the bot here, with a database that is thrown away at the end."""
    log_to_terminal(logging.ERROR)
    with to_the_end(), tempfile.TemporaryDirectory(prefix="acuse-chat-") as folder:
        config = read_configuration()
        place = Path(folder)
        place.chmod(0o711)
        embedded = Embedded(place / "postgres", log=log, settings={"fsync": "off"})
        url = embedded.start()
        try:
            migrations.upgrade(url)
            run_until_over(_chat(config, url, place))
        finally:
            embedded.stop()


async def _chat(config: Configuration, url: str, data: Path) -> None:
    def show(message: Outbound) -> None:
        terminal.print(f"\n[bold]{config.company.bot_name}[/bold]")
        terminal.print(message.text, markup=False)

    memory = Memory("terminal", features=Features(burst=timedelta(0)), now=now, show=show)
    async with machine(config, url, data, extra={"terminal": memory}) as built:
        terminal.print("Write to the bot. Ctrl-D ends it.")
        while (line := await asyncio.to_thread(_read_line)) is not None:
            if not line.strip():
                continue
            kept = await built.intake.keep("terminal", memory.write("you", line))
            assert kept is not None
            await Turns(built.parts).run(kept.conversation_id)
            await Sending(built.parts).run(kept.conversation_id)


def _read_line() -> str | None:
    try:
        return input("\n> ")
    except EOFError:
        return None
