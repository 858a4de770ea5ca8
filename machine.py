"""The composition root: every concrete thing is put together here, and runs here."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import SystemRandom
from typing import Any, NoReturn, TypeVar

from bot.alerts import Alerts
from bot.catalogue import Catalogue
from bot.desk_cards import DeskCards
from bot.intake import Intake
from bot.keeper import Keep, Keeper
from bot.listening import Listening
from bot.media import MediaFetcher
from bot.older_cases import OlderCases
from bot.orphans import Orphans
from bot.parts import Parts
from bot.pump import Pump
from bot.reconciling import Reconciling
from bot.sending import Sending
from bot.staff import Staff
from bot.ticker import Ticker
from bot.turn import Turns
from bot.webhooks.handing import Handing, Rounds, Watching
from bot.webhooks.posting import Post
from bot.webhooks.telling import Telling
from channels import CHANNELS
from channels.channel import Channel, Listener, Reconciles
from console import server as web
from console.app import create_app
from console.site import Site
from installation import Base, Configuration, Remedy, now, secret_of, terminal, version
from nlu.language import detect
from nlu.speech import open_speech
from nlu.understander import Reader, open_understander
from storage.database import Database
from storage.files import Files
from storage.ids import uuid7_source
from storage.lease import Lease
from storage.listen import Bell
from storage.wake import Pace, Worker

Result = TypeVar("Result")

# Ctrl-C has five seconds for everything: the parts together, then the connections, then the database.
PATIENCE = 3.5
GRACE = 2.0  # of these, what a turn or a send that runs gets to finish; cut off, it is run again at the next start
CLOSING = 0.5
log = logging.getLogger("acuse")


@dataclass(frozen=True)
class Machine:
    """Everything that is open while a process runs."""

    parts: Parts
    intake: Intake
    staff: Staff
    reader: Reader
    posts: Mapping[str, Post] = field(default_factory=dict)  # the ways to the webhooks, by name


@asynccontextmanager
async def machine(
    config: Configuration, url: str, data: Path, *, extra: Mapping[str, Channel] | None = None, reading: bool = True
) -> AsyncIterator[Machine]:
    """Put the parts together, and give everything back at the end. Not `reading`: nothing will be understood."""
    reader = await open_understander(config.nlu) if reading else Reader(None)
    random = SystemRandom()
    own_kinds = {name: kind for name, (kind, _) in config.accounts.items()}
    teller = Telling(config.webhooks, own_kinds, now) if config.webhooks else None
    database = Database(url, now=now, ids=uuid7_source(now, random.randbytes), teller=teller)
    posts = {name: Post(one, now=now, version=version()) for name, one in config.webhooks.items()}
    secret = secret_of(data)
    channels: dict[str, Channel] = {
        name: CHANNELS[kind].open(
            name,
            settings,
            now=now,
            secret=secret,
            public_url=config.company.public_url,
            company=config.company.name,
        )
        for name, (kind, settings) in config.accounts.items()
    }
    kinds = own_kinds
    if extra:
        channels, kinds = dict(extra), {name: name for name in extra}
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
        hearing=open_speech(config.nlu.speech) if reading else None,
    )
    languages = config.company.languages
    intake = Intake(parts, lambda text, sticky: detect(text, sticky, languages[0]).language)
    staff = Staff(parts, lambda: secrets.token_urlsafe(32), lasts=timedelta(hours=config.console.session_hours))
    try:
        yield Machine(parts, intake, staff, reader, posts)
    finally:
        await asyncio.gather(
            *(_given_back(name, channel.close()) for name, channel in channels.items()),
            *(_given_back(f"webhook {name}", post.close()) for name, post in posts.items()),
            _given_back("understanding", reader.close()),
        )
        await _given_back("database", database.close())


async def _given_back(name: str, closing: Awaitable[None]) -> None:
    """What does not close must keep neither the others nor the end of the program."""
    try:
        async with asyncio.timeout(CLOSING):
            await closing
    except Exception as error:
        log.info("%s was not closed: %s", name, type(error).__name__)


def _keeps(
    config: Configuration,
    base: Base,
    roles: Sequence[str],
    built: Machine,
    site: Site,
    taken: socket.socket | None,
    watching: Watching,
) -> list[Keep]:
    """What runs in this process, each part supervised apart."""
    parts, bell, url = built.parts, site.bell, base.url
    keeps: list[Keep] = [Keep("database", base.server.keep)] if base.server is not None else []
    assert isinstance(bell, Bell)
    if taken is not None or "worker" in roles:
        keeps.append(Keep("bell", bell.run))
    if taken is not None:
        pages = create_app(site)
        keeps.append(Keep("web", lambda: web.serve(pages, taken)))
    if "worker" in roles:
        hooks = config.webhooks
        handlers = Worker(
            url,
            {
                "turn": Turns(parts).run,
                "send": Sending(parts).run,
                "hook": Handing(parts, hooks, built.posts).run,
            },
            lanes=list(parts.channels),
            webhooks=list(hooks),
            log=logging.getLogger("worker"),
            pace=Pace(grace=GRACE),
        )
        keeps += [
            Keep("worker", handlers.run),
            Keep("timers", Ticker(parts, bell).run),
            Keep("files", MediaFetcher(parts, bell).run),
            Keep("alerts", Alerts(parts, bell).run),
            Keep("desk cards", DeskCards(parts, bell).run),
            Keep("orphans", Orphans(parts).run),
            Keep("older cases", OlderCases(parts, lease=lambda name: Lease(url, name)).run),
        ]
        if parts.hearing is not None:
            keeps.append(Keep("voice notes", Listening(parts, bell).run))
        if hooks:
            keeps.append(Keep("webhooks", Rounds(parts, hooks).run))
    if taken is not None and config.webhooks:
        keeps.append(Keep("webhook states", watching.run))
    if "listener" in roles:
        holder = f"{socket.gethostname()}:{os.getpid()}"
        for name, channel in parts.channels.items():
            if isinstance(channel, Listener):
                pump = Pump(parts, built.intake, name, channel, lease=lambda lock: Lease(url, lock), holder=holder)
                keeps.append(Keep(f"listener {name}", pump.run))
            if isinstance(channel, Reconciles):
                nightly = Reconciling(parts, built.intake, name, channel, lease=lambda lock: Lease(url, lock))
                keeps.append(Keep(f"reconciling {name}", nightly.run))
    return keeps


async def serve(
    config: Configuration, base: Base, data: Path, roles: Sequence[str], taken: socket.socket | None, began: datetime
) -> None:
    """Run the parts until a stop signal. Raises Remedy when one finds a fault that the operator must mend."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(one) is not signal.SIG_IGN or one is not signal.SIGHUP:  # nohup means it
            loop.add_signal_handler(one, stopping.set)
    keeper = Keeper(
        now, SystemRandom(), asyncio.sleep, faults=(Remedy,), patience=PATIENCE, log=logging.getLogger("keeper")
    )
    async with AsyncExitStack() as stack:
        # loading the model takes seconds, in which a stop must be heard as well
        built = await _unless(stopping, stack.enter_async_context(machine(config, base.url, data)))
        if built is None:
            return
        watching = Watching(built.parts, config.webhooks)
        site = Site(
            parts=built.parts,
            intake=built.intake,
            bell=Bell(base.url),
            staff=built.staff,
            settings=config.console,
            health=lambda: _health(keeper, built, began, watching),
            token=lambda: secrets.token_urlsafe(32),
            stopping=stopping,
            webchat_account=built.parts.account_of_kind("webchat"),
            version=version(),
        )
        password = await built.staff.first() if taken is not None else None
        running = asyncio.create_task(keeper.run_all(_keeps(config, base, roles, built, site, taken, watching)))
        if taken is not None:
            _greet(config, password)
        else:
            terminal.print(f"Acuse {version()} runs as {', '.join(roles)}. Stop it with Ctrl-C.")
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        stopped.cancel()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What the work gives; None if a stop came before it was done."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if working.done():
        return await working
    working.cancel()
    await asyncio.wait([working], timeout=CLOSING)
    return None


