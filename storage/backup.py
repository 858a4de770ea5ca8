"""One file with everything: the database, the attachments and a manifest; and the way back.

The file is a tar: `database.dump` (pg_dump's own format), `files/<hash>` and, last, `manifest.json`, which holds size
and hash of everything before it. A file without its end therefore has no manifest, and is refused.
"""

import hashlib
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from storage.files import sync_folder

FORMAT = 1
_DATABASE = "database.dump"
_MANIFEST = "manifest.json"
_MEMBER = re.compile(r"files/([0-9a-f]{64})|database\.dump")
_OF_VECTORS = re.compile(r"EXTENSION\b.*\bvector\b|\bcase_embeddings(_\w+)?\b")
LOCK_SECONDS = 10.0
_BLOCK = 1 << 20


class BackupFault(Exception):
    """The backup could not be made or used, and nothing was changed. One sentence for the operator, with the remedy."""


@dataclass(frozen=True)
class Manifest:
    """What a backup says about itself: who made it, when, and (size in bytes, SHA-256) of each member."""

    version: str
    made_at: datetime
    members: dict[str, tuple[int, str]]

    def to_json(self) -> bytes:
        """As it stands in the file."""
        members = {name: {"size": size, "sha256": sha256} for name, (size, sha256) in self.members.items()}
        whole = {"format": FORMAT, "version": self.version, "made_at": self.made_at.isoformat(), "members": members}
        return json.dumps(whole, indent=1).encode()


def dump(url: str, bin: Path, files: Path, target: Path, *, version: str, now: Callable[[], datetime]) -> Manifest:
    """Write the database and the attachments into `target` (0600), whole or not at all; Acuse may go on meanwhile."""
    made_at = now()
    try:
        with tempfile.TemporaryDirectory(prefix=".acuse-backup-", dir=target.parent) as folder:
            database = Path(folder) / _DATABASE
            # the database first: a file is there before its row, so whatever a row in the dump names is still to come
            _run(bin / "pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={database}")
            draft = Path(folder) / "backup"
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
                manifest = _fill(output, database, files, version, made_at)
                output.flush()
                os.fsync(output.fileno())
            draft.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise BackupFault(f"The backup could not be written to {target}: {error.strerror or error}.") from error
    return manifest


def restore(source: Path, url: str, bin: Path, files: Path, *, force: bool = False) -> Manifest:
    """Put a backup back: all of the database in one transaction. Run the migrations afterwards.

    Refuses a database that holds something unless `force`, which replaces it. Files that are there stay.
    """
    manifest = verify(source)
    if not force and (table := _occupied(url)):
        raise BackupFault(f"The database is not empty (there are {table}): give --force to replace all that it holds.")
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=files) as folder, tarfile.open(source, "r:") as tar:
        for name in manifest.members:
            content = tar.extractfile(name)
            assert content is not None, "verify() has read it"
            _extract(content, Path(folder) / Path(name).name)
        database = Path(folder) / _DATABASE
        script = Path(folder) / "database.sql"
        wanted = _contents(bin, database, Path(folder) / "contents", vectors=_may_hold_vectors(url))
        options = ("--no-owner", "--no-privileges", f"--use-list={wanted}", f"--file={script}")
        _run(bin / "pg_restore", None, *options, str(database))
        for name in manifest.members:
            if name != _DATABASE:
                sha256 = Path(name).name
                (files / sha256[:2]).mkdir(mode=0o700, exist_ok=True)
                (Path(folder) / sha256).replace(files / sha256[:2] / sha256)
                sync_folder(files / sha256[:2])
        empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        options = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
        _run(bin / "psql", url, *options, f"--command={empty}", f"--file={script}")
    return manifest


