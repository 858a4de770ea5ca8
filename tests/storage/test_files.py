"""A0-8: evidence is untrusted. It is capped, named by its content, typed by its content, and never half there."""

import asyncio
import hashlib
import os
import stat
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.files import Files, Refused, TooLarge, safe_name
from storage.sniffing import sniff

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
LONG_AGO = timedelta(hours=2)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files", limit_bytes=3_000_000)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def all_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name != ".lock")


def zipped(name: str) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


async def test_a_file_is_found_by_the_hash_of_its_content(files: Files) -> None:
    content = PNG + os.urandom(2_500_000)
    stored = await files.put(pieces(content[:10], content[10:1_500_000], content[1_500_000:]))
    assert (stored.sha256, stored.size, stored.type) == (hashlib.sha256(content).hexdigest(), len(content), "image/png")
    assert files.path(stored.sha256).read_bytes() == content
    assert stat.S_IMODE(files.path(stored.sha256).stat().st_mode) == 0o600
    assert stat.S_IMODE(files.path(stored.sha256).parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(files.path(stored.sha256).parents[1].stat().st_mode) == 0o700


async def test_the_same_content_is_kept_once(files: Files, tmp_path: Path) -> None:
    first, second = await asyncio.gather(files.put(PNG), files.put(pieces(PNG[:9], PNG[9:])))
    assert first == second
    assert all_files(tmp_path / "files") == [files.path(first.sha256)]


async def test_too_large_is_noticed_while_streaming_and_leaves_nothing(files: Files, tmp_path: Path) -> None:
    given_out = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given_out
        while True:
            given_out += 1
            yield bytes(100_000)

    with pytest.raises(TooLarge, match="3 MB"):
        await files.put(endless())
    assert given_out < 50
    assert all_files(tmp_path / "files") == []


async def test_a_connection_that_breaks_off_leaves_nothing(files: Files, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(1_200_000)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await files.put(broken())
    assert all_files(tmp_path / "files") == []


async def test_a_raw_mail_is_kept_whatever_its_size(files: Files) -> None:
    mail = b"From: a@example.org\r\n\r\n" + b"x" * 3_500_000
    assert (await files.put(mail, raw=True)).size == len(mail)
    with pytest.raises(TooLarge):
        await files.put(mail)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(20), "image/jpeg"),
        (b"%PDF-1.7\n1 0 obj", "application/pdf"),
        ("Pedí una nevera y llegó rota".encode(), "text/plain"),
        ("Pedí".encode()[:-1], "text/plain"),  # cut within a letter
        ("reclamo ñ".encode("utf-16"), "text/plain"),
        (b"BM is how this text begins", "text/plain"),
        (b"\xef\xbb\xbf  <!DOCTYPE html><p>x", "text/html"),
        (b"<!-- a picture, really --><script>alert(1)</script>", "text/html"),
        ("<html><script>".encode("utf-16"), "text/html"),
        (b'<?xml version="1.0"?><!-- x --><svg xmlns="x" onload="alert(1)">', "image/svg+xml"),
        (b'<?xml version="1.0"?><invoice/>', "application/xml"),
        (bytes(range(256)), "application/octet-stream"),
        (b"", "application/octet-stream"),
        (zipped("foto.jpg"), "application/zip"),
    ],
)
def test_the_type_comes_from_the_content(head: bytes, kind: str) -> None:
    assert sniff(head) == kind


@pytest.mark.parametrize(
    "program",
    [
        b"MZ\x90\x00" + bytes(60),
        b"\x7fELF\x02\x01\x01" + bytes(60),
        b"\xcf\xfa\xed\xfe" + bytes(60),
        b"\xca\xfe\xba\xbe" + bytes(60),
        b"L\x00\x00\x00\x01\x14\x02\x00" + bytes(60),
        b"#!/bin/sh\nrm -rf ~\n",
        zipped("AndroidManifest.xml"),
        zipped("META-INF/MANIFEST.MF"),
    ],
)
async def test_a_program_that_calls_itself_a_picture_is_refused(files: Files, tmp_path: Path, program: bytes) -> None:
    with pytest.raises(Refused, match="programs are not taken"):
        await files.put(program)
    assert all_files(tmp_path / "files") == []


