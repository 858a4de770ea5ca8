"""`acuse run`: serve, until it is stopped."""

import errno
import logging
import socket
from pathlib import Path
from typing import Annotated

import typer

from commands.telling import log_to_terminal, to_the_end
from console import server as web
from installation import (
    Configuration,
    Remedy,
    bring_up_to_date,
    data_folder,
    database_at,
    now,
    read_configuration,
    running_at,
    terminal,
)
from machine import run_until_over, serve

ALL_ROLES = ("web", "worker", "listener")


def run(
    role: Annotated[
        list[str] | None, typer.Option(help="web, worker or listener; several times; all by default")
    ] = None,
) -> None:
    """Serve: web pages, workers and listeners.

    Processes with a --role share one database. With our own, the first of them has it running for the others, which
    wait while it is away; with `database: postgresql://…` each stands for itself, on any machine.
    """
    began = now()
    log_to_terminal(logging.WARNING)
    with to_the_end():
        roles = role or list(ALL_ROLES)
        if unknown := set(roles) - set(ALL_ROLES):
            raise Remedy(f"There is no role {', '.join(sorted(unknown))}: use {', '.join(ALL_ROLES)}.")
        config, data = read_configuration(), data_folder()
        taken = _port(config, data) if "web" in roles else None
        with database_at(config, data, beside=role is not None) as base:
            bring_up_to_date(base, data)
            run_until_over(serve(config, base, data, roles, taken, began))
        terminal.print("Stopped.")


def _port(config: Configuration, data: Path) -> socket.socket:
    settings = config.console
    try:
        return web.listen(settings.host, settings.port)
    except OSError as error:
        other = settings.port + 1 if 1024 <= settings.port < 65535 else 8080
        sentence = f"Port {settings.port} on {settings.host} cannot be used ({error.strerror})."
        if config.database is None and running_at(data):
            raise Remedy(
                f"{sentence} Acuse runs already on {data}: use that one, or stop it first; another one needs a port and"
                f" a data folder of its own: PORT={other} ACUSE_DATA=… make run"
            ) from error
        if error.errno in (errno.EADDRNOTAVAIL, None) or isinstance(error, socket.gaierror):
            raise Remedy(f"{sentence} Set console.host in config.yaml to an address of this machine.") from error
        raise Remedy(f"{sentence} Stop what uses it, or choose another: PORT={other} make run") from error
