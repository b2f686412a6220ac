# make demo · make test · make check: each does all the set-up on a machine with Python 3.11 and make.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test slow gpu format lint types check clean bench

demo: $(STAMP)
	$(BIN)/gansmith demo

test: $(STAMP)
	$(BIN)/python -m pytest --cov=gansmith --cov-report=term:skip-covered --cov-fail-under=95

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

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
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage
