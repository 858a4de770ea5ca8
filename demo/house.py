"""A throw-away installation of Acuse for the demo: its folder, its configuration, its database and its process."""

import asyncio
import fcntl
import logging
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import httpx
import yaml

from channels import CHANNELS
from installation import HERE as ROOT
from installation import Remedy
from storage import migrate
from storage.embedded import Embedded

MARK = "this-is-a-demo"  # a file: only a folder that holds it is ever removed
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}  # nothing here must outlive a crash
START_SECONDS = 120.0
STOP_SECONDS = 4.0
log = logging.getLogger("demo")


class Place:
    """The folder of the demo. One demo at a time has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: TextIO | None = None

    @property
    def config(self) -> Path:
        """Acuse's configuration."""
        return self.folder / "config.yaml"

    @property
    def data(self) -> Path:
        """Acuse's data folder."""
        return self.folder / "data"

    def take(self) -> None:
        """Ours now, and empty, whatever an earlier demo left. Raises Remedy when it is somebody else's."""
        mark = self.folder / MARK
        if self.folder.exists() and not mark.exists() and any(self.folder.iterdir()):
            raise Remedy(f"{self.folder} holds something that the demo did not make: choose another with --data.")
        try:
            _make(self.folder)
            self._lock = mark.open("a", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._lock is not None:
                self._lock.close()
            self._lock = None
            raise Remedy(f"A demo runs already in {self.folder}: stop it, or give this one another --data.") from None
        except OSError as error:
            raise Remedy(f"{self.folder} cannot be used ({error.strerror}): choose another with --data.") from error
        self._empty()
        _make(self.data)

    def leave(self, *, keep: bool) -> None:
        """Remove it if we have it."""
        if self._lock is None:
            return
        if not keep:
            self._empty()
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()
        self._lock = None

    def _empty(self) -> None:
        for one in self.folder.iterdir():
            if one.name == MARK:
                continue
            if one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
            else:
                one.unlink()


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # as root the database's own user must get through


@contextmanager
def database(place: Place) -> Iterator[str]:
    """The demo's own PostgreSQL with all tables; its address."""
    embedded = Embedded(place.data / "postgres", log=log, settings=QUICK)
    url = embedded.start()
    try:
        migrate.upgrade(url)
        yield url
    finally:
        embedded.stop()


def configuration(accounts: Mapping[str, Mapping[str, Any]], *, url: str, port: int, page: str) -> dict[str, Any]:
    """What config.yaml says: a believable company, and the stand-ins in place of the providers."""
    known = {name: dict(section) for name, section in accounts.items() if section.get("kind", name) in CHANNELS}
    return {
        "company": {
            "name": "Nube",
            "bot_name": "Clara",
            "country": "CO",
            "timezone": "America/Bogota",
            "languages": ["es", "en", "pt"],
            "hours": {"mon-fri": "08:00-18:00", "sat": "09:00-13:00"},
            "public_url": url,
            "answer_terms": {"sugerencia": "20wd"},
            "commitments": {"news_by": "17:00", "callback_minutes": 15},
        },
        "channels": {"webchat": {"allowed_origins": [page]}, **known},
        "bot": {"burst_seconds": {"webchat": 1.5, "telegram": 1.5, "whatsapp": 2, "sms": 3, "slack": 1.5}},
        "console": {"host": "127.0.0.1", "port": port},
    }


def write(place: Place, settings: Mapping[str, Any]) -> None:
    """Keep the configuration where Acuse finds it."""
    text = yaml.safe_dump(dict(settings), allow_unicode=True, sort_keys=False)
    place.config.write_text("# Made by `make demo`; see config.yaml beside the program for all settings.\n" + text)


class Acuse:
    """The program itself, as `make run` starts it, in a process of its own."""

    def __init__(self, place: Place, url: str) -> None:
        self._place = place
        self._url = url
        self._process: asyncio.subprocess.Process | None = None
        self._asked = False

    async def start(self) -> None:
        """Until it answers. Raises Remedy with its last words when it ends instead."""
        roles = [word for role in ("web", "worker", "listener") for word in ("--role", role)]
        environment = {name: one for name, one in os.environ.items() if name not in ("DATABASE_URL", "PORT")}
        environment |= {"ACUSE_CONFIG": str(self._place.config), "ACUSE_DATA": str(self._place.data)}
        with self.log.open("wb") as said:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "main", "run", *roles),
                cwd=ROOT,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is ours: we hand it on
            )
        try:
            async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as client:
                while not await self._answers(client):
                    if self._process.returncode is not None:
                        raise Remedy("Acuse did not start:\n" + self.last_words())
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Remedy(f"Acuse does not answer after {START_SECONDS:.0f} s:\n" + self.last_words()) from None

    async def ended(self) -> None:
        """Until it ends by itself, which it should not."""
        assert self._process is not None
        await self._process.wait()

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""
        if self._process is not None and self._process.returncode is None and not self._asked:
            self._asked = True
            self._process.send_signal(signal.SIGINT)

    async def stop(self) -> None:
        """Until it has ended; after some seconds without asking."""
        self.interrupt()
        if self._process is None or self._process.returncode is not None:
            return
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    @property
    def log(self) -> Path:
        """What it says."""
        return self._place.folder / "acuse.log"

    def last_words(self) -> str:
        """The end of what it said."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-12:])

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self._url}/health", timeout=2)).status_code == 200
        except httpx.HTTPError:
            return False


def token() -> str:
    """A secret of the demo: a password for a provider that does not exist."""
    return secrets.token_hex(16)
