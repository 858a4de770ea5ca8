"""A whole Acuse as its own processes: `python -m main run`, as an operator starts it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0  # seconds that a start may take on a machine that does ten other things
Found = TypeVar("Found")

CONFIG = """
company: {name: Nube, bot_name: Clara, country: CO, timezone: America/Bogota, hours: {mon-sun: "00:00-23:59"}}
channels: {webchat: {}}
nlu: {enabled: false}
bot: {burst_seconds: {webchat: 0}}
"""


def until(look: Callable[[], Found | None], seconds: float = PATIENCE, what: str = "it") -> Found:
    """What `look` finds, looked for again and again. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.05)


def free_port() -> int:
    """A port of the loopback that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gone(pid: int) -> bool:
    """Whether no process has that number any more; one that nobody has waited for yet counts as gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


class Run:
    """One `acuse …` process. What it says is kept in two files."""

    def __init__(self, house: "House", arguments: tuple[str, ...], number: int) -> None:
        self._said, self._complained = house.place / f"out-{number}", house.place / f"err-{number}"
        with self._said.open("wb") as out, self._complained.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "main", *arguments],
                cwd=ROOT,
                env=house.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def said(self) -> str:
        """Its standard output so far."""
        return self._said.read_text()

    @property
    def complained(self) -> str:
        """Its standard error so far."""
        return self._complained.read_text()

    def stop(self, order: signal.Signals) -> tuple[int, float]:
        """Signal it; its exit code, and the seconds that it took to end."""
        began = time.monotonic()
        self.process.send_signal(order)
        return self.process.wait(60), time.monotonic() - began

    def ended(self) -> int:
        """Its exit code, waited for."""
        return self.process.wait(PATIENCE)


class House:
    """One installation: a data folder, a configuration, a port. `env` overrides the environment."""

    def __init__(self, place: Path, config: str = CONFIG, data: Path | None = None, **env: str) -> None:
        self.place = place
        self.data = data or place / "data"
        self.port = free_port()
        self.config = place / "config.yaml"
        self.config.write_text(config, encoding="utf-8")
        self.env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "LC_ALL")}
        self.env |= {"ACUSE_DATA": str(self.data), "ACUSE_CONFIG": str(self.config), "PORT": str(self.port), **env}
        self.runs: list[Run] = []
        self._browsers = ExitStack()

    def browser(self) -> httpx.Client:
        """Somebody's browser, with no cookies yet."""
        return self._browsers.enter_context(httpx.Client(base_url=self.address, timeout=30))

    def start(self, *arguments: str) -> Run:
        """Start `acuse run` (or another command) and go on."""
        self.runs.append(Run(self, arguments or ("run",), len(self.runs)))
        return self.runs[-1]

    def serve(self, *arguments: str) -> Run:
        """Start, and wait until it serves."""
        run = self.start(*arguments)

        def serving() -> bool:
            assert run.process.poll() is None, f"it ended: {run.said}{run.complained}"
            return self.healthy()

        until(serving, what="a start")
        return run

    def healthy(self) -> bool:
        """Whether /health answers 200 now."""
        try:
            return httpx.get(f"{self.address}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def address(self) -> str:
        """Where the pages are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def postgres(self) -> int:
        """The number of the database's process."""
        return int((self.data / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])

    def close(self) -> None:
        """End whatever is left of it."""
        self._browsers.close()
        for run in self.runs:
            if run.process.poll() is None:
                run.process.terminate()
                try:
                    run.process.wait(20)
                except subprocess.TimeoutExpired:
                    run.process.kill()
                    run.process.wait()
        pid_file = self.data / "postgres" / "cluster" / "postmaster.pid"
        if pid_file.exists() and not gone(self.postgres):
            os.kill(self.postgres, signal.SIGCONT)
            os.kill(self.postgres, signal.SIGQUIT)
            until(lambda: gone(int(self.postgres)) if pid_file.exists() else True, 20, "the end of the database")


class Visitor:
    """Somebody in the web chat, with a cookie of their own."""

    def __init__(self, house: House) -> None:
        self.client = house.browser()
        self.client.get("/chat").raise_for_status()
        self._said = 0

    def say(self, text: str, *files: tuple[str, bytes]) -> None:
        """Send a message with files (name, content); returns once it is kept."""
        self._said += 1
        fields = {"client_id": f"message-{self._said:08}", "text": text}
        sent = [("files", file) for file in files]
        answer = self.client.post("/chat/messages", data=fields, files=sent or None, headers={"x-acuse": "1"})
        answer.raise_for_status()

    def history(self) -> list[dict[str, str]]:
        """What the window shows."""
        found: list[dict[str, str]] = self.client.get("/chat/history").raise_for_status().json()
        return found

    def answers(self) -> int:
        """How many bubbles the bot has in it."""
        return sum(bubble["who"] == "bot" for bubble in self.history())


def logged_in(house: House, login: str, password: str) -> httpx.Client:
    """A browser at the desk."""
    client = house.browser()
    door = client.get("/desk/login").raise_for_status()
    secret = re.search(r'name="csrf" value="([^"]+)"', door.text)
    assert secret is not None
    answer = client.post("/desk/login", data={"csrf": secret[1], "login": login, "password": password})
    assert answer.status_code == 303, answer.text[:300]
    return client
