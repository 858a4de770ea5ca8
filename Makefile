# Two commands: `make run` serves, `make test` tests. Nothing but Python 3.11 or newer (with venv) and make is needed.
SHELL := /bin/sh
PYTHON ?= python3
PY := .venv/bin/python
WORKERS ?= 2

# An environment that was made at another place (a moved clone), half made, or for a Python that is gone since: made anew.
SOUND := $(shell [ ! -e .venv ] || { [ "$$(cat .venv/place 2>/dev/null)" = "$$(pwd -P)" ] && .venv/bin/python -c 'import pip' 2>/dev/null; } || rm -f .venv/run .venv/dev .venv/bin/python)

.PHONY: run install test check soak bench demo clean

run: .venv/run
	@exec $(PY) -m main run

# Everything without any account: simulated providers, a fortnight of traffic, a page to write as the customer.
demo: .venv/run
	@exec $(PY) -m demo

install: .venv/dev

test: .venv/dev
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not soak" $(ARGS)

soak: .venv/dev
	@$(PY) -m pytest -n 0 -m soak --timeout 1800 $(ARGS)

check: .venv/dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy .
	.venv/bin/lint-imports
	@$(MAKE) --no-print-directory test

bench: .venv/dev
	@$(PY) -m tests.bench $(ARGS)

# The environment is made anew where the list of packages changed.
.venv/run: pyproject.toml | .venv/bin/python
	@echo "Installing what Acuse needs (once, some minutes) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check -e . || { echo "The packages could not be installed: is the package index reachable? Then run make again." >&2; exit 2; }
	@touch .venv/run

.venv/dev: pyproject.toml | .venv/bin/python
	@echo "Installing what Acuse and its tests need (once, some minutes) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check -e ".[dev]" || { echo "The packages could not be installed: is the package index reachable? Then run make again." >&2; exit 2; }
	@touch .venv/run .venv/dev

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing. Install Python 3.11 or newer (Debian: apt install python3 python3-venv), then run make again." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Acuse needs Python 3.11 or newer; choose one with: make run PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing. Install it (Debian: apt install python3-venv), then run make again." >&2; exit 2; }
	@$(PYTHON) -m venv --clear .venv && pwd -P > .venv/place

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build
