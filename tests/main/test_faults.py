"""What an operator can get wrong is one clear sentence with the remedy, and exit code 2."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from main import app
from tests.main.house import CONFIG, House, free_port


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, place: Path) -> Callable[..., Result]:
    """Run a command in this process, with a configuration and an environment."""

    def run(*arguments: str, config: str = CONFIG, **env: str) -> Result:
        house = House(place, config, None, **env)
        for name in ("ACUSE_DATA", "ACUSE_CONFIG", "PORT", *env):
            monkeypatch.setenv(name, house.env[name])
        return CliRunner().invoke(app, list(arguments))

    return run


def sentence(result: Result) -> str:
    """The one line that was said."""
    assert result.exit_code == 2, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, result.output
    return lines[0]


def test_a_busy_port(a_house: Callable[..., House]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = a_house(PORT=str(port)).start()
        assert run.ended() == 2
        assert run.said.strip() == (
            f"Port {port} on 127.0.0.1 cannot be used (Address already in use). Stop what uses it, or choose another:"
            f" PORT={port + 1} make run"
        )
        assert run.complained == ""


def test_all_faults_of_the_configuration_at_once_with_path_and_remedy(a_house: Callable[..., House]) -> None:
    broken = CONFIG.replace("bot_name: Clara", "bot_nam: Clara").replace("webchat: {}", "webchat: {}, pigeon: {}")
    run = a_house(config=broken + "databse: x\n").start()
    assert run.ended() == 2
    assert run.complained == ""
    assert "databse: unknown setting; did you mean `database`?" in run.said
    run = a_house(config=broken + "database: mysql://x\nconsole: {session_hours: 0}\n").start()
    assert run.ended() == 2
    for path in (
        "company.bot_nam: ",
        "company.bot_name: missing",
        "channels.pigeon: ",
        "database: ",
        "console.session_hours",
    ):
        assert path in run.said, run.said
    assert "Traceback" not in run.said + run.complained


@pytest.mark.parametrize("command", ["check", "migrate", "backup"])
def test_a_database_that_nobody_can_reach(told: Callable[..., Result], command: str, place: Path) -> None:
    url = f"postgresql://acuse:secreta@127.0.0.1:{free_port()}/acuse"
    arguments = (command, str(place / "b.acuse")) if command == "backup" else (command,)
    result = told(*arguments, config=CONFIG + "database: ${DATABASE_URL}\n", DATABASE_URL=url)
    assert result.exit_code == 2
    assert result.output.strip().splitlines()[-1].startswith("The database cannot be reached (")
    assert "Connection refused" in result.output
    assert "mend `database` in config.yaml" in result.output
    assert "secreta" not in result.output


def test_run_says_so_as_well(a_house: Callable[..., House]) -> None:
    url = f"postgresql://acuse@127.0.0.1:{free_port()}/acuse"
    run = a_house(config=CONFIG + "database: ${DATABASE_URL}\n", DATABASE_URL=url).start()
    assert run.ended() == 2
    assert run.said.startswith("The database cannot be reached (")
    assert len(run.said.splitlines()) == 1
    assert run.complained == ""


@pytest.mark.parametrize("url", ["mysql://x/y", "postgresql://h:port/d", "postgresql://h/d?nope=1", "nube"])
def test_an_address_that_is_none(told: Callable[..., Result], url: str) -> None:
    result = told("migrate", config=CONFIG + f"database: '{url}'\n")
    assert result.exit_code == 2
    assert "database: is not a PostgreSQL address; write postgresql://user@host/name" in result.output


def test_a_configuration_that_is_not_there(told: Callable[..., Result], place: Path) -> None:
    result = told("check", ACUSE_CONFIG=str(place / "none.yaml"))
    assert sentence(result) == (
        f"{place}/none.yaml cannot be read (No such file or directory): restore it, or set ACUSE_CONFIG."
    )


def test_a_configuration_that_is_a_folder_or_no_text(told: Callable[..., Result], place: Path) -> None:
    assert "cannot be read (Is a directory)" in sentence(told("check", ACUSE_CONFIG=str(place)))
    (place / "latin.yaml").write_bytes("company: {name: Señal}".encode("latin-1"))
    assert "save it anew as UTF-8" in sentence(told("check", ACUSE_CONFIG=str(place / "latin.yaml")))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("webchat: true", "channels.webchat: is not a list of settings; write `webchat: {}`"),
        ("webchat: [title]", "channels.webchat: is not a list of settings"),
        ("webchat: {kind: [webchat]}", "channels.webchat: there is no channel ['webchat']; use one of webchat,"),
        ("a chat: {kind: webchat}", "channels.a chat: is no name for an account; write it without blanks"),
        ("'': {kind: webchat}", "is no name for an account"),
    ],
)
def test_a_channel_that_is_no_section(told: Callable[..., Result], written: str, said: str) -> None:
    result = told("migrate", config=CONFIG.replace("webchat: {}", written, 1))
    assert (result.exit_code, said in result.output) == (2, True), result.output


@pytest.mark.parametrize("written", ["console: 8080", "console: [port]"])
def test_a_console_that_is_no_section(told: Callable[..., Result], written: str) -> None:
    result = told("migrate", config=CONFIG + written + "\n")
    assert (result.exit_code, "console: input should be a valid dictionary" in result.output) == (2, True)


def test_a_configuration_with_a_zero_byte(told: Callable[..., Result]) -> None:
    result = told("migrate", config=CONFIG + "\0")
    assert (result.exit_code, "save it anew as plain text" in result.output) == (2, True), result.output


def test_a_port_that_is_none(told: Callable[..., Result]) -> None:
    result = told("migrate", PORT="web")
    assert result.exit_code == 2
    assert "PORT: the environment sets console.port with it; give a number from 1 to 65535" in result.output


def test_a_port_that_is_right_is_not_blamed(told: Callable[..., Result]) -> None:
    result = told("migrate", config=CONFIG + "console: {session_hours: 0}\n")
    assert (result.exit_code, "console.session_hours" in result.output, "PORT" in result.output) == (2, True, False)


def test_a_secret_that_the_environment_does_not_have(told: Callable[..., Result]) -> None:
    result = told("check", config=CONFIG.replace("webchat: {}", "webchat: {}, telegram: {token: '${NO_SUCH_TOKEN}'}"))
    assert result.exit_code == 2
    assert "channels.telegram.token: the environment has no NO_SUCH_TOKEN; set it" in result.output


def test_a_data_folder_that_is_a_file(told: Callable[..., Result], place: Path) -> None:
    (place / "file").write_text("")
    assert "database" in sentence(told("migrate", ACUSE_DATA=str(place / "file")))


def test_a_data_folder_that_is_closed(told: Callable[..., Result], place: Path) -> None:
    (place / "closed").mkdir(mode=0o500)
    where = "/proc/acuse" if os.geteuid() == 0 else str(place / "closed" / "data")  # where not even root may write
    assert "The database in" in sentence(told("migrate", ACUSE_DATA=where))


def test_a_backup_that_has_no_place(told: Callable[..., Result], place: Path) -> None:
    assert sentence(told("backup", str(place))) == f"{place} is a folder: give the name that the file shall have in it."
    where = place / "none"
    told_so = sentence(told("backup", str(where / "b.acuse")))
    assert told_so == f"There is no folder {where}: make it, or save elsewhere."


def test_files_that_are_not_there(told: Callable[..., Result], place: Path) -> None:
    assert "none.jsonl cannot be read" in sentence(told("classify", str(place / "none.jsonl")))