async def test_what_the_scanner_knows_is_refused(tmp_path: Path) -> None:
    def scan(path: Path) -> str | None:
        return "EICAR test signature" if b"EICAR" in path.read_bytes() else None

    files = Files(tmp_path / "files", limit_bytes=1000, scan=scan)
    with pytest.raises(Refused, match="EICAR test signature"):
        await files.put(b"X5O!P%@AP-EICAR-STANDARD")
    assert (await files.put(b"harmless")).size == 8


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "a" * 65, ""])
def test_only_a_hash_leads_to_a_file(files: Files, name: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        files.path(name)


async def test_a_sweep_takes_old_orphans_only(files: Files, tmp_path: Path) -> None:
    orphan, known, young, again = [await files.put(text) for text in (b"orphan", b"known", b"young", b"again")]
    draft = tmp_path / "files" / "incoming" / "0123"  # a process was killed while this one came in
    draft.write_bytes(b"half")
    past = (datetime.now(UTC) - LONG_AGO).timestamp()
    for path in (files.path(orphan.sha256), files.path(known.sha256), files.path(again.sha256), draft):
        os.utime(path, (past, past))
    await files.put(b"again")  # it comes once more, and its row is not written yet
    asked: list[str] = []

    async def spoken_of(hashes: Sequence[str]) -> set[str]:
        asked.extend(hashes)
        return {known.sha256} & set(hashes)

    assert await files.sweep(spoken_of, older_than=datetime.now(UTC) - timedelta(hours=1)) == 2
    assert young.sha256 not in asked
    assert all_files(tmp_path / "files") == sorted(files.path(one.sha256) for one in (known, young, again))


async def test_a_sweep_asks_in_batches(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.files._BATCH", 2)
    for number in range(5):
        os.utime(files.path((await files.put(bytes([number]))).sha256), (0, 0))
    batches: list[int] = []

    async def spoken_of(hashes: Sequence[str]) -> set[str]:
        batches.append(len(hashes))
        return set()

    assert await files.sweep(spoken_of, older_than=datetime.now(UTC) - timedelta(hours=1)) == 5
    assert (batches, all_files(tmp_path / "files")) == ([2, 2, 1], [])


async def test_what_is_put_again_while_a_sweep_asks_stays(files: Files, tmp_path: Path) -> None:
    """Its row is not written yet, but the file is young again."""
    stored = await files.put(b"again")
    os.utime(files.path(stored.sha256), (0, 0))

    async def spoken_of(hashes: Sequence[str]) -> set[str]:
        await files.put(b"again")
        return set()

    assert await files.sweep(spoken_of, older_than=datetime.now(UTC) - timedelta(hours=1)) == 0
    assert all_files(tmp_path / "files") == [files.path(stored.sha256)]


async def test_a_big_file_does_not_stop_the_loop(tmp_path: Path) -> None:
    scanned_in: list[threading.Thread] = []
    turns, seen, running = 0, [], True

    async def turn() -> None:
        nonlocal turns
        while running:
            turns += 1
            await asyncio.sleep(0)

    async def big() -> AsyncIterator[bytes]:
        for _ in range(10):
            seen.append(turns)
            yield bytes(1 << 20)

    def scan(path: Path) -> None:
        scanned_in.append(threading.current_thread())

    turning = asyncio.create_task(turn())
    await Files(tmp_path / "files", limit_bytes=100_000_000, scan=scan).put(big())
    running = False
    await turning
    assert len(set(seen)) == 10, "the loop turned while each block was hashed and written"
    assert scanned_in != [threading.main_thread()]


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("factura.pdf", "factura.pdf"),
        ("Reclamación de Íñigo (2).PDF", "Reclamación de Íñigo (2).PDF"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ana\\foto.jpg", "foto.jpg"),
        ("..", "archivo"),
        ("", "archivo"),
        (".htaccess", "htaccess"),
        ("con.txt", "_con.txt"),
        ("NUL", "_NUL"),
        ("foto\u202egpj.exe", "foto gpj.exe"),
        ('a"b\r\nSet-Cookie: x=1.png', "a_b Set-Cookie_ x=1.png"),
        ("foto.jpg\x00.exe", "foto.jpg.exe"),
        ("final. . .", "final"),
    ],
)
def test_hostile_names_become_harmless(given_name: str, safe: str) -> None:
    assert safe_name(given_name) == safe


def test_a_long_name_keeps_its_ending() -> None:
    name = safe_name("ñ" * 500 + ".jpeg")
    assert name.endswith("ñ.jpeg")
    assert len(name.encode()) <= 180


@given(st.text(max_size=300) | st.from_regex(r"\A[./\\ A-Za-z:\u202e\x00]{0,40}\Z"))
def test_any_name_is_safe_and_stays_so(name: str) -> None:
    safe = safe_name(name)
    assert safe_name(safe) == safe
    assert 0 < len(safe.encode()) <= 200
    assert not set(safe) & set('/\\<>:"|?*\x00\r\n\u202e')
    assert not safe.startswith(".")
    assert not safe.endswith((".", " "))
