"""The server of our own survives what real machines do to it. Each trap of design.md is a test."""

import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from storage.embedded import DatabaseFault, Embedded
from storage.postgres import explain, noted, serves

LOG = logging.getLogger("tests.embedded")
ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0

KEEPER = """
import logging, pathlib, sys
sys.path.insert(0, sys.argv[1])
from storage.embedded import Embedded
embedded = Embedded(pathlib.Path(sys.argv[2]), log=logging.getLogger("keeper"))
print(embedded.start(), flush=True)
sys.stdin.read()
embedded.stop()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of this test that the system user of the server can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="acuse-place-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def prototype() -> Iterator[Path]:
    """A data folder at rest; most tests work on a copy, as the making takes a second."""
    folder = Path(tempfile.mkdtemp(prefix="acuse-place-"))
    folder.chmod(0o711)
    one = Embedded(folder / "postgres", log=LOG, settings={"fsync": "off"})
    one.start()
    one.stop()
    yield folder / "postgres"
    shutil.rmtree(folder)


@pytest.fixture
def home(place: Path, prototype: Path) -> Path:
    """A data folder that was used before."""
    subprocess.run(["cp", "-a", prototype, place / "postgres"], check=True)
    return place / "postgres"


@pytest.fixture
def embedded(place: Path) -> Iterator[Callable[..., Embedded]]:
    made: list[Embedded] = []

    def make(home: Path = place / "postgres", **settings: str) -> Embedded:
        made.append(Embedded(home, log=LOG, settings=settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def keeper(home: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    """Another Acuse: a process that runs the server of `home` until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", KEEPER, str(ROOT), str(home)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.communicate()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
        return row[0] if row else None


