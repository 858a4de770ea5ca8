"""Attachments and raw mails on the disk, each under the hash of its content: ACUSE_DATA/files/ab/abcdef…

A file is written, fsynced and renamed before any row speaks of it. What nobody speaks of is an orphan, and swept.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

from storage.sniffing import PROGRAMS, safe_name, sniff

__all__ = ["Files", "Refused", "Stored", "TooLarge", "safe_name"]

_BLOCK = 1 << 20  # bytes handed to a thread at once
_BATCH = 500  # files that are looked up at once
_HEAD = 8192  # bytes that tell what a file is
_HASH = re.compile(r"[0-9a-f]{64}")


class TooLarge(Exception):
    """The file is larger than what is kept. The text says the limit."""


class Refused(Exception):
    """The file is of a kind that is not kept: a program, or something that the scanner knows. The text says what."""


@dataclass(frozen=True)
class Stored:
    """A file that is safely on the disk. `type` comes from its content, never from its sender; size in bytes."""

    sha256: str
    size: int
    type: str


class Files:
    """The store. `scan` looks at a complete file before it is kept, in a thread, and names what is wrong with it."""

    def __init__(self, root: Path, *, limit_bytes: int, scan: Callable[[Path], str | None] | None = None) -> None:
        self._root = root
        self._limit = limit_bytes
        self._scan = scan

    async def put(self, content: AsyncIterator[bytes] | bytes, *, raw: bool = False) -> Stored:
        """Keep it. Raises TooLarge or Refused, unless `raw`: a mail as it came is evidence and is always kept."""
        draft = _Draft(self._root / "incoming", None if raw else self._limit)
        try:
            await asyncio.to_thread(draft.open)
            async for block in _blocks(content):
                await asyncio.to_thread(draft.write, block)
            return await asyncio.to_thread(self._finish, draft, raw)
        finally:
            await asyncio.to_thread(draft.discard)

    def path(self, sha256: str) -> Path:
        """Where the file with that hash is. Anything but a hash is refused: it could lead elsewhere."""
        if not _HASH.fullmatch(sha256):
            raise ValueError(f"not a SHA-256: {sha256[:80]!r}")
        return self._root / sha256[:2] / sha256

    async def sweep(self, known: Callable[[Sequence[str]], Awaitable[Collection[str]]], older_than: datetime) -> int:
        """Remove files that no row speaks of and that were last put before that moment; gives how many.

        `known` is asked batch by batch which of some hashes a row speaks of.
        """
        before, removed = older_than.timestamp(), 0
        found = self._older(before)
        while batch := await asyncio.to_thread(lambda: list(islice(found, _BATCH))):
            kept = await known([path.name for path in batch])
            orphans = [path for path in batch if path.name not in kept]
            removed += await asyncio.to_thread(self._remove, orphans, before)
        return removed

    def _finish(self, draft: "_Draft", raw: bool) -> Stored:
        draft.sync()
        stored = Stored(draft.sha256, draft.size, sniff(draft.head))
        if not raw:
            if stored.type in PROGRAMS:
                raise Refused(f"programs are not taken ({stored.type})")
            finding = self._scan(draft.path) if self._scan else None
            if finding:
                raise Refused(finding)
        target = self.path(stored.sha256)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with _locked(self._root, fcntl.LOCK_SH):
            draft.path.replace(target)  # also over an equal one: its age starts anew, so no sweep takes it from us
        for folder in (target.parent, self._root):
            sync_folder(folder)
        return stored

    def _older(self, before: float) -> Iterator[Path]:
        for path in self._root.glob("*/*"):
            with suppress(FileNotFoundError):  # a draft may be finished meanwhile
                if path.stat().st_mtime < before:
                    yield path

    def _remove(self, orphans: Sequence[Path], before: float) -> int:
        removed = 0
        for path in orphans:
            # between the look and the removal nobody may put it again, which makes it young
            with _locked(self._root, fcntl.LOCK_EX), suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
        return removed


class _Draft:
    """A file on its way in."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        self.path = folder / secrets.token_hex(16)
        self.size = 0
        self.head = b""
        self._limit = limit
        self._hash = hashlib.sha256()
        self._file: IO[bytes] | None = None

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def open(self) -> None:
        for folder in (self.path.parent.parent, self.path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def write(self, block: bytes) -> None:
        self.size += len(block)
        if self._limit is not None and self.size > self._limit:
            raise TooLarge(f"larger than {self._limit / 1e6:.3g} MB")
        assert self._file
        self._file.write(block)
        self._hash.update(block)
        self.head += block[: _HEAD - len(self.head)]

    def sync(self) -> None:
        assert self._file
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Whatever happened, nothing stays behind; after the rename there is nothing to remove."""
        if self._file:
            self._file.close()
        self.path.unlink(missing_ok=True)


async def _blocks(content: AsyncIterator[bytes] | bytes) -> AsyncIterator[bytes]:
    """The content in blocks worth a thread's while."""
    if isinstance(content, bytes):
        for begin in range(0, len(content), _BLOCK):
            yield content[begin : begin + _BLOCK]
        return
    waiting = bytearray()
    async for chunk in content:
        waiting += chunk
        if len(waiting) >= _BLOCK:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


@contextmanager
def _locked(root: Path, kind: int) -> Iterator[None]:
    """Several processes may share the folder."""
    lock = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, kind)
        yield
    finally:
        os.close(lock)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename alone survives a crash of ours, not of the machine."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