def run_until_over(work: Coroutine[Any, Any, Result]) -> Result:
    """Like asyncio.run, but whatever does not end afterwards keeps nobody: `leave` must follow.

    asyncio.run would wait for a thread that asks a dead name server, and for a part that does not listen.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(one, signal.SIG_IGN)  # a second Ctrl-C must not leave the database running
        loop.run_until_complete(_wound_up())


async def _wound_up() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=CLOSING)


def leave(code: int) -> NoReturn:
    """End the process now, threads that hang included. Everything that matters is written by then."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _health(keeper: Keeper, built: Machine, began: datetime, watching: Watching) -> dict[str, Any]:
    """For people and machines that watch: it serves, and how every part is."""
    states = keeper.states()
    return {
        "ok": all(states[name].state == "running" for name in ("bell",) if name in states),
        "version": version(),
        "since": began.isoformat(timespec="seconds"),
        "understanding": {"source": built.reader.source, "problem": built.reader.problem},
        **({"voice notes": {"problem": hearing.problem}} if (hearing := built.parts.hearing) else {}),
        "parts": {
            name: {
                "state": one.state,
                "since": one.since.isoformat(timespec="seconds"),
                "restarts": one.restarts,
                "reason": one.reason,
            }
            for name, one in states.items()
        },
        **({"webhooks": told} if (told := watching.health()) else {}),
    }


def _greet(config: Configuration, password: str | None) -> None:
    host = "127.0.0.1" if config.console.host in ("0.0.0.0", "::") else config.console.host  # noqa: S104  compared
    home = f"http://{f'[{host}]' if ':' in host else host}:{config.console.port}"
    terminal.print(f"\n[bold]Acuse {version()}[/bold] serves.")
    terminal.print(f"  Web chat  {home}/")
    terminal.print(f"  Console   {home}/desk")
    if password is not None:
        terminal.print(f"            login [bold]admin[/bold], password [bold]{password}[/bold] (shown only now)")
    terminal.print(f"  Health    {home}/health")
    terminal.print("  Stop it with Ctrl-C.\n")
