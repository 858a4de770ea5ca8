"""What stands on this machine: config.yaml, the data folder, and the database, brought up to date."""

import asyncio
import logging
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from pydantic import BaseModel
from rich.console import Console
from sqlalchemy.exc import DBAPIError as DatabaseRefused

from bot.company import Company
from bot.configuration import ConfigurationFaults, Fault, checked, sections
from bot.policy import Policy
from bot.webhooks.settings import Webhook, webhooks_of
from channels import CHANNELS
from console.site import Settings as ConsoleSettings
from nlu.understander import Settings as NluSettings
from storage import backup as backups
from storage import migrate as migrations
from storage.connect import is_address
from storage.embedded import DatabaseFault, Embedded
from storage.postgres import alive

HERE = Path(__file__).resolve().parent
SECTIONS = ("company", "database", "channels", "webhooks", "nlu", "bot", "console")
SECRET_BYTES = 32
LOOK = 1.0  # seconds between two looks whether our database still runs
JOIN_SECONDS = 60.0  # another Acuse that is just starting gets so long to have the database ready
_ACCOUNT = re.compile(r"[^\s/]+")  # it is a part of the address that providers call
terminal = Console(highlight=False, soft_wrap=True)
log = logging.getLogger("acuse")


class Remedy(Exception):
    """Something that the operator must mend; the text says what and how. Ends the process with code 2."""


def now() -> datetime:
    """The clock of the whole program."""
    return datetime.now(UTC)


def version() -> str:
    """Of this program."""
    return installed_version("acuse")


@dataclass(frozen=True)
class Configuration:
    """config.yaml, each section read by its owner."""

    company: Company
    database: str | None
    accounts: Mapping[str, tuple[str, BaseModel]]  # name -> kind, settings
    nlu: NluSettings
    policy: Policy
    console: ConsoleSettings
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)  # by name


def read_configuration() -> Configuration:
    """Read and check everything. Raises ConfigurationFaults with all faults at once."""
    path = Path(os.environ.get("ACUSE_CONFIG") or HERE / "config.yaml")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Remedy(f"{path} cannot be read ({error.strerror}): restore it, or set ACUSE_CONFIG.") from error
    except UnicodeDecodeError as error:
        raise Remedy(f"{path} is not text in UTF-8 (byte {error.start}): save it anew as UTF-8.") from error
    raw = sections(text, os.environ, SECTIONS)
    faults: list[Fault] = []
    console = raw.get("console")
    if (port := os.environ.get("PORT")) and isinstance(console, dict | None):
        console = {**(console or {}), "port": port}
    company = checked(Company, raw.get("company"), "company", faults)
    nlu = checked(NluSettings, raw.get("nlu"), "nlu", faults)
    policy = checked(Policy, raw.get("bot"), "bot", faults)
    settings = checked(ConsoleSettings, console, "console", faults)
    if port and any(fault.path == "console.port" for fault in faults):
        faults.append(Fault("PORT", "the environment sets console.port with it", "give a number from 1 to 65535"))
    accounts = dict(_accounts(raw.get("channels") or {}, faults))
    webhooks = webhooks_of(raw.get("webhooks"), faults)
    database = raw.get("database") or None
    if database is not None and not is_address(str(database)):
        faults.append(Fault("database", "is not a PostgreSQL address", "write postgresql://user@host/name, or null"))
    if faults or company is None or nlu is None or policy is None or settings is None:
        raise ConfigurationFaults(faults)
    return Configuration(company, database, accounts, nlu, policy, settings, webhooks)


def _accounts(raw: Any, faults: list[Fault]) -> Iterator[tuple[str, tuple[str, BaseModel]]]:
    if not isinstance(raw, dict):
        faults.append(Fault("channels", "is not a list of accounts", "write `webchat: {}` below it"))
        return
    for name, section in raw.items():
        if not isinstance(section, dict | None):
            faults.append(Fault(f"channels.{name}", "is not a list of settings", f"write `{name}: {{}}`"))
            continue
        values = dict(section or {})
        kind = values.pop("kind", name)
        if not _ACCOUNT.fullmatch(name):
            faults.append(Fault(f"channels.{name}", "is no name for an account", "write it without blanks or slashes"))
            continue
        if not isinstance(kind, str) or kind not in CHANNELS:
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


def secret_of(data: Path) -> bytes:
    """The installation's own secret; it is part of every code and link that we sign. Raises Remedy."""
    path = data / "secret"
    with _writable(path):
        if not path.exists():
            _make_secret(path)
        found = path.read_bytes()
    if len(found) < SECRET_BYTES:
        raise Remedy(f"{path} is damaged: put it back from where you keep it, or remove it (links sent before end).")
    return found


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Remedy(
            f"{path} cannot be used ({error.strerror}): give the folder to the user that runs Acuse, or choose another"
            " one with ACUSE_DATA."
        ) from error


def _make_folder(folder: Path) -> None:
    """And those above it; as root the database's own user must get through them, whatever the umask is."""
    with _writable(folder):
        for one in [one for one in reversed((folder, *folder.parents)) if not one.exists()]:
            one.mkdir(exist_ok=True)
            one.chmod(0o711)


