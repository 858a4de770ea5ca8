"""Acuse's front door: what there is is put together here, and every command starts here."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as installed_version
from pathlib import Path
from random import SystemRandom
from typing import Annotated, Any

import typer
from console.app import create_app
from pydantic import BaseModel
from rich.console import Console
from rich.logging import RichHandler

from bot.alerts import Alerts
from bot.catalogue import Catalogue
from bot.company import Company
from bot.configuration import ConfigurationFaults, Fault, checked, sections
from bot.intake import Intake
from bot.keeper import Keep, Keeper
from bot.media import MediaFetcher
from bot.parts import Parts
from bot.policy import Policy
from bot.pump import Pump
from bot.sending import Sending
from bot.staff import ROLES, Staff, WeakPassword
from bot.ticker import Ticker
from bot.turn import Turns
from channels import CHANNELS
from channels.channel import Channel, Features, Listener, Outbound
from channels.memory import Memory
from console import server as web
from console.site import Settings as ConsoleSettings
from console.site import Site
from nlu.classify import classify_lines
from nlu.language import detect
from nlu.understander import Reader, open_understander
from nlu.understander import Settings as NluSettings
from storage import backup as backups
from storage import migrate as migrations
from storage.database import Database
from storage.embedded import DatabaseFault, Embedded
from storage.files import Files
from storage.ids import uuid7_source
from storage.lease import Lease
from storage.listen import Bell
from storage.wake import Worker

HERE = Path(__file__).resolve().parent
SECTIONS = ("company", "database", "channels", "nlu", "bot", "console")
ALL_ROLES = ("web", "worker", "listener")
STOPPED_BY_FAULT = 2

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Acuse: nothing that a customer reports gets lost.")
users = typer.Typer(no_args_is_help=True, help="Who works in the console.")
app.add_typer(users, name="user")
terminal = Console(highlight=False, soft_wrap=True)
log = logging.getLogger("acuse")


class Remedy(Exception):
    """Something that the operator must mend; the text says what and how. Ends the process with code 2."""


def now() -> datetime:
    """The clock of the whole program."""
    return datetime.now(UTC)


# --- what the operator wrote ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Configuration:
    """config.yaml, each section read by its owner."""

    company: Company
    database: str | None
    accounts: Mapping[str, tuple[str, BaseModel]]  # name -> kind, settings
    nlu: NluSettings
    policy: Policy
    console: ConsoleSettings


def read_configuration() -> Configuration:
    """Read and check everything. Raises ConfigurationFaults with all faults at once."""
    path = Path(os.environ.get("ACUSE_CONFIG") or HERE / "config.yaml")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Remedy(f"{path} cannot be read ({error.strerror}); restore it, or set ACUSE_CONFIG.") from error
    raw = sections(text, os.environ, SECTIONS)
    faults: list[Fault] = []
    console = dict(raw.get("console") or {})
    if port := os.environ.get("PORT"):
        console["port"] = port
    company = checked(Company, raw.get("company"), "company", faults)
    nlu = checked(NluSettings, raw.get("nlu"), "nlu", faults)
    policy = checked(Policy, raw.get("bot"), "bot", faults)
    settings = checked(ConsoleSettings, console, "console", faults)
    accounts = dict(_accounts(raw.get("channels") or {}, faults))
    database = raw.get("database") or None
    if database is not None and not str(database).startswith(("postgresql://", "postgres://")):
        faults.append(Fault("database", "is not a PostgreSQL address", "write postgresql://user@host/name, or null"))
    if faults or company is None or nlu is None or policy is None or settings is None:
        raise ConfigurationFaults(faults)
    return Configuration(company, database, accounts, nlu, policy, settings)


def _accounts(raw: Any, faults: list[Fault]) -> Iterator[tuple[str, tuple[str, BaseModel]]]:
    if not isinstance(raw, dict):
        faults.append(Fault("channels", "is not a list of accounts", "write `webchat: {}` below it"))
        return
    for name, section in raw.items():
        values = dict(section or {})
        kind = values.pop("kind", name)
        if kind not in CHANNELS:
            faults.append(Fault(f"channels.{name}", f"there is no channel {kind}", f"use one of {', '.join(CHANNELS)}"))
            continue
        settings = checked(CHANNELS[kind].settings, values, f"channels.{name}", faults)
        if settings is not None:
            yield str(name), (kind, settings)


def data_folder() -> Path:
    """Where everything lives: ACUSE_DATA, else ./data beside the program, else (as root) /var/lib/acuse."""
    if chosen := os.environ.get("ACUSE_DATA"):
        return Path(chosen).absolute()
    return Path("/var/lib/acuse") if os.geteuid() == 0 else HERE / "data"


def _secret(data: Path) -> bytes:
    """The installation's own secret; it is part of every code and link that we sign."""
    path = data / "secret"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()


