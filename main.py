"""Acuse's front door: every command starts here; machine.py puts together what they run."""

import asyncio
import logging
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from bot.configuration import ConfigurationFaults
from bot.sending import Sending
from bot.staff import ROLES, WeakPassword
from bot.turn import Turns
from channels.channel import Features, Outbound
from channels.memory import Memory
from console import server as web
from installation import (
    Configuration,
    Remedy,
    bring_up_to_date,
    data_folder,
    database_at,
    log,
    now,
    programs_of,
    read_configuration,
    terminal,
    version,
)
from machine import machine, serve
from nlu.classify import classify_lines
from nlu.understander import open_understander
from storage import backup as backups
from storage import migrate as migrations
from storage.embedded import DatabaseFault, Embedded

ALL_ROLES = ("web", "worker", "listener")
STOPPED_BY_FAULT = 2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Acuse: nothing that a customer reports gets lost.",
)
users = typer.Typer(no_args_is_help=True, help="Who works in the console.")
app.add_typer(users, name="user")


@contextmanager
def _told() -> Iterator[None]:
    """Faults that the operator can mend are one sentence and exit code 2."""
    try:
        yield
    except ConfigurationFaults as faults:
        terminal.print("[bold]config.yaml needs mending:[/bold]")
        for fault in faults.faults:
            terminal.print(f"  {fault}", markup=False)
        raise typer.Exit(STOPPED_BY_FAULT) from None
    except (Remedy, DatabaseFault, backups.BackupFault, WeakPassword) as fault:
        terminal.print(str(fault), markup=False)
        raise typer.Exit(STOPPED_BY_FAULT) from None


def _log_to_terminal(level: int = logging.INFO) -> None:
    handler = RichHandler(console=Console(stderr=True), show_path=False, markup=False, rich_tracebacks=False)
    logging.basicConfig(level=level, format="%(name)s: %(message)s", handlers=[handler])
    for noisy in ("httpx", "httpcore", "procrastinate", "alembic", "telegram", "aioimaplib", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@app.command()
def run(
    role: Annotated[
        list[str] | None, typer.Option(help="web, worker or listener; several times; all by default")
    ] = None,
) -> None:
    """Serve: web pages, workers and listeners."""
    began = now()
    _log_to_terminal(logging.WARNING)
    with _told():
        roles = role or list(ALL_ROLES)
        if unknown := set(roles) - set(ALL_ROLES):
            raise Remedy(f"There is no role {', '.join(sorted(unknown))}: use {', '.join(ALL_ROLES)}.")
        config, data = read_configuration(), data_folder()
        taken = _port(config) if "web" in roles else None
        with database_at(config, data, beside=role is not None) as (url, programs):
            bring_up_to_date(url, programs, data)
            asyncio.run(serve(config, url, data, roles, taken, began))


def _port(config: Configuration) -> socket.socket:
    settings = config.console
    try:
        return web.listen(settings.host, settings.port)
    except OSError as error:
        raise Remedy(
            f"Port {settings.port} on {settings.host} cannot be used ({error.strerror}). Stop what uses it, or choose"
            f" another: PORT={settings.port + 1} make run"
        ) from error


@app.command()
def migrate() -> None:
    """Bring the database up to date."""
    with _told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as (url, programs):
            bring_up_to_date(url, programs, data)
    terminal.print("The database is up to date.")


@app.command()
def backup(file: Path) -> None:
    """Save the database and all attachments into one file. Acuse may go on meanwhile."""
    with _told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as (url, programs):
            made = backups.dump(url, programs_of(programs), data / "files", file.absolute(), version=version(), now=now)
    terminal.print(f"Saved in {file}: {len(made.members)} parts. Keep {data / 'secret'} safe as well.")


@app.command()
def restore(file: Path, force: Annotated[bool, typer.Option(help="replace what is there")] = False) -> None:
    """Put a backup back into an empty database. Stop Acuse first."""
    with _told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data) as (url, programs):
            backups.restore(file, url, programs_of(programs), data / "files", force=force)
            migrations.upgrade(url)
    terminal.print("Restored.")


