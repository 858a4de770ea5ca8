"""A backup is worth what its restore is worth: here everything is destroyed and comes back."""

import json
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from storage.backup import BackupFault, Manifest, dump, restore, verify
from storage.embedded import Embedded
from storage.files import Files
from storage.migrate import upgrade

TEXT = "Reclamación n.º 1: llegó rota ☹"


@pytest.fixture(scope="module")
def bin() -> Path:
    return Embedded(Path("unused"), log=None).bin  # type: ignore[arg-type]  # it is never started


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def empty_url(server: str) -> Iterator[str]:
    """A database with nothing in it, not even tables."""
    name = f"empty_{os.urandom(6).hex()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        yield server.replace("/acuse?", f"/{name}?")
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def made(
    database_url: str, bin: Path, root: Path, tmp_path: Path, clock: Callable[[], datetime]
) -> Callable[[], Manifest]:
    def make() -> Manifest:
        return dump(database_url, bin, root, tmp_path / "acuse.backup", version="1.2.3", now=clock)

    return make


def fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept_words (text text NOT NULL, at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO kept_words (text) VALUES (%s)", [TEXT])


def words(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM kept_words")]


async def test_everything_is_destroyed_and_comes_back(
    database_url: str, empty_url: str, bin: Path, root: Path, tmp_path: Path, made: Callable[[], Manifest]
) -> None:
    fill(database_url)
    photo, mail = os.urandom(3_000_000), b"From: ana@example.org\r\n\r\nhola"
    stored = [await Files(root, limit_bytes=10_000_000).put(content) for content in (photo, mail)]
    manifest = made()
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
    shutil.rmtree(root)

    source = tmp_path / "acuse.backup"
    assert restore(source, empty_url, bin, root) == manifest
    assert words(empty_url) == [TEXT]
    assert [Files(root, limit_bytes=1).path(one.sha256).read_bytes() for one in stored] == [photo, mail]
    assert sorted(path.name for path in root.glob("*")) == sorted({one.sha256[:2] for one in stored})
    upgrade(empty_url)  # the migrations know where it stands


async def test_a_restored_database_can_be_backed_up_and_restored_again(
    database_url: str, empty_url: str, bin: Path, root: Path, tmp_path: Path, made: Callable[[], Manifest],
    clock: Callable[[], datetime],
) -> None:  # fmt: skip
    fill(database_url)
    made()
    restore(tmp_path / "acuse.backup", empty_url, bin, root)
    dump(empty_url, bin, root, tmp_path / "second", version="1.2.3", now=clock)
    restore(tmp_path / "second", empty_url, bin, root, force=True)
    assert words(empty_url) == [TEXT]


async def test_the_file_is_private_whole_and_says_what_it_is(
    root: Path, tmp_path: Path, made: Callable[[], Manifest], clock: Callable[[], datetime]
) -> None:
    stored = await Files(root, limit_bytes=1000).put(b"evidence")
    target = tmp_path / "acuse.backup"
    target.write_text("an older one")
    manifest = made()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acuse.backup", "files"]
    assert verify(target) == manifest
    assert (manifest.version, manifest.made_at) == ("1.2.3", clock())
    assert manifest.members[f"files/{stored.sha256}"] == (8, stored.sha256)


def test_a_database_that_holds_something_is_not_overwritten_unasked(
    database_url: str, bin: Path, root: Path, tmp_path: Path, made: Callable[[], Manifest]
) -> None:
    made()  # the tables are empty: that one may be restored over
    restore(tmp_path / "acuse.backup", database_url, bin, root)
    fill(database_url)
    with pytest.raises(BackupFault, match=r"not empty.*kept_words.*--force"):
        restore(tmp_path / "acuse.backup", database_url, bin, root)
    assert words(database_url) == [TEXT]
    restore(tmp_path / "acuse.backup", database_url, bin, root, force=True)
    with pytest.raises(psycopg.errors.UndefinedTable):
        words(database_url)


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.9, 0.99])
async def test_a_truncated_backup_is_refused_and_touches_nothing(
    database_url: str, bin: Path, root: Path, tmp_path: Path, made: Callable[[], Manifest], part: float
) -> None:
    await Files(root, limit_bytes=1_000_000).put(os.urandom(300_000))
    made()
    fill(database_url)
    shutil.rmtree(root)
    whole = (tmp_path / "acuse.backup").read_bytes()
    end = whole.rindex(b"}")  # what follows is the tar's padding
    cut = tmp_path / "cut"
    cut.write_bytes(whole[: int(end * part)])
    with pytest.raises(BackupFault, match="damaged or cut off") as fault:
        restore(cut, database_url, bin, root, force=True)
    assert "\n" not in str(fault.value)
    assert words(database_url) == [TEXT]
    assert not root.exists()


