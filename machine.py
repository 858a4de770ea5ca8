"""The composition root: every concrete thing is put together here, and runs here."""

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import SystemRandom
from typing import Any

from bot.alerts import Alerts
from bot.catalogue import Catalogue
from bot.intake import Intake
from bot.keeper import Keep, Keeper
from bot.media import MediaFetcher
from bot.parts import Parts
from bot.pump import Pump
from bot.sending import Sending
from bot.staff import Staff
from bot.ticker import Ticker
from bot.turn import Turns
from channels import CHANNELS
from channels.channel import Channel, Listener
from console import server as web
from console.app import create_app
from console.site import Site
from installation import Configuration, Remedy, now, secret_of, terminal, version
from nlu.language import detect
from nlu.understander import Reader, open_understander
from storage.database import Database
from storage.files import Files
from storage.ids import uuid7_source
from storage.lease import Lease
from storage.listen import Bell
from storage.wake import Worker


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
    secret = secret_of(data)
    channels: dict[str, Channel] = {
        name: CHANNELS[kind].open(name, settings, now=now, secret=secret)
        for name, (kind, settings) in config.accounts.items()
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
        secret=secret,
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


async def serve(
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
        if keeper.abandoned:  # a part that does not listen would keep the process for ever
            logging.shutdown()
            os._exit(1)


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
