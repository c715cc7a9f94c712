# Two commands: `make demo` and `make test`. Both make .venv from the pinned constraints first.
PYTHON ?= python3
BIN := .venv/bin
# One stamp an extra, so that an unchanged tree installs nothing twice.
RUN_STAMP := .venv/.installed
TEST_STAMP := .venv/.installed-test

.PHONY: demo test check lint types check-slow clean

demo: $(RUN_STAMP)
	$(BIN)/riverrun train --preset demo -o runs/demo

test: check

check: $(TEST_STAMP) lint types
	$(BIN)/python -m pytest

lint: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TEST_STAMP)
	$(BIN)/mypy

check-slow: $(TEST_STAMP)
	$(BIN)/python -m pytest -m "slow or not slow"

$(RUN_STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(TEST_STAMP): $(RUN_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