@pytest.mark.parametrize("where", [0.2, 0.6, 0.95])
async def test_a_damaged_backup_is_refused(
    root: Path, tmp_path: Path, made: Callable[[], Manifest], where: float
) -> None:
    await Files(root, limit_bytes=1_000_000).put(os.urandom(300_000))
    made()
    content = bytearray((tmp_path / "acuse.backup").read_bytes())
    content[int(content.rindex(b"}") * where)] ^= 0xFF
    (tmp_path / "acuse.backup").write_bytes(content)
    with pytest.raises(BackupFault):
        verify(tmp_path / "acuse.backup")


@pytest.mark.parametrize("name", ["../escape", "/etc/cron.d/x", "files/../../x", "files/" + "a" * 63])
def test_a_foreign_name_in_a_backup_is_refused(tmp_path: Path, name: str) -> None:
    manifest = json.dumps({"format": 1, "version": "1", "made_at": "2026-01-01T00:00:00+00:00", "members": {}}).encode()
    with tarfile.open(tmp_path / "forged", "w") as tar:
        for member, content in ((name, b"x"), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, BytesIO(content))
    with pytest.raises(BackupFault, match="never wrote"):
        verify(tmp_path / "forged")


async def test_a_damaged_attachment_is_noticed_when_the_backup_is_made(
    root: Path, tmp_path: Path, made: Callable[[], Manifest]
) -> None:
    files = Files(root, limit_bytes=1000)
    stored = await files.put(b"evidence")
    files.path(stored.sha256).write_bytes(b"evidencf")
    with pytest.raises(BackupFault, match="does not fit its name"):
        made()
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_a_database_in_use_is_said_so_and_left_as_it_was(
    database_url: str,
    bin: Path,
    root: Path,
    tmp_path: Path,
    made: Callable[[], Manifest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(database_url)
    made()
    monkeypatch.setattr("storage.backup.LOCK_SECONDS", 0.2)
    with psycopg.connect(database_url) as busy:
        busy.execute("SELECT * FROM kept_words")
        with pytest.raises(BackupFault, match="stop Acuse first"):
            restore(tmp_path / "acuse.backup", database_url, bin, root, force=True)
    assert words(database_url) == [TEXT]


def test_a_restore_that_fails_halfway_changes_nothing(
    database_url: str, bin: Path, root: Path, tmp_path: Path, made: Callable[[], Manifest]
) -> None:
    fill(database_url)
    role = f"gone_{os.urandom(6).hex()}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role}".encode())
        connection.execute(f"CREATE POLICY last ON kept_words TO {role}".encode())
        made()
        connection.execute("DROP POLICY last ON kept_words")
        connection.execute(f"DROP ROLE {role}".encode())  # the dump's last sentence cannot be carried out any more
        connection.execute("INSERT INTO kept_words (text) VALUES ('since then')")
    with pytest.raises(BackupFault, match=f"psql failed, and the database is as it was: .*{role}"):
        restore(tmp_path / "acuse.backup", database_url, bin, root, force=True)
    assert words(database_url) == [TEXT, "since then"]


def test_a_database_that_is_away_is_one_sentence(
    bin: Path, root: Path, tmp_path: Path, clock: Callable[[], datetime]
) -> None:
    with pytest.raises(BackupFault, match=r"pg_dump failed.*connection to server") as fault:
        dump(f"postgresql://acuse:secret@/acuse?host={tmp_path}", bin, root, tmp_path / "b", version="1", now=clock)
    assert "\n" not in str(fault.value)
    assert "secret" not in str(fault.value)
    assert list(tmp_path.iterdir()) == []
