"""What stands on this machine: config.yaml, the data folder, and the database, brought up to date."""

import logging
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from bot.company import Company
from bot.configuration import ConfigurationFaults, Fault, checked, sections
from bot.policy import Policy
from channels import CHANNELS
from console.site import Settings as ConsoleSettings
from nlu.understander import Settings as NluSettings
from storage import backup as backups
from storage import migrate as migrations
from storage.embedded import Embedded

HERE = Path(__file__).resolve().parent
SECTIONS = ("company", "database", "channels", "nlu", "bot", "console")
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


def secret_of(data: Path) -> bytes:
    """The installation's own secret; it is part of every code and link that we sign."""
    path = data / "secret"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()


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
            backups.dump(url, programs_of(programs), data / "files", target, version=version(), now=now)
            terminal.print(f"The database is from an older version; it was saved in {target}.")
        migrations.upgrade(url)
    except migrations.Unreachable as fault:
        raise Remedy(
            f"The database cannot be reached ({fault}). Start it, or mend `database` in config.yaml."
        ) from fault


def programs_of(programs: Path | None) -> Path:
    """pg_dump and pg_restore: those of our own server, which are as new as any that we work with."""
    return programs or Embedded(Path(tempfile.gettempdir()), log=log).bin
