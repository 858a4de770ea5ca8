"""`acuse templates`: what providers must approve before we may say it first."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from channels import CHANNELS
from channels.channel import Templated, TemplateState, Unavailable
from commands.telling import told
from installation import Configuration, Remedy, data_folder, now, read_configuration, secret_of, terminal

Account = Annotated[str | None, typer.Option(help="one account; all by default")]


templates = typer.Typer(no_args_is_help=True, help="What WhatsApp must approve before the bot may write first.")


@templates.command("push")
def push(account: Account = None) -> None:
    """Create and submit what is missing. Doing it again changes nothing."""
    with told():
        _show(account, push=True)


@templates.command("status")
def status(account: Account = None) -> None:
    """How each template stands, and what to do about it."""
    with told():
        _show(account, push=False)


def _show(account: str | None, *, push: bool) -> None:
    config, data = read_configuration(), data_folder()
    found = asyncio.run(_states(config, data, account, push=push))
    if not found:
        raise Remedy("No account has templates: WhatsApp does (docs/channels/whatsapp.md).")
    for name, states in found.items():
        table = Table(title=name, title_justify="left", box=None, pad_edge=False)
        for column in ("template", "language", "state", "what to do"):
            table.add_column(column, overflow="fold")
        for one in states:
            table.add_row(one.name, one.language, one.state, one.remedy or "")
        terminal.print(table)
    if any(one.state in ("rejected", "disabled") for states in found.values() for one in states):
        raise typer.Exit(1)


async def _states(
    config: Configuration, data: Path, account: str | None, *, push: bool
) -> dict[str, list[TemplateState]]:
    found = {}
    for name, (kind, settings) in config.accounts.items():
        if account not in (None, name):
            continue
        channel = CHANNELS[kind].open(
            name,
            settings,
            now=now,
            secret=secret_of(data),
            public_url=config.company.public_url,
            company=config.company.name,
        )
        try:
            if isinstance(channel, Templated):
                found[name] = await channel.templates(push=push)
        except Unavailable as fault:
            raise Remedy(f"{name}: {fault}. Try again later, or see `acuse check`.") from fault
        finally:
            await channel.close()
    return found