def verify(source: Path) -> Manifest:
    """Read a backup to its end and compare everything with its manifest. Raises BackupFault; changes nothing."""
    found: dict[str, tuple[int, str]] = {}
    text = b""
    try:
        with tarfile.open(source, "r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or not (member.name == _MANIFEST or _MEMBER.fullmatch(member.name)):
                    raise BackupFault(f"{source} holds something that Acuse never wrote ({member.name!r}): not used.")
                if member.name == _MANIFEST:
                    text = content.read()
                else:
                    found[member.name] = _digest(content)
        manifest = _read(text)
    except OSError as error:
        raise BackupFault(f"{source} cannot be read: {error.strerror or error}.") from error
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as error:
        raise BackupFault(
            f"{source} is not a whole backup of Acuse (damaged or cut off): take another copy."
        ) from error
    if found != manifest.members or _DATABASE not in found:
        raise BackupFault(f"{source} does not hold what its manifest says (damaged): take another copy.")
    return manifest


def _read(text: bytes) -> Manifest:
    whole = json.loads(text)
    if whole["format"] != FORMAT:
        raise BackupFault(f"The backup has format {whole['format']}: restore it with Acuse {whole['version']}.")
    members = {name: (member["size"], member["sha256"]) for name, member in whole["members"].items()}
    return Manifest(whole["version"], datetime.fromisoformat(whole["made_at"]), members)


def _fill(output: IO[bytes], database: Path, files: Path, version: str, made_at: datetime) -> Manifest:
    members: dict[str, tuple[int, str]] = {}
    stored = sorted(path for path in files.glob("??/*") if _MEMBER.fullmatch(f"files/{path.name}"))
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, name in [(database, _DATABASE), *((path, f"files/{path.name}") for path in stored)]:
            try:
                with path.open("rb") as content:
                    members[name] = _digest(content)
                    content.seek(0)
                    tar.addfile(_entry(name, members[name][0], made_at), content)
            except FileNotFoundError:
                continue  # an orphan that was swept in this moment: no row of the dump speaks of it
            if name != _DATABASE and members[name][1] != path.name:
                raise BackupFault(f"{path} is damaged (it does not fit its name): bring it back from an older backup.")
        manifest = Manifest(version, made_at, members)
        text = manifest.to_json()
        tar.addfile(_entry(_MANIFEST, len(text), made_at), BytesIO(text))
    return manifest


def _entry(name: str, size: int, made_at: datetime) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(made_at.timestamp())
    return entry


def _digest(content: IO[bytes]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    while block := content.read(_BLOCK):
        size += len(block)
        digest.update(block)
    return size, digest.hexdigest()


def _extract(content: IO[bytes], target: Path) -> None:
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while block := content.read(_BLOCK):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _occupied(url: str) -> str | None:
    """The name of a table with rows in it; what migrations and the job engine write does not count."""
    listing = (
        "SELECT tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        " AND tablename <> 'alembic_version' AND tablename NOT LIKE 'procrastinate%' ORDER BY tablename"
    )
    with psycopg.connect(url) as connection:
        for (table,) in connection.execute(listing).fetchall():
            question = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(table))
            if connection.execute(question).fetchone() == (True,):
                return str(table)
    return None


def _may_hold_vectors(url: str) -> bool:
    """Whether pgvector can be made anew here; it goes with the schema that is emptied."""
    with psycopg.connect(url) as connection:
        try:
            connection.execute(f"SET lock_timeout = '{LOCK_SECONDS:.0f}s'")
            connection.execute("DROP EXTENSION IF EXISTS vector CASCADE")
            connection.execute("CREATE EXTENSION vector")
        except psycopg.Error:
            return False
        finally:
            connection.rollback()
    return True


def _contents(bin: Path, database: Path, target: Path, *, vectors: bool) -> Path:
    """What of a dump is put back. Without pgvector all but its table: cases are worth more than their likeness."""
    _run(bin / "pg_restore", None, "--list", f"--file={target}", str(database))
    if not vectors:
        lines = target.read_text(encoding="utf-8").splitlines(keepends=True)
        target.write_text("".join(one for one in lines if not _OF_VECTORS.search(one)), encoding="utf-8")
    return target


def _run(program: Path, url: str | None, *arguments: str) -> None:
    """Run one of PostgreSQL's programs. The password goes by the environment: every user sees the arguments."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    command = [str(program), *arguments]
    if url is not None:
        place = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        environment["PGPASSWORD"] = place.pop("password", "")
        environment["PGOPTIONS"] = f"-c lock_timeout={LOCK_SECONDS * 1000:.0f} -c client_min_messages=warning"
        command.append(f"--dbname={make_conninfo(**place)}")
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs, no shell
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return
    if "lock timeout" in done.stderr:
        raise BackupFault("The database is in use: stop Acuse first, then restore.")
    complaints = [line for line in done.stderr.splitlines() if re.search("(error|fatal): ", line, re.IGNORECASE)]
    said = (complaints or done.stderr.splitlines() or [f"exit code {done.returncode}"])[0]
    raise BackupFault(f"{program.name} failed, and the database is as it was: {said[:300]}")