def _make_secret(path: Path) -> None:
    """Whole or not at all, and one only, though several processes start at once."""
    _make_folder(path.parent)
    draft = path.with_name(f"secret-{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secrets.token_bytes(SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


class Server:
    """Our own database while this process has it running. What ends it by accident, `keep` mends."""

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded
        self._turn = Lock()
        self._over = False
        self._link: Path | None = None
        self.url = embedded.start()

    async def keep(self) -> None:
        """Start it again whenever it is gone (out of memory, killed by hand). Goes on until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            if self._embedded.running() is None:
                await asyncio.to_thread(self._revive)

    def stop(self) -> None:
        """End it; nothing starts it again."""
        with self._turn:
            self._over = True
            self._embedded.stop()
            if self._link is not None:
                self._link.unlink(missing_ok=True)

    def _revive(self) -> None:
        with self._turn:
            if self._over:
                return
            log.warning("The database ended by itself: starting it again.")
            self._embedded.stop()
            url = self._embedded.start()
            if url != self.url and self._link is None:
                # a long path has its socket elsewhere, each time in a new folder; everybody knows only the first
                self._link = _socket_of(self.url)
            if self._link is not None:
                self._link.unlink(missing_ok=True)
                self._link.symlink_to(_socket_of(url))


def _socket_of(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


@dataclass(frozen=True)
class Base:
    """The database that is used: its address; for ours also where its programs are, and the server if we run it."""

    url: str
    programs: Path | None = None
    server: Server | None = None


@contextmanager
def database_at(config: Configuration, data: Path, *, beside: bool = False) -> Iterator[Base]:
    """The database, started if it is ours and not running. `beside`: another Acuse may have it running."""
    if config.database is not None:
        yield Base(config.database)
        return
    embedded = Embedded(data / "postgres", log=log)
    running = _joined(embedded) if beside else None
    server = None
    if running is None:
        try:
            server = Server(embedded)
        except DatabaseFault:
            # several started at once, and another one was first
            running = _joined(embedded) if beside else None
            if running is None:
                raise
    try:
        yield Base(server.url if server else running or "", embedded.bin, server)
    finally:
        if server is not None:
            server.stop()


def running_at(data: Path) -> bool:
    """Whether an Acuse runs our own database in this folder now."""
    return _running(Embedded(data / "postgres", log=log)) is not None


def _running(embedded: Embedded) -> str | None:
    try:
        return embedded.running()
    except NotADirectoryError:
        return None  # the start will tell what is wrong with the folder


def _joined(embedded: Embedded) -> str | None:
    """The address of the server that another Acuse runs, or is starting just now; None: nobody does."""
    deadline = monotonic() + JOIN_SECONDS
    while monotonic() < deadline:
        running = _running(embedded)
        if running is not None and _answers(running):
            return running
        if running is None and not _held(embedded.home / "lock"):
            return None
        sleep(0.1)
    return None


def _answers(url: str) -> bool:
    """Whether the database in it is made, too."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _held(lock: Path) -> bool:
    """Whether a process that lives wrote its number there. A number that went to somebody else costs only a wait."""
    try:
        number = lock.read_text().strip()
    except OSError:
        return False
    return number.isdigit() and int(number) != os.getpid() and alive(int(number))


def reachable(base: Base) -> str:
    """How the database is, in words. Raises Remedy when it does not answer or is newer than this program."""
    with _explained():
        behind = migrations.pending(base.url)
    where = "our own" if base.programs else "as configured"
    return f"{where}; from an older version: `make run` saves it and brings it up to date" if behind else where


@contextmanager
def _explained() -> Iterator[None]:
    """What a database says, as a sentence with the remedy."""
    try:
        yield
    except migrations.Unreachable as fault:
        raise Remedy(
            f"The database cannot be reached ({fault}): start it, or mend `database` in config.yaml."
        ) from fault
    except migrations.Newer as fault:
        raise Remedy(
            f"The database was brought up to date by a newer Acuse (revision {fault}): update this one with git pull,"
            " or restore what it saved before into a new data folder."
        ) from fault
    except DatabaseRefused as fault:
        said = str(fault.orig).strip().splitlines()[0]
        raise Remedy(
            f"The database could not be brought up to date, and is as it was ({said}): its user must own the database,"
            " and PostgreSQL must be 15 or newer."
        ) from fault


def bring_up_to_date(base: Base, data: Path) -> None:
    """Migrate; what is there already is dumped before it is changed. Raises Remedy."""
    with _explained():
        if migrations.pending(base.url):
            target = data / "backups" / f"before-update-{now():%Y%m%d-%H%M%S}.acuse"
            _make_folder(target.parent)
            backups.dump(base.url, programs_of(base), data / "files", target, version=version(), now=now)
            terminal.print(f"The database is from an older version; it was saved in {target}.", markup=False)
        migrations.upgrade(base.url)


def programs_of(base: Base) -> Path:
    """pg_dump and pg_restore: those of our own server, which are as new as any that we work with."""
    return base.programs or Embedded(Path(tempfile.gettempdir()), log=log).bin
