"""Acuse's front door: every command starts here; machine.py puts together what they run."""

import os
import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # what is imported next takes a second or two, and nothing has begun yet
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))

import asyncio
import errno
import logging
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.logging import RichHandler

import mail_command
import templates_command
from bot.configuration import ConfigurationFaults
from bot.sending import Sending
from bot.staff import ROLES, Staff, WeakPassword
from bot.turn import Turns
from channels.channel import Channel, DeskPlace, Features, Health, Outbound
from channels.memory import Memory
from console import server as web
from installation import (
    Base,
    Configuration,
    Remedy,
    bring_up_to_date,
    data_folder,
    database_at,
    log,
    now,
    programs_of,
    reachable,
    read_configuration,
    running_at,
    terminal,
    version,
)
from machine import leave, machine, run_until_over, serve
from nlu import commands as learning
from nlu.classify import classify_lines
from nlu.understander import open_understander
from storage import backup as backups
from storage import migrate as migrations
from storage.embedded import DatabaseFault, Embedded

ALL_ROLES = ("web", "worker", "listener")
STOPPED_BY_FAULT = 2
STOPPED_BY_HAND = 130
CHECK_SECONDS = 30.0

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Acuse: nothing that a customer reports gets lost.",
)
users = typer.Typer(no_args_is_help=True, help="Who works in the console.")
app.add_typer(users, name="user")
for learn in (learning.train, learning.evaluate):
    app.command()(learn)


@app.callback()
def _begin() -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for one in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(one) is signal.SIG_DFL:  # nohup has set the other
            signal.signal(one, signal.default_int_handler)  # the database must be stopped, as on Ctrl-C
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a sign that the terminal cannot show must stop nothing


@contextmanager
def _told(stopped: int = STOPPED_BY_HAND) -> Iterator[None]:
    """Faults that the operator can mend are one sentence and exit code 2; `stopped`: the code after a stop signal."""
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
    except KeyboardInterrupt:
        terminal.print("Stopped.")
        raise typer.Exit(stopped) from None


@contextmanager
def _to_the_end() -> Iterator[None]:
    """The same around `run_until_over`; a stop signal is how this ends well."""
    try:
        with _told(stopped=0):
            yield
    except typer.Exit as left:
        leave(left.exit_code)
    leave(0)


def _log_to_terminal(level: int = logging.INFO) -> None:
    # a file or a journal must get whole lines; only a terminal gets colours
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


@app.command()
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
    _log_to_terminal(logging.WARNING)
    with _to_the_end():
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


@app.command()
def migrate() -> None:
    """Bring the database up to date."""
    with _told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as base:
            bring_up_to_date(base, data)
    terminal.print("The database is up to date.")


@app.command()
def backup(file: Path) -> None:
    """Save the database and all attachments into one file. Acuse may go on meanwhile."""
    with _told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as base:
            reachable(base)
            made = backups.dump(
                base.url, programs_of(base), data / "files", file.absolute(), version=version(), now=now
            )
    terminal.print(f"Saved in {file}: {len(made.members)} parts. Keep {data / 'secret'} safe as well.", markup=False)


@app.command()
def restore(file: Path, force: Annotated[bool, typer.Option(help="replace what is there")] = False) -> None:
    """Put a backup back into an empty database. Stop Acuse first."""
    with _told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data) as base:
            reachable(base)
            backups.restore(file, base.url, programs_of(base), data / "files", force=force)
            bring_up_to_date(base, data)
    terminal.print("Restored.")


@app.command()
def check() -> None:
    """Is everything right? Configuration, database, each channel live, and who would be alerted."""
    with _told():
        config, data = read_configuration(), data_folder()
        terminal.print("[green]✓[/green] config.yaml")
        with database_at(config, data, beside=True) as base:
            _say_check(True, "database", reachable(base))
            healthy, desks = asyncio.run(_check_channels(config, base.url, data))
        if desks:
            _say_check(True, "alerts", f"cards in {', '.join(desks)}")
        if not config.company.alert_to:
            if not desks:
                _say_check(None, "alerts", "nobody would be alerted when a person is needed: set company.alert_to")
        elif all(kind != "email" for kind, _ in config.accounts.values()):
            _say_check(
                None, "alerts", "nobody would be alerted: company.alert_to needs an e-mail account to write from"
            )
        else:
            _say_check(True, "alerts", f"go to {', '.join(config.company.alert_to)}")
        if not healthy:
            raise typer.Exit(1)


async def _check_channels(config: Configuration, url: str, data: Path) -> tuple[bool, list[str]]:
    """Whether all are well, and which of them have a place for agents."""
    async with machine(config, url, data) as built:
        channels = built.parts.channels
        found = await asyncio.gather(*(_asked(channel) for channel in channels.values()))
        for name, health in zip(channels, found, strict=True):
            _say_check(health.ok, name, health.detail + (f"; {health.remedy}" if health.remedy else ""))
        problem = built.reader.problem
        _say_check(None if problem else True, "understanding", problem or built.reader.source)
    desks = [name for name, channel in channels.items() if isinstance(channel, DeskPlace) and channel.desk]
    return all(health.ok for health in found), desks


async def _asked(channel: Channel) -> Health:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await channel.check()
    except TimeoutError:
        return Health(ok=False, detail=f"no answer within {CHECK_SECONDS:.0f} s", remedy="check address and network")


def _say_check(well: bool | None, name: str, detail: str) -> None:
    """None: it works, but look at it."""
    sign = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[yellow]![/yellow]"}[well]
    terminal.print(f"{sign} {name}:", end=" ")
    terminal.print(detail, markup=False)


@app.command()
def chat() -> None:
    """Talk to the bot here, with a database that is thrown away at the end."""
    _log_to_terminal(logging.ERROR)
    with _to_the_end(), tempfile.TemporaryDirectory(prefix="acuse-chat-") as folder:
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


@app.command()
def classify(
    file: Annotated[Path | None, typer.Argument(help="JSON lines {id, text}; - or nothing: stdin")] = None,
) -> None:
    """Understand messages: JSON lines in, JSON lines out."""
    with _told():
        config = read_configuration()
        asyncio.run(_classify(config, file))


async def _classify(config: Configuration, file: Path | None) -> None:
    with _lines_of(file) as lines:
        reader = await open_understander(config.nlu)
        async for line in classify_lines(lines, reader, country=config.company.country):
            print(line, flush=True)  # noqa: T201  this is the command's output
        await reader.close()


def _lines_of(file: Path | None) -> TextIO:
    if file is None or str(file) == "-":
        return open(sys.stdin.fileno(), encoding="utf-8", errors="replace", closefd=False)
    try:
        return file.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Remedy(f"{file} cannot be read ({error.strerror}): give a file of lines {{id, text}}.") from error


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


def _with_staff(act: Callable[[Staff], Awaitable[object]]) -> None:
    async def do(config: Configuration, base: Base, data: Path) -> None:
        async with machine(config, base.url, data, reading=False) as built:
            await act(built.staff)

    with _told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as base:
            bring_up_to_date(base, data)
            try:
                asyncio.run(do(config, base, data))
            except ValueError as error:
                raise Remedy(str(error)) from error


templates_command.register(app, _told)
mail_command.register(app, _told)


@app.command("version")
def show_version() -> None:
    """Of this program."""
    terminal.print(version())


if __name__ == "__main__":
    app()