# --- the machine ------------------------------------------------------------------------------------------------------


@contextmanager
def database_at(config: Configuration, data: Path, *, beside: bool = False) -> Iterator[tuple[str, Path | None]]:
    """The database's address and, for ours, the folder of its programs. `beside`: another Acuse may have it running."""
    if config.database is not None:
        yield config.database, None
        return
    embedded = Embedded(data / "postgres", log=log)
    running = embedded.running() if beside else None
    if running is not None:
        yield running, embedded.bin
        return
    url = embedded.start()
    try:
        yield url, embedded.bin
    finally:
        embedded.stop()


def bring_up_to_date(url: str, programs: Path | None, data: Path) -> None:
    """Migrate; what is there already is dumped before it is changed."""
    try:
        if migrations.pending(url):
            target = data / "backups" / f"before-update-{now():%Y%m%d-%H%M%S}.acuse"
            target.parent.mkdir(parents=True, exist_ok=True)
            backups.dump(url, _programs(programs), data / "files", target, version=version(), now=now)
            terminal.print(f"The database is from an older version; it was saved in {target}.")
        migrations.upgrade(url)
    except migrations.Unreachable as fault:
        raise Remedy(
            f"The database cannot be reached ({fault}). Start it, or mend `database` in config.yaml."
        ) from fault


def _programs(programs: Path | None) -> Path:
    """pg_dump and pg_restore: those of our own server, which are as new as any that we work with."""
    return programs or Embedded(Path(tempfile.gettempdir()), log=log).bin


@dataclass(frozen=True)
class Machine:
    """Everything that is open while a process runs."""

    parts: Parts
    intake: Intake
    staff: Staff
    reader: Reader


@asynccontextmanager
async def machine(
    config: Configuration, url: str, data: Path, *, extra: Mapping[str, Channel] | None = None
) -> AsyncIterator[Machine]:
    """Put the parts together, and give everything back at the end."""
    random = SystemRandom()
    database = Database(url, now=now, ids=uuid7_source(now, random.randbytes))
    channels: dict[str, Channel] = {
        name: CHANNELS[kind].channel(name, settings, now=now) for name, (kind, settings) in config.accounts.items()
    }
    kinds = {name: kind for name, (kind, _) in config.accounts.items()}
    if extra:
        channels, kinds = dict(extra), {name: name for name in extra}
    reader = await open_understander(config.nlu)
    parts = Parts(
        database=database,
        channels=channels,
        kinds=kinds,
        files=Files(data / "files", limit_bytes=config.policy.attachment_limit),
        catalogue=Catalogue.load(),
        company=config.company,
        policy=config.policy,
        understander=reader,
        now=now,
        choose=random.randrange,
        secret=_secret(data),
    )
    languages = config.company.languages
    intake = Intake(parts, lambda text, sticky: detect(text, sticky, languages[0]).language)
    staff = Staff(parts, lambda: secrets.token_urlsafe(32), lasts=timedelta(hours=config.console.session_hours))
    try:
        yield Machine(parts, intake, staff, reader)
    finally:
        for channel in channels.values():
            await channel.close()
        await reader.close()
        await database.close()