@app.command()
def check() -> None:
    """Is everything right? Configuration, database, each channel live, and who would be alerted."""
    with _told():
        config, data = read_configuration(), data_folder()
        terminal.print("[green]✓[/green] config.yaml")
        with database_at(config, data, beside=True) as (url, programs):
            bring_up_to_date(url, programs, data)
            terminal.print("[green]✓[/green] database")
            healthy = asyncio.run(_check_channels(config, url, data))
    if not config.company.alert_to:
        terminal.print("[yellow]![/yellow] nobody would be alerted when a person is needed: set company.alert_to")
    elif all(kind != "email" for kind, _ in config.accounts.values()):
        terminal.print("[yellow]![/yellow] company.alert_to is set, but there is no e-mail account to alert from")
    if not healthy:
        raise typer.Exit(1)


async def _check_channels(config: Configuration, url: str, data: Path) -> bool:
    healthy = True
    async with machine(config, url, data) as built:
        for name, channel in built.parts.channels.items():
            found = await channel.check()
            healthy = healthy and found.ok
            sign = "[green]✓[/green]" if found.ok else "[red]✗[/red]"
            terminal.print(f"{sign} {name}:", end=" ")
            terminal.print(found.detail + (f"; {found.remedy}" if found.remedy else ""), markup=False)
        problem = built.reader.problem
        sign = "[yellow]![/yellow]" if problem else "[green]✓[/green]"
        terminal.print(f"{sign} understanding: {built.reader.source}{f'; {problem}' if problem else ''}")
    return healthy


@app.command()
def chat() -> None:
    """Talk to the bot here, with a database that is thrown away at the end."""
    _log_to_terminal(logging.ERROR)
    with _told(), tempfile.TemporaryDirectory(prefix="acuse-chat-") as folder:
        config = read_configuration()
        place = Path(folder)
        place.chmod(0o711)
        embedded = Embedded(place / "postgres", log=log)
        url = embedded.start()
        try:
            migrations.upgrade(url)
            asyncio.run(_chat(config, url, place))
        finally:
            embedded.stop()


async def _chat(config: Configuration, url: str, data: Path) -> None:
    def show(message: Outbound) -> None:
        terminal.print(f"\n[bold]{config.company.bot_name}[/bold]")
        terminal.print(message.text, markup=False)

    memory = Memory("terminal", features=Features(burst=timedelta(0)), now=now, show=show)
    async with machine(config, url, data, extra={"terminal": memory}) as built:
        terminal.print("Write to the bot. An empty line or Ctrl-D ends it.")
        while line := (await asyncio.to_thread(_read_line)).strip():
            kept = await built.intake.keep("terminal", memory.write("you", line))
            assert kept is not None
            await Turns(built.parts).run(kept.conversation_id)
            await Sending(built.parts).run(kept.conversation_id)


def _read_line() -> str:
    try:
        return input("\n> ")
    except EOFError:
        return ""


@app.command()
def classify(
    file: Annotated[Path | None, typer.Argument(help="JSON lines {id, text}; - or nothing: stdin")] = None,
) -> None:
    """Understand messages: JSON lines in, JSON lines out."""
    with _told():
        config = read_configuration()
        asyncio.run(_classify(config, file))


async def _classify(config: Configuration, file: Path | None) -> None:
    reader = await open_understander(config.nlu)
    source = sys.stdin if file is None or str(file) == "-" else file.open(encoding="utf-8")
    with source:
        async for line in classify_lines(source, reader):
            print(line, flush=True)  # noqa: T201  this is the command's output
    await reader.close()


@users.command("add")
def user_add(
    login: str,
    name: Annotated[str, typer.Option(prompt=True)],
    role: Annotated[str, typer.Option(help=", ".join(ROLES))] = "agent",
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)] = "",
) -> None:
    """Let somebody work in the console."""
    _with_staff(lambda staff: staff.add(login, name, role, password))
    terminal.print(f"{login} can log in.")


@users.command("password")
def user_password(
    login: str, password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)] = ""
) -> None:
    """Set a password; the agent is logged out everywhere."""
    _with_staff(lambda staff: staff.set_password(login, password))
    terminal.print("Done.")


def _with_staff(act: Any) -> None:
    async def do(config: Configuration, url: str, data: Path) -> None:
        async with machine(config, url, data) as built:
            await act(built.staff)

    with _told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as (url, programs):
            bring_up_to_date(url, programs, data)
            try:
                asyncio.run(do(config, url, data))
            except ValueError as error:
                raise Remedy(str(error)) from error


@app.command("version")
def show_version() -> None:
    """Of this program."""
    terminal.print(version())


if __name__ == "__main__":
    app()
