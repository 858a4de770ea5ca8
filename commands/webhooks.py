"""`acuse webhooks`: the receivers that are told of cases."""

import asyncio
from pathlib import Path

import typer

from commands.telling import told
from installation import Configuration, Remedy, data_folder, database_at, reachable, read_configuration, terminal
from machine import machine

webhooks = typer.Typer(no_args_is_help=True, help="Other programs that are told of cases.")


@webhooks.command("retry")
def retry(name: str) -> None:
    """Try at once whatever waits for a receiver, and what was given up as well."""
    with told():
        config, data = read_configuration(), data_folder()
        if name not in config.webhooks:
            there = ", ".join(config.webhooks) or "none"
            raise Remedy(f"There is no webhook {name} in config.yaml; there is: {there}.")
        with database_at(config, data, beside=True) as base:
            reachable(base)
            again = asyncio.run(_retry(config, base.url, data, name))
        terminal.print(f"{name}: {again} events that were given up wait again; Acuse sends them while it runs.")


async def _retry(config: Configuration, url: str, data: Path, name: str) -> int:
    async with machine(config, url, data, reading=False) as built, built.parts.database.transaction() as tx:
        return await tx.webhooks.again(name)