def write(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (said text)")
        connection.execute("INSERT INTO kept VALUES ('se quedó')")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def server_pid(home: Path) -> int:
    return int(noted(home / "cluster")["pid"])


def test_spanish_letters_fold_whatever_the_callers_locale_is(
    embedded: Callable[..., Embedded], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LANG": "C", "LC_ALL": "C", "PGPORT": "1", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    url = embedded().start()
    assert ask(url, "SELECT lower('ÁÉÍÑ') || ('RECLAMACIÓN' ILIKE '%ción')") == "áéíñtrue"
    provider = "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'acuse'"
    assert ask(url, provider) == "bC.UTF-8"
    assert ask(url, "SHOW server_encoding") == "UTF8"


def test_it_is_durable_private_and_has_vectors(
    embedded: Callable[..., Embedded], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", "a secret of Acuse that the server's user must not read")
    url = embedded().start()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION vector")
        assert connection.execute("SELECT '[1,2]'::vector <-> '[1,4]'").fetchone() == (2.0,)
    assert (ask(url, "SHOW fsync"), ask(url, "SHOW synchronous_commit")) == ("on", "on")
    assert ask(url, "SHOW listen_addresses") == ""
    home = place / "postgres"
    for path, mode in ((home, 0o700), (home / "socket", 0o700), (home / "cluster", 0o700), (home / "password", 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert os.getpgid(server_pid(home)) != os.getpgid(0), "Ctrl-C must reach Acuse alone: the server stops last"
    process = Path(f"/proc/{server_pid(home)}")
    if process.exists():  # not on macOS, where PostgreSQL itself refuses to run as root
        assert b"TELEGRAM_TOKEN" not in (process / "environ").read_bytes()
        assert (process.stat().st_uid != 0) if AS_ROOT else (process.stat().st_uid == os.geteuid())
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace("acuse:", "acuse:x"))


def test_a_second_start_is_quick_and_keeps_the_data(embedded: Callable[..., Embedded], home: Path) -> None:
    one = embedded()
    write(one.start())
    one.stop()
    begin = time.monotonic()
    url = one.start()
    assert time.monotonic() - begin < 2
    assert ask(url, "SELECT said FROM kept") == "se quedó"


@pytest.mark.parametrize("name", ["con espacio y ñ", "x" * 110, "it's 100% a,b;c&d(e)"])
def test_any_path_will_do(embedded: Callable[..., Embedded], place: Path, name: str) -> None:
    one = embedded(place / name, fsync="off")
    url = one.start()
    assert ask(url, "SELECT 1") == 1
    folder = Path(noted(place / name / "cluster")["socket"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    one.stop()
    assert not folder.exists()


def test_a_path_that_a_shell_would_read_is_refused(embedded: Callable[..., Embedded], place: Path) -> None:
    with pytest.raises(DatabaseFault, match="PostgreSQL cannot take"):
        embedded(place / "$(touch harm)").start()
    assert list(place.iterdir()) == []


def test_a_second_acuse_is_refused_with_the_first_ones_number(
    embedded: Callable[..., Embedded], keeper: Callable[[], tuple[subprocess.Popen[str], str]], home: Path
) -> None:
    first, url = keeper()
    second = embedded()
    with pytest.raises(DatabaseFault, match=rf"in use by another Acuse \(process {first.pid}\)"):
        second.start()
    second.stop()
    assert second.running() == url
    assert ask(url, "SELECT 1") == 1
    first.communicate()  # its input ends: it stops
    assert second.running() is None
    assert not noted(home / "cluster")


def test_a_start_twice_does_not_stop_the_first(embedded: Callable[..., Embedded], home: Path) -> None:
    one = embedded(fsync="off")
    url = one.start()
    with pytest.raises(DatabaseFault, match="already started"):
        one.start()
    assert ask(url, "SELECT 1") == 1


def test_after_kill_9_of_acuse_its_server_is_taken_over_and_stopped_at_the_end(
    embedded: Callable[..., Embedded], keeper: Callable[[], tuple[subprocess.Popen[str], str]], home: Path
) -> None:
    killed, url = keeper()
    write(url)
    orphan = server_pid(home)
    killed.kill()
    killed.wait()
    assert ask(url, "SELECT 1") == 1, "the server lives on without its Acuse"
    one = embedded()
    assert ask(one.start(), "SELECT said FROM kept") == "se quedó"
    assert not serves(orphan, home / "cluster")
    now = server_pid(home)
    one.stop()
    assert not serves(now, home / "cluster")


def test_after_kill_9_of_everything_what_was_committed_is_there(
    embedded: Callable[..., Embedded], keeper: Callable[[], tuple[subprocess.Popen[str], str]], home: Path
) -> None:
    killed, url = keeper()
    busy = psycopg.connect(url)  # its backend outlives the server for a moment
    write(url)
    killed.kill()
    os.kill(server_pid(home), signal.SIGKILL)
    killed.wait()
    assert ask(embedded().start(), "SELECT said FROM kept") == "se quedó"
    busy.close()


def test_the_frozen_rest_of_a_killed_server_is_waited_for(
    embedded: Callable[..., Embedded], keeper: Callable[[], tuple[subprocess.Popen[str], str]], home: Path
) -> None:
    killed, url = keeper()
    write(url)
    with psycopg.connect(url) as busy:
        backend = busy.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        killed.kill()
        os.kill(server_pid(home), signal.SIGKILL)
        killed.wait()

        def thaw() -> None:
            until(lambda: "is still in use" in (home / "server.log").read_text())
            os.kill(backend, signal.SIGCONT)

        with ThreadPoolExecutor() as pool:
            thawed = pool.submit(thaw)
            assert ask(embedded().start(), "SELECT said FROM kept") == "se quedó"
            thawed.result()


def test_a_stale_number_that_is_now_another_process_is_neither_believed_nor_killed(
    embedded: Callable[..., Embedded], home: Path
) -> None:
    one = embedded(fsync="off")
    one.start()
    pid_file = home / "cluster" / "postmaster.pid"
    text, owner = pid_file.read_text(), pid_file.stat()
    one.stop()
    options = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if AS_ROOT else {}
    other = subprocess.Popen(["sleep", "60"], cwd="/", **options)  # type: ignore[call-overload]  # options by name
    try:
        pid_file.write_text(text.replace(text.split()[0], str(other.pid), 1))
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        assert one.running() is None
        assert ask(one.start(), "SELECT 1") == 1
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_lost_password_is_replaced(embedded: Callable[..., Embedded], home: Path) -> None:
    one = embedded(fsync="off")
    first = one.start()
    one.stop()
    (home / "password").unlink()
    second = one.start()
    assert second != first
    assert ask(second, "SELECT 1") == 1


def test_a_half_made_cluster_is_made_anew(embedded: Callable[..., Embedded], place: Path) -> None:
    home = place / "postgres"
    (home / "cluster-draft").mkdir(parents=True)
    (home / "lock").touch()
    (home / "cluster-draft" / "PG_VERSION").write_text("18\n")
    assert ask(embedded(fsync="off").start(), "SELECT 1") == 1


def test_a_folder_out_of_reach_is_refused_in_one_sentence_and_not_opened(
    embedded: Callable[..., Embedded], place: Path
) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700 if AS_ROOT else 0o500)
    before = stat.S_IMODE(closed.stat().st_mode), closed.stat().st_uid
    expected = f"cannot pass through {closed}: choose another" if AS_ROOT else "may not write there"
    with pytest.raises(DatabaseFault, match=expected) as fault:
        embedded(closed / "postgres").start()
    assert "\n" not in str(fault.value)
    assert (stat.S_IMODE(closed.stat().st_mode), closed.stat().st_uid) == before


def test_nothing_outside_the_data_folder_changes_its_rights(embedded: Callable[..., Embedded], place: Path) -> None:
    (place / "neighbour").mkdir(mode=0o750)
    wheel = embedded().bin
    watched = [place, place / "neighbour", wheel, wheel.parent, wheel / "postgres", *place.parents]
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in watched]
    embedded(fsync="off").start()
    assert [(path, path.stat().st_mode, path.stat().st_uid) for path in watched] == before


def test_folders_on_the_way_are_made_passable_under_a_strict_umask(
    embedded: Callable[..., Embedded], place: Path
) -> None:
    mask = os.umask(0o077)
    try:
        url = embedded(place / "var" / "lib" / "acuse" / "postgres", fsync="off").start()
    finally:
        os.umask(mask)
    assert ask(url, "SELECT 1") == 1


def test_data_of_another_major_version_is_refused(embedded: Callable[..., Embedded], home: Path) -> None:
    one = embedded(fsync="off")
    one.start()
    one.stop()
    (home / "cluster" / "PG_VERSION").write_text("13\n")
    with pytest.raises(DatabaseFault, match=r"brings \[.*18.*\]: make a backup"):
        one.start()


def test_a_folder_with_other_things_in_it_is_left_alone(embedded: Callable[..., Embedded], place: Path) -> None:
    (place / "precious").touch()
    with pytest.raises(DatabaseFault, match="holds something else"):
        embedded(place).start()
    assert list(place.iterdir()) == [place / "precious"]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('FATAL:  could not write lock file "postmaster.pid": No space left on device', "free some space"),
        ("[Errno 28] No space left on device: '/data/postgres/lock'", "free some space"),
        ("[Errno 30] Read-only file system: '/data/postgres'", "mount it writable"),
        ("FATAL:  database files are incompatible with server", "restore a backup"),
        ('LOG:  x\nFATAL:  could not open file "global/pg_filenode.map"', "pg_filenode.map"),
    ],
)
def test_complaints_become_one_sentence_with_the_remedy(said: str, remedy: str) -> None:
    sentence = explain(said, Path("/data/postgres"))
    assert sentence.startswith("The database in /data/postgres cannot start")
    assert remedy in sentence
    assert "\n" not in sentence


def test_what_the_server_says_is_passed_on(embedded: Callable[..., Embedded], home: Path) -> None:
    with pytest.raises(DatabaseFault, match="contains errors"):
        embedded(shared_buffers="a lot").start()
