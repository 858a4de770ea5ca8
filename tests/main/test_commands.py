"""Every command does what its name says, beside a running Acuse where that makes sense."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from main import app
from storage.embedded import Embedded
from tests.main.house import CONFIG, ROOT, House, Visitor, free_port, logged_in, until

REPORT = "Llegó rota la licuadora del pedido 48213"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082"
)


TABLES = ("people", "conversations", "messages", "attachments", "cases", "case_events", "outgoing", "agents")


@pytest.fixture
def acuse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process, on the house given first."""

    def run(house: House, *arguments: str, typed: str = "") -> Result:
        for name in ("ACUSE_DATA", "ACUSE_CONFIG", "PORT"):
            monkeypatch.setenv(name, house.env[name])
        return CliRunner().invoke(app, list(arguments), input=typed)

    return run


@pytest.fixture
def house(a_house: Callable[..., House]) -> Iterator[House]:
    """One that serves, with a mailbox whose servers are away."""
    dead = f"{{host: 127.0.0.1, port: {free_port()}, security: none}}"
    mail = f"email: {{address: hola@nube.example, username: u, password: p, imap: {dead}, smtp: {dead}}}"
    made = a_house(config=CONFIG.replace("webchat: {}", f"webchat: {{}}, {mail}"))
    made.serve()
    yield made