def _keeps(
    config: Configuration, url: str, roles: Sequence[str], built: Machine, site: Site, taken: socket.socket | None
) -> list[Keep]:
    """What runs in this process, each part supervised apart."""
    parts, bell = built.parts, site.bell
    keeps: list[Keep] = []
    if taken is not None:
        pages = create_app(site)
        assert isinstance(bell, Bell)
        keeps += [Keep("bell", bell.run), Keep("web", lambda: web.serve(pages, taken))]
    if "worker" in roles:
        handlers = Worker(
            url,
            {"turn": Turns(parts).run, "send": Sending(parts).run},
            lanes=list(parts.channels),
            log=logging.getLogger("worker"),
        )
        keeps += [
            Keep("worker", handlers.run),
            Keep("timers", Ticker(parts).run),
            Keep("files", MediaFetcher(parts).run),
            Keep("alerts", Alerts(parts).run),
        ]
    if "listener" in roles:
        holder = f"{socket.gethostname()}:{os.getpid()}"
        for name, channel in parts.channels.items():
            if isinstance(channel, Listener):
                pump = Pump(parts, built.intake, name, channel, lease=lambda lock: Lease(url, lock), holder=holder)
                keeps.append(Keep(f"listener {name}", pump.run))
    return keeps


async def _run(
    config: Configuration, url: str, data: Path, roles: Sequence[str], taken: socket.socket | None, began: datetime
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stopping.set)
    keeper = Keeper(now, SystemRandom(), asyncio.sleep, faults=(Remedy,), log=logging.getLogger("keeper"))
    async with machine(config, url, data) as built:
        site = Site(
            parts=built.parts,
            intake=built.intake,
            bell=Bell(url),
            staff=built.staff,
            settings=config.console,
            health=lambda: _health(keeper, built.reader, began),
            token=lambda: secrets.token_urlsafe(32),
            stopping=stopping,
            webchat_account=built.parts.account_of_kind("webchat"),
            version=version(),
        )
        password = await built.staff.first() if taken is not None else None
        running = asyncio.create_task(keeper.run_all(_keeps(config, url, roles, built, site, taken)))
        if taken is not None:
            _greet(config, password, began)
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        stopped.cancel()
        running.cancel()
        try:
            await running
        except asyncio.CancelledError:
            terminal.print("Stopped.")


def _health(keeper: Keeper, reader: Reader, began: datetime) -> dict[str, Any]:
    """For people and machines that watch: it serves, and how every part is."""
    states = keeper.states()
    return {
        "ok": all(states[name].state == "running" for name in ("bell",) if name in states),
        "version": version(),
        "since": began.isoformat(timespec="seconds"),
        "understanding": {"source": reader.source, "problem": reader.problem},
        "parts": {
            name: {
                "state": one.state,
                "since": one.since.isoformat(timespec="seconds"),
                "restarts": one.restarts,
                "reason": one.reason,
            }
            for name, one in states.items()
        },
    }


def _greet(config: Configuration, password: str | None, began: datetime) -> None:
    host = "127.0.0.1" if config.console.host in ("0.0.0.0", "::") else config.console.host  # noqa: S104  compared
    home = f"http://{f'[{host}]' if ':' in host else host}:{config.console.port}"
    terminal.print(
        f"\n[bold]Acuse {version()}[/bold] serves since {(now() - began).total_seconds():.1f} s after start."
    )
    terminal.print(f"  Web chat  {home}/")
    terminal.print(f"  Console   {home}/desk")
    if password is not None:
        terminal.print(f"            login [bold]admin[/bold], password [bold]{password}[/bold] (shown only now)")
    terminal.print(f"  Health    {home}/health")
    terminal.print("  Stop it with Ctrl-C.\n")


# --- the commands -----------------------------------------------------------------------------------------------------


def version() -> str:
    """Of this program."""
    return installed_version("acuse")


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
            asyncio.run(_run(config, url, data, roles, taken, began))


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
            made = backups.dump(url, _programs(programs), data / "files", file.absolute(), version=version(), now=now)
    terminal.print(f"Saved in {file}: {len(made.members)} parts. Keep {data / 'secret'} safe as well.")


@app.command()
def restore(file: Path, force: Annotated[bool, typer.Option(help="replace what is there")] = False) -> None:
    """Put a backup back into an empty database. Stop Acuse first."""
    with _told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data) as (url, programs):
            backups.restore(file, url, _programs(programs), data / "files", force=force)
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
