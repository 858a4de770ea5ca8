"""The unprivileged user that runs the database server when root runs us (PostgreSQL refuses to run as root)."""

import logging
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

NAME = "acuse-pg"


class ProcessOptions(TypedDict, total=False):
    """Arguments of `subprocess` that drop every right of root."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """A system user, by number: the name may be unknown in this container."""

    uid: int
    gid: int

    @property
    def process_options(self) -> ProcessOptions:
        """How to start a process as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def check_reach(self, program: Path, fault: type[Exception]) -> None:
        """Raise `fault`, naming the folder, when this user cannot run a program at that place."""
        try:
            subprocess.run(  # noqa: S603 - our own binary, no shell
                [str(program), "--version"], capture_output=True, cwd="/", check=True, **self.process_options
            )
        except PermissionError:
            closed = next((folder for folder in reversed(program.parents) if not self._enters(folder)), None)
            if closed is None:
                reason = f"the disk that holds {program.parent} forbids programs (noexec)"
            else:
                reason = f"the system user {self.uid} that runs the database cannot pass through {closed}"
            raise fault(f"The data folder cannot be used, as {reason}: choose another one with ACUSE_DATA.") from None

    def _enters(self, folder: Path) -> bool:
        status = folder.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return bool(status.st_mode >> shift & 1)


def service_account(cluster: Path, *, log: logging.Logger) -> Account | None:
    """Who runs the server: None is ourselves; as root the owner of the data, else our system user, made if need be."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (status := cluster.stat()).st_uid != 0:
        return Account(status.st_uid, status.st_gid)
    account = _find(NAME) or _make(log) or _find("nobody")
    if account is None:
        raise OSError("no unprivileged system user could be found or made")
    if cluster.exists():  # it was copied back by root: the server takes only its own
        for path in (cluster, *cluster.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return account


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def _make(log: logging.Logger) -> Account | None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is not None:
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        command = [useradd, *options, "--shell", "/usr/sbin/nologin", NAME]
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed, no shell
        if made.returncode != 0:
            log.warning("The system user %s could not be made: %s", NAME, made.stderr.strip())
    # another Acuse may have made it in the same moment
    return _find(NAME)
