"""`acuse user`: who works in the console."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from bot.staff import ROLES, Staff
from commands.telling import told
from installation import (
    Base,
    Configuration,
    Remedy,
    bring_up_to_date,
    data_folder,
    database_at,
    read_configuration,
    terminal,
)
from machine import machine

_LOGIN = re.compile(r"[\w.@+-]{1,100}")
users = typer.Typer(no_args_is_help=True, help="Who works in the console.")


@users.command("add")
def user_add(
    login: str,
    name: Annotated[str, typer.Option(prompt=True)],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    role: Annotated[str, typer.Option(help=", ".join(ROLES))] = "agent",
) -> None:
    """Let somebody work in the console."""
    with told():
        if not _LOGIN.fullmatch(login):
            raise Remedy(f"{login!r} is no login: write it without blanks, for instance lucia or lucia@example.com.")
        if not name.strip():
            raise Remedy("The name is missing: customers read it (--name Lucía).")
    _with_staff(lambda staff: staff.add(login, name.strip(), role, password))
    terminal.print(f"{login} can log in.", markup=False)


@users.command("password")
def user_password(
    login: str, password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)]
) -> None:
    """Set a password; the agent is logged out everywhere."""
    _with_staff(lambda staff: staff.set_password(login, password))
    terminal.print("Done.")


def _with_staff(act: Callable[[Staff], Awaitable[object]]) -> None:
    async def do(config: Configuration, base: Base, data: Path) -> None:
        async with machine(config, base.url, data, reading=False) as built:
            await act(built.staff)

    with told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as base:
            bring_up_to_date(base, data)
            try:
                asyncio.run(do(config, base, data))
            except ValueError as error:
                raise Remedy(str(error)) from error
