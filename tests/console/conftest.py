"""The web edge in tests: the app without a network, and a whole Acuse that serves a real browser."""

import asyncio
import logging
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, sync_playwright

from bot.policy import Policy
from bot.staff import Staff
from channels.webchat import Settings as ChatSettings
from channels.webchat import WebChat
from console import server as web
from console.app import create_app
from console.site import Settings, Site
from storage.listen import Bell
from storage.wake import Handler, Kind, Worker
from tests.world import World, a_world

CHROMIUM = Path("/usr/bin/chromium")
Result = TypeVar("Result")

QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # what is tested is not its cost


def now() -> datetime:
    """The real clock: browsers have no other."""
    return datetime.now(UTC)


def a_site(world: World, bell: Bell, **fields: Any) -> Site:
    """Everything that the pages work with, made from a world."""
    given: dict[str, Any] = {
        "parts": world.parts,
        "intake": world.intake,
        "bell": bell,
        "staff": Staff(world.parts, lambda: secrets.token_urlsafe(32), lasts=timedelta(hours=12), hasher=QUICK),
        "settings": Settings(),
        "health": lambda: {"ok": True},
        "token": lambda: secrets.token_urlsafe(32),
        "stopping": asyncio.Event(),
        "webchat_account": "webchat",
        "version": "test",
    }
    return Site(**(given | fields))


def a_client(site: Site, *, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client that speaks to the app without a network, from the address `peer`."""
    transport = httpx.ASGITransport(create_app(site), client=(peer, 4000), raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://acuse.test")


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A whole Acuse with the real clock; the test runs its turns and sends."""
    async with a_world(database_url, now, tmp_path / "files") as made:
        yield made


@pytest.fixture
async def site(world: World, database_url: str) -> AsyncIterator[Site]:
    """Its pages' side, with a bell that rings."""
    bell = Bell(database_url)
    ringing = asyncio.create_task(bell.run())
    yield a_site(world, bell)
    ringing.cancel()
    with suppress(asyncio.CancelledError):
        await ringing


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app."""
    async with a_client(site) as made:
        yield made


class Live:
    """A running Acuse in a thread: web server, worker, timers and bell on a real database."""

    def __init__(
        self, url: str, files: Path, *, chat: ChatSettings | None = None, settings: Settings | None = None
    ) -> None:
        self._url = url
        self._files = files
        self._chat = chat or ChatSettings()
        self._settings = settings or Settings()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._fault: BaseException | None = None
        self.base = ""
        self.world: World
        self.site: Site

    def start(self) -> None:
        """Serve; returns when pages can be opened."""
        self._thread.start()
        assert self._ready.wait(30), "the server did not start"
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """End everything that was started."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(15)
        assert not self._thread.is_alive(), "the server did not stop"
        if self._fault is not None:
            raise self._fault

    def call(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(20)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as fault:
            self._fault = fault
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        policy = Policy(undo_seconds=2, burst_seconds={"webchat": 0})
        async with a_world(self._url, now, self._files, policy=policy) as self.world:
            bell = Bell(self._url)
            taken = web.listen("127.0.0.1", 0)
            self.base = f"http://127.0.0.1:{taken.getsockname()[1]}"
            channels = {**self.world.parts.channels, "webchat": WebChat("webchat", self._chat, now=now)}
            self.world.parts = replace(self.world.parts, channels=channels)
            self.site = a_site(self.world, bell, settings=self._settings)
            handlers: dict[Kind, Handler] = {"turn": self.world.turns.run, "send": self.world.sending.run}
            lanes = list(self.world.parts.channels)
            worker = Worker(self._url, handlers, lanes=lanes, log=logging.getLogger("tests.worker"))
            running = [bell.run(), worker.run(), self.world.ticker.run(), web.serve(create_app(self.site), taken)]
            tasks = [asyncio.create_task(one) for one in running]
            self._ready.set()
            try:
                await self._stop.wait()
            finally:
                self.site.stopping.set()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                taken.close()


@pytest.fixture
def live(database_url: str, tmp_path: Path) -> Iterator[Live]:
    """A running Acuse, for browsers."""
    made = Live(database_url, tmp_path / "files")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system, one for the run."""
    if not CHROMIUM.exists():
        pytest.skip("no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()
