"""What a command tells the operator: one sentence for a fault, its exit code, and what is logged."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.logging import RichHandler

from bot.configuration import ConfigurationFaults
from bot.staff import WeakPassword
from installation import Remedy, terminal
from machine import leave
from nlu.model import ModelUnusable
from nlu.train_data import BadData, Missing
from storage import backup as backups
from storage.embedded import DatabaseFault

STOPPED_BY_FAULT = 2
STOPPED_BY_HAND = 130
MENDABLE = (Remedy, DatabaseFault, backups.BackupFault, WeakPassword, BadData, Missing, ModelUnusable)


@contextmanager
def told(stopped: int = STOPPED_BY_HAND) -> Iterator[None]:
    """Faults that the operator can mend are one sentence and exit code 2; `stopped`: the code after a stop signal."""
    try:
        yield
    except ConfigurationFaults as faults:
        terminal.print("[bold]config.yaml needs mending:[/bold]")
        for fault in faults.faults:
            terminal.print(f"  {fault}", markup=False)
        raise typer.Exit(STOPPED_BY_FAULT) from None
    except MENDABLE as fault:
        terminal.print(str(fault), markup=False)
        raise typer.Exit(STOPPED_BY_FAULT) from None
    except KeyboardInterrupt:
        terminal.print("Stopped.")
        raise typer.Exit(stopped) from None


@contextmanager
def to_the_end() -> Iterator[None]:
    """The same around `run_until_over`; a stop signal is how this ends well."""
    try:
        with told(stopped=0):
            yield
    except typer.Exit as left:
        leave(left.exit_code)
    leave(0)


def log_to_terminal(level: int = logging.INFO) -> None:
    """A file or a journal gets whole lines; only a terminal gets colours."""
    handler: logging.Handler = logging.StreamHandler()
    shape = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    if sys.stderr.isatty():
        console = Console(stderr=True, soft_wrap=True)
        handler = RichHandler(console=console, show_path=False, markup=False, rich_tracebacks=False)
        shape = "%(name)s: %(message)s"
    logging.basicConfig(level=level, format=shape, handlers=[handler])
    for noisy in ("httpx", "httpcore", "alembic", "telegram", "aioimaplib", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for told_elsewhere in ("procrastinate", "psycopg.pool", "sqlalchemy.pool"):
        # a database that went away: the keeper says so in one line each time, these in hundreds
        logging.getLogger(told_elsewhere).setLevel(logging.CRITICAL)
