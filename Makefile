# Three commands for a bare machine with Python 3.10 to 3.13, make and git:
#
#   make demo       set up, train on a small data set for a minute, show where the results are
#   make demo-map   the same with a map sheet: edges, shapes, polygons
#   make test       set up, run the whole suite
#
# PYTHON=python3.12 picks the interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --retries 10 --timeout 60
INSTALL := $(PIP) install -c constraints.txt
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8

CODE := src tests $(wildcard *.py) $(wildcard benchmarks)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo demo-map test fast check format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.done ## the package and what it needs, in .venv
setup-dev: $(VENV)/.done-dev ## the same with the tools that check it

demo: $(VENV)/.done ## the whole path in about two minutes, on made-up data
	$(BIN)/unet demo

demo-map: $(VENV)/.done-maps ## a map sheet, from pixels to scored polygons, in about two minutes
	$(BIN)/unet demo --map

test: $(VENV)/.done-dev ## the whole suite
	$(PYTEST)

fast: $(VENV)/.done-dev ## the fast tests; with PYTHON and VENV for another Python
	$(PYTEST) -q -m "not slow"

check: $(VENV)/.done-dev ## style, types, layers and the fast tests: before every commit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -q -m "not slow"

format: $(VENV)/.done-dev ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the set-up, caches and the demo; keep data and runs
	rm -rf $(VENV) .venv-3.* build dist unet-demo unet-demo-map .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make a second call instant; a change of what is needed sets up again.
$(VENV)/.done: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing into $(VENV); the first time this fetches a few hundred megabytes ..."
	$(INSTALL) -e .
	@touch $@

$(VENV)/.done-maps: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing into $(VENV); the first time this fetches a few hundred megabytes ..."
	$(INSTALL) -e ".[maps]"
	@touch $(VENV)/.done $@

$(VENV)/.done-dev: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing into $(VENV); the first time this fetches a few hundred megabytes ..."
	$(INSTALL) -e ".[dev]"
	@touch $(VENV)/.done $(VENV)/.done-maps $@

$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) is not there; install Python 3.10 to 3.13, or: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "$$($(PYTHON) --version) found, 3.10 to 3.13 expected; try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
