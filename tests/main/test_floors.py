"""The house's floors: who may import whom stands in pyproject.toml, and is held here in every test run."""

import subprocess
import sys
from pathlib import Path

from tests.main.house import ROOT


def test_every_import_goes_down_and_each_library_lives_in_one_place() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " 0 broken" in done.stdout
