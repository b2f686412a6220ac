# make demo · make test · make check: each does all the set-up on a machine with Python 3.11, 3.12 or 3.13 and make.
# The newest of these that runs and can make environments (not every name on the path is one that does);
# another one: make PYTHON=...
SERVES := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	$$name -c '$(SERVES)' >/dev/null 2>&1 && echo $$name && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export FUZZ_SEED FUZZ_COUNT

.PHONY: demo test slow fuzz gpu format lint types check clean bench

demo: $(STAMP)
	$(BIN)/gansmith demo

# Modules are compiled once, for all the processes that the tests start.
test slow: export PYTHONDONTWRITEBYTECODE :=
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --cov=gansmith --cov-report=term:skip-covered --cov-fail-under=95

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# Seeded mutations of the files that are read: make fuzz FUZZ_SEED=1 FUZZ_COUNT=500
fuzz: $(STAMP)
	$(BIN)/python -m pytest -m slow -s tests/test_fuzz.py tests/test_fuzz_data.py

gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

check: lint types

bench: $(STAMP)
	$(BIN)/python benchmarks/all.py

# Tools and versions are pinned in constraints.txt, so that two machines get the same environment.
# An environment that is there keeps its Python.
$(STAMP): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed: install one (Debian and Ubuntu: apt install python3-venv; macOS: brew install python@3.13; others: python.org), or name it: make PYTHON=..." >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage
