"""How the program starts, ends and comes back: the operator's first hour and worst day."""

import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from storage.embedded import Embedded
from tests.main.house import CONFIG, House, Run, Visitor, free_port, gone, logged_in, until

PASSWORD = re.compile(r"password (\S{16}) \(shown only now\)")
REPORT = "Llegó rota la licuadora del pedido 48213, ¿qué pasó?"

MAIL = """
  email:
    address: soporte@nube.example
    username: soporte
    password: secreto
    imap: {{host: 127.0.0.1, port: {port}, security: none}}
    smtp: {{host: 127.0.0.1, port: {port}, security: none}}
"""


class Mute:
    """A server that takes every connection and never says a word."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.visits: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.visits.append(self._door.accept()[0])

    def close(self) -> None:
        """Let everybody go."""
        self._door.close()
        for visit in self.visits:
            visit.close()


@pytest.fixture
def mute() -> Iterator[Mute]:
    """A provider that hangs."""
    server = Mute()
    yield server
    server.close()


def mailing(port: int) -> str:
    """The configuration with a mailbox at that port and somebody to alert."""
    channels = "channels:\n  webchat: {}\n" + MAIL.format(port=port)
    text = CONFIG.replace("channels: {webchat: {}}\n", channels)
    return text.replace("company: {", "company: {alert_to: [jefa@nube.example], ")


def the_end_of(house: House, path: Path) -> list[int]:
    """kill -9 of everything that runs there."""
    pids = [run.process.pid for run in house.runs if run.process.poll() is None]
    pids.append(int((path / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0]))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for run in house.runs:
        run.process.wait()
    return pids


class Streams:
    """Pages that stay open: each reads its events until the server ends them."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._opened: list[str] = []
        self._stack = contextlib.ExitStack()

    def open(self, client: httpx.Client, path: str) -> None:
        """Open one and wait for its first event."""
        response = self._stack.enter_context(client.stream("GET", path, timeout=60))
        assert response.status_code == 200
        lines = response.iter_lines()
        assert next(lines).startswith("retry:")

        def read() -> None:
            with contextlib.suppress(httpx.HTTPError):
                for _ in lines:
                    pass

        self._threads.append(threading.Thread(target=read, daemon=True))
        self._threads[-1].start()

    def all_open(self) -> bool:
        """Whether none has ended."""
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Wait for their ends."""
        for thread in self._threads:
            thread.join(20)
        self._stack.close()


def test_nothing_is_lost_when_everything_is_killed_and_ctrl_c_ends_everything_in_five_seconds(
    a_house: Callable[..., House], place: Path, mute: Mute
) -> None:
    long = place / "a folder with blanks" / ("ñ" * 20 + "x" * (110 - len(str(place)) - 60)) / "data of Acuse here"
    assert len(os.fsencode(long)) >= 110
    house = a_house(config=mailing(mute.port), data=long, LANG="C", LC_CTYPE="C")

    first = house.serve()
    until(lambda: PASSWORD.search(first.said), what="the first password")
    for address in (f"{house.address}/\n", f"{house.address}/desk\n", f"{house.address}/health\n"):
        assert address in first.said
    health = httpx.get(f"{house.address}/health").json()
    own = {"database", "bell", "web", "worker", "timers", "files", "alerts", "orphans", "desk cards", "older cases"}
    assert own | {"listener email", "reconciling email"} == set(health["parts"])
    assert httpx.get(house.address).headers["location"] == "/chat"
    visitor = Visitor(house)
    visitor.say(REPORT)
    until(lambda: visitor.answers() >= 2, what="the acknowledgement and the answer")
    before = visitor.history()

    same = house.start()
    house.env["PORT"] = str(free_port())
    other_port = house.start()
    house.env["PORT"] = str(house.port)
    assert same.ended() == other_port.ended() == 2
    assert "Acuse runs already on" in same.said.replace("\n", " ")
    assert len(same.said.splitlines()) == 1
    assert "in use by another Acuse" in other_port.said
    assert len(other_port.said.splitlines()) == 1
    assert same.complained == other_port.complained == ""
    assert house.healthy()

    the_end_of(house, long)
    second = house.serve()
    assert not PASSWORD.search(second.said)
    assert [one["html"] for one in visitor.history()][: len(before)] == [one["html"] for one in before]

    password = PASSWORD.search(first.said)
    assert password is not None
    streams = Streams()
    for _ in range(3):
        streams.open(logged_in(house, "admin", password[1]), "/desk/stream")
    streams.open(visitor.client, "/chat/stream")
    calls = len(mute.visits)
    visitor.say("quiero hablar con una persona, por favor")
    until(lambda: len(mute.visits) > calls, what="an alert by mail, which hangs")
    assert streams.all_open()
    database = house.postgres
    code, seconds = second.stop(signal.SIGINT)
    streams.close()
    assert code == 0
    assert seconds <= 5
    assert gone(database)
    assert second.said.rstrip().endswith("Stopped.")
    assert "Traceback" not in first.complained + second.complained
    assert not (long / "postgres" / "cluster" / "postmaster.pid").exists()


def health_of(house: House) -> dict[str, str]:
    """The state of every part."""
    try:
        parts = httpx.get(f"{house.address}/health", timeout=5).json()["parts"]
    except httpx.HTTPError:
        return {}
    return {name: part["state"] for name, part in parts.items()}


def answered(house: House, text: str) -> None:
    """A new visitor writes and is answered: the whole way works."""
    visitor = Visitor(house)
    visitor.say(text)
    until(lambda: visitor.answers() >= 2, what="an answer")


def test_a_database_that_hangs_or_dies_is_survived_and_sigterm_ends_it_all(a_house: Callable[..., House]) -> None:
    house = a_house()
    run = house.serve()
    visitor = Visitor(house)
    visitor.say(REPORT)
    until(lambda: visitor.answers() >= 2, what="an answer")

    os.kill(house.postgres, signal.SIGSTOP)
    backends = children(house.postgres)
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{house.address}/chat/history", cookies=visitor.client.cookies, timeout=3)
    for pid in (house.postgres, *backends):
        os.kill(pid, signal.SIGCONT)
    visitor.say("y llegó sin factura")

    killed = house.postgres
    os.kill(killed, signal.SIGKILL)
    until(lambda: gone(killed) and house.healthy() and house.postgres != killed, what="another database")
    until(lambda: set(health_of(house).values()) == {"running"}, what="that every part runs")
    answered(house, REPORT)
    assert len([one for one in visitor.history() if one["who"] == "me"]) == 2

    database = house.postgres
    code, seconds = run.stop(signal.SIGTERM)
    assert code == 0
    assert seconds <= 5
    assert gone(database)
    assert "Traceback" not in run.complained


def children(pid: int) -> list[int]:
    """The processes that it started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_stop_while_it_starts_leaves_nothing_behind(a_house: Callable[..., House]) -> None:
    house = a_house()
    run = house.start()
    until((house.data / "postgres" / "lock").exists, what="the begin of a start")
    code, _ = run.stop(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in run.complained
    assert not (house.data / "postgres" / "cluster" / "postmaster.pid").exists()


def test_ctrl_c_at_any_moment_of_the_start_is_quick_and_quiet(a_house: Callable[..., House]) -> None:
    house = a_house(config=CONFIG.replace("nlu: {enabled: false}\n", ""))
    pid_file = house.data / "postgres" / "cluster" / "postmaster.pid"

    def ready() -> bool:
        return pid_file.exists() and "ready" in pid_file.read_text()

    def mapped(run: Run, library: str) -> Callable[[], bool]:
        return lambda: library in Path(f"/proc/{run.process.pid}/maps").read_text()

    moments: dict[str, Callable[[Run], Callable[[], bool]]] = {
        "the imports": lambda run: mapped(run, "_pydantic_core"),
        "the database's start": lambda run: ready,
        "the loading of the model": lambda run: mapped(run, "onnxruntime_pybind"),
        "the first moment of service": lambda run: lambda: "serves" in run.said,
    }
    for moment, come in moments.items():
        run = house.start()
        until(come(run), what=moment)
        code, seconds = run.stop(signal.SIGINT)
        assert (code, run.complained) == (0, ""), moment
        assert ("serves" in run.said) == (moment == "the first moment of service"), moment
        assert seconds <= 5, moment
        assert not pid_file.exists(), moment


@pytest.mark.soak
def test_our_own_database_hangs_for_40_s(a_house: Callable[..., House]) -> None:
    house = a_house()
    run = house.serve()
    answered(house, REPORT)
    pids = [house.postgres, *children(house.postgres)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    threading.Event().wait(40)  # the requirement is this time itself
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    everything_works_again(house, run)


@pytest.mark.soak
def test_somebody_elses_database_is_away_for_40_s(a_house: Callable[..., House], place: Path) -> None:
    theirs = Embedded(place / "theirs", log=logging.getLogger("tests.theirs"))
    url = theirs.start()
    try:
        house = a_house(config=CONFIG + "database: ${DATABASE_URL}\n", DATABASE_URL=url)
        run = house.serve()
        assert "database" not in health_of(house)
        answered(house, REPORT)
        theirs.stop()
        until(lambda: not house.healthy(), what="that /health says so")
        threading.Event().wait(40)  # as above
        assert theirs.start() == url
        everything_works_again(house, run)
    finally:
        theirs.stop()


def everything_works_again(house: House, run: Run) -> None:
    """Every part, by itself; and the end is as always."""
    until(lambda: set(health_of(house).values()) == {"running"}, what="that every part runs")
    answered(house, REPORT)
    assert run.stop(signal.SIGINT)[0] == 0
    assert "Traceback" not in run.complained