def kept(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything that customers and agents left in the database."""
    found = {}
    with psycopg.connect(url) as connection:
        for table in (
            "people",
            "conversations",
            "messages",
            "attachments",
            "cases",
            "case_events",
            "outgoing",
            "agents",
        ):
            found[table] = connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
    return found


def test_beside_a_running_acuse_and_back_from_ruin(
    house: House, acuse: Callable[..., Result], place: Path, a_house: Callable[..., House]
) -> None:
    # somebody works here
    made = acuse(house, "user", "add", "lucia", "--name", "Lucía", "--role", "manager", "--password", "una clave larga")
    assert (made.exit_code, made.output) == (0, "lucia can log in.\n")
    again = acuse(house, "user", "add", "lucia", "--name", "L", "--password", "una clave larga")
    assert (again.exit_code, again.output) == (2, "lucia exists already; use `acuse user password lucia`\n")
    logged_in(house, "lucia", "una clave larga")
    typed = acuse(house, "user", "password", "lucia", typed="otra clave larga\notra clave larga\n")
    assert typed.exit_code == 0
    logged_in(house, "lucia", "otra clave larga")
    weak = acuse(house, "user", "password", "lucia", "--password", "corta")
    assert (weak.exit_code, weak.output) == (2, "use at least 10 characters\n")
    for login, name in (("", "X"), ("x y", "X"), ("[bold]x", "X"), ("x", " ")):
        refused = acuse(house, "user", "add", login, "--name", name, "--password", "una clave larga")
        assert (refused.exit_code, len(refused.output.splitlines())) == (2, 1), refused.output
    nobody = acuse(house, "user", "password", "pedro", "--password", "una clave larga")
    assert nobody.exit_code == 2

    # a check tells of each channel, and that nobody would be alerted
    checked = acuse(house, "check")
    assert checked.exit_code == 1
    lines = {line.split(":")[0]: line for line in checked.output.splitlines()}
    assert "✓ webchat" in lines
    assert "nothing has come in yet" in lines["✓ webchat"]
    assert lines["✗ email"].count(";") >= 2  # what is wrong; what passed; the remedy
    assert "set company.alert_to" in lines["! alerts"]
    assert "similar cases" in checked.output
    assert acuse(house, "migrate").output == "The database is up to date.\n"

    # what agents correct is nobody's but the company's, unless it says so
    shared = acuse(house, "export", "labels", str(place / "labels.jsonl"))
    assert (shared.exit_code, "share_corrections" in shared.output) == (2, True)
    assert not (place / "labels.jsonl").exists()
    config = Path(house.env["ACUSE_CONFIG"])
    written = config.read_text(encoding="utf-8").replace("bot: {", "bot: {share_corrections: true, ")
    config.write_text(written, encoding="utf-8")
    shared = acuse(house, "export", "labels", str(place / "labels.jsonl"))
    assert (shared.exit_code, shared.output.startswith("0 corrected cases")) == (0, True), shared.output
    twice = acuse(house, "export", "labels", str(place / "labels.jsonl"))
    assert (twice.exit_code, "cannot be written" in twice.output) == (2, True)

    # a customer sends a picture, and all of it is saved while Acuse goes on
    visitor = Visitor(house)
    visitor.say(REPORT, ("foto.png", PNG))
    until(lambda: visitor.answers() >= 2, what="an answer")
    saved = place / "all.acuse"
    backup = acuse(house, "backup", str(saved))
    assert backup.exit_code == 0, backup.output
    assert (saved.stat().st_mode & 0o777, "secret" in backup.output) == (0o600, True)
    assert "the database and 1 attachment." in backup.output
    refused = acuse(house, "restore", str(saved), "--force")
    assert (refused.exit_code, "in use by another Acuse" in refused.output) == (2, True)
    url = Embedded(house.data / "postgres", log=logger()).running()
    assert url is not None
    before, files = kept(url), stored(house.data)
    assert len(before["attachments"]) == 1
    assert list(files.values()) == [PNG]
    house.close()

    # everything is gone; another machine
    ruin = a_house(data=place / "new" / "data")
    back = acuse(ruin, "restore", str(saved))
    assert (back.exit_code, back.output.splitlines()[-1]) == (0, "Restored.")
    assert stored(ruin.data) == files
    twice = acuse(ruin, "restore", str(saved))
    assert (twice.exit_code, "--force" in twice.output) == (2, True)
    embedded = Embedded(ruin.data / "postgres", log=logger())
    try:
        assert kept(embedded.start()) == before
    finally:
        embedded.stop()


def logger() -> logging.Logger:
    """Of the servers that a test starts itself."""
    return logging.getLogger("tests.commands")


def stored(data: Path) -> dict[str, bytes]:
    """The attachments, by hash."""
    return {path.name: path.read_bytes() for path in (data / "files").glob("??/*")}


def test_classify_reads_a_file_and_streams_standard_input(a_house: Callable[..., House], place: Path) -> None:
    house = a_house()
    file = place / "lines.jsonl"
    file.write_text('{"id": 1, "text": "¡Gracias, excelente atención!"}\nnot json\n', encoding="utf-8")
    fields = {"id", "language", "type", "type_confidence", "severity", "act", "human_now", "source"}
    done = subprocess.run(
        [sys.executable, "-m", "main", "classify", str(file)], cwd=ROOT, env=house.env, capture_output=True, check=True
    )
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (set(first), first["id"], first["source"]) == (fields, 1, "rules")
    assert set(second) == {"id", "error"}

    stream = subprocess.Popen(
        [sys.executable, "-m", "main", "classify"],
        cwd=ROOT,
        env=house.env | {"LANG": "C"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with stream:
        assert stream.stdin is not None
        assert stream.stdout is not None
        for number in (1, 2):  # each answer comes before the next line is written
            stream.stdin.write(json.dumps({"id": number, "text": REPORT}, ensure_ascii=False).encode() + b"\n")
            stream.stdin.flush()
            assert json.loads(stream.stdout.readline())["id"] == number
        stream.stdin.close()
        assert stream.wait(60) == 0
    assert not house.data.exists()  # it needs no database


def test_chat_in_a_pipe(a_house: Callable[..., House]) -> None:
    house = a_house()
    done = subprocess.run(
        [sys.executable, "-m", "main", "chat"],
        cwd=ROOT,
        env=house.env,
        input=f"hola\n\n{REPORT}\n".encode(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    said = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert said.count("Clara\n") >= 3  # the acknowledgement and two answers
    assert "PQR-" in said
    assert not house.data.exists()
    assert not [folder for folder in Path(os.environ.get("TMPDIR", "/tmp")).glob("acuse-chat-*") if owned(folder)]


def owned(folder: Path) -> bool:
    """Whether a chat that ended left its folder."""
    lock = folder / "postgres" / "lock"
    return lock.exists() and not Path(f"/proc/{lock.read_text().strip()}").exists()


def test_version_and_help(a_house: Callable[..., House], acuse: Callable[..., Result]) -> None:
    house = a_house()
    assert acuse(house, "version").output.strip() == "0.1.0"
    told = acuse(house, "--help").output
    for command in ("run", "check", "chat", "migrate", "backup", "restore", "classify", "user", "version"):
        assert f" {command} " in told
    wrong = house.start("run", "--role", "cook")
    assert (wrong.ended(), wrong.said) == (2, "There is no role cook: use web, worker, listener.\n")
