"""The Makefile's own work: which environment, when it is made anew, and what it says when it cannot be."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.main.house import ROOT

# A Python that makes environments in no time: what they are asked to do is written into `log`.
STUB = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in
  *"import venv"*) exit {venv} ;;
  *"version_info"*) exit {old} ;;
  "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  *"pip install"*) exit {pip} ;;
esac
"""


class Clone:
    """A folder with our Makefile and a stand-in for Python."""

    def __init__(self, folder: Path, log: Path, *, venv: int = 0, old: int = 0, pip: int = 0) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._log = log
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        self.python = folder.parent / "python-stub"
        self.python.write_text(STUB.format(log=log, venv=venv, old=old, pip=pip))
        self.python.chmod(0o755)

    def make(self, target: str, python: str | None = None) -> tuple[int, str, list[str]]:
        """Exit code, what was said, and what Python was asked for."""
        self._log.write_text("")
        done = subprocess.run(
            ["make", target, f"PYTHON={python or '../python-stub'}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
        )
        return done.returncode, done.stdout + done.stderr, self._log.read_text().splitlines()


@pytest.fixture
def a_clone(tmp_path: Path) -> Callable[..., Clone]:
    """Make one in a folder below the test's, of any name."""

    def make(name: str = "acuse", **given: int) -> Clone:
        return Clone(tmp_path / name, tmp_path / "log", **given)

    return make


RUN = "-m pip install --quiet --disable-pip-version-check -e ."


@pytest.mark.parametrize("name", ["acuse", "a folder with blanks", "x" * 120])
def test_the_first_run_makes_the_environment_and_later_ones_only_start(
    a_clone: Callable[..., Clone], name: str
) -> None:
    clone = a_clone(name)
    code, _, asked = clone.make("run")
    assert code == 0
    assert asked.index("-m venv --clear .venv") < asked.index(RUN) < asked.index("-m main run")
    code, said, asked = clone.make("run")
    assert (code, said) == (0, "")
    assert asked[-1] == "-m main run"
    assert not any("venv" in one or "pip install" in one for one in asked)


def test_install_makes_what_tests_and_checks_need_and_nothing_else(a_clone: Callable[..., Clone]) -> None:
    _, _, asked = a_clone().make("install")
    assert asked[-1] == f"{RUN[:-1]}.[dev]"


def test_an_update_installs_what_is_new(a_clone: Callable[..., Clone]) -> None:
    clone = a_clone()
    clone.make("run")
    stamp = (clone.folder / ".venv" / "run").stat().st_mtime
    os.utime(clone.folder / "pyproject.toml", (stamp + 5, stamp + 5))
    _, _, asked = clone.make("run")
    assert RUN in asked


def test_a_moved_clone_gets_a_new_environment(a_clone: Callable[..., Clone]) -> None:
    clone = a_clone()
    clone.make("run")
    clone.folder = clone.folder.rename(clone.folder.parent / "moved to here")
    code, _, asked = clone.make("run")
    assert code == 0
    assert "-m venv --clear .venv" in asked
    assert asked[-2:] == [RUN, "-m main run"]


def test_a_half_made_environment_is_made_anew(a_clone: Callable[..., Clone]) -> None:
    clone = a_clone()
    clone.make("run")
    python = clone.folder / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 1\n")  # no pip in it
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    code, _, asked = clone.make("run")
    assert (code, asked[-1]) == (0, "-m main run")


@pytest.mark.parametrize(
    ("broken", "remedy"),
    [
        ({"venv": 1}, "Python's venv module is missing. Install it (Debian: apt install python3-venv)"),
        ({"old": 1}, "Acuse needs Python 3.11 or newer"),
        ({"pip": 1}, "The packages could not be installed: is the package index reachable?"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    a_clone: Callable[..., Clone], broken: dict[str, int], remedy: str
) -> None:
    clone = a_clone(**broken)
    code, said, _ = clone.make("run")
    assert (code, remedy in said) == (2, True)
    assert not (clone.folder / ".venv" / "run").exists()


def test_no_python_at_all(a_clone: Callable[..., Clone]) -> None:
    code, said, _ = a_clone().make("run", python="no-such-python")
    assert (code, "Python is missing. Install Python 3.11 or newer" in said) == (2, True)
