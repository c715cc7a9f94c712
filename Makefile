# Two commands: `make demo` and `make test`. Both make .venv from the pinned constraints first.
PYTHON ?= python3
BIN := .venv/bin
# Where pip builds a package it must see the pins too; newer versions of pip read the second name.
PIP := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check
# From the tree, the library beside the Python files is built by `make engine` and not within pip.
EDITABLE := --config-settings=wheel.cmake=false --config-settings=editable.mode=inplace
CMAKE := $(or $(shell command -v cmake),$(BIN)/cmake)
# Tested with the native engine and once more without it.
BOTH_WAYS := tests/engine tests/cells tests/layers tests/nn
# One stamp an extra, so that an unchanged tree installs nothing twice.
RUN_STAMP := .venv/.installed
TEST_STAMP := .venv/.installed-test

.PHONY: demo test check lint types check-slow sanitize engine engine-if-possible clean

demo: $(RUN_STAMP) engine-if-possible
	$(BIN)/riverrun train --preset demo -o runs/demo

test: check

check: $(TEST_STAMP) engine-if-possible lint types
	$(BIN)/python -m pytest
	! test -f src/riverrun/_engine.so || RIVERRUN_NATIVE=0 $(BIN)/python -m pytest $(BOTH_WAYS)

lint: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TEST_STAMP)
	$(BIN)/mypy

check-slow: $(TEST_STAMP) engine-if-possible
	$(BIN)/python -m pytest -m "slow or not slow"

# The native engine, src/riverrun/_engine.so: seconds after an edit in csrc/.
engine: $(filter $(BIN)/cmake,$(CMAKE))
	$(CMAKE) -S . -B build/engine -DRIVERRUN_INPLACE=ON
	$(CMAKE) --build build/engine --parallel

$(BIN)/cmake: $(RUN_STAMP)
	$(PIP) cmake

# The engine's tests on a library that watches every access to memory and all undefined behaviour (Linux with g++).
# Memory comes filled with 0xff, which is NaN, so that a read of what nobody wrote shows.
sanitize: CXX := g++
sanitize: $(TEST_STAMP) $(filter $(BIN)/cmake,$(CMAKE))
	$(CMAKE) -S . -B build/sanitize -DRIVERRUN_SANITIZE=ON -DCMAKE_CXX_COMPILER=$(CXX)
	$(CMAKE) --build build/sanitize --parallel
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0:malloc_fill_byte=255:max_malloc_fill_size=268435456 UBSAN_OPTIONS=print_stacktrace=1 \
	RIVERRUN_LIBRARY=$(CURDIR)/build/sanitize/_engine.so RIVERRUN_NATIVE=1 $(BIN)/python -m pytest tests/engine

# Without a compiler everything works too, only slower.
engine-if-possible:
	@if command -v $${CXX:-c++} > /dev/null; then $(MAKE) engine; \
	else echo "No C++ compiler here: riverrun goes without its native engine, and is slower."; fi

$(RUN_STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) $(EDITABLE) -e .
	touch $@

$(TEST_STAMP): $(RUN_STAMP)
	$(PIP) $(EDITABLE) -e ".[test]"
	touch $@

clean:
	rm -rf .venv build dist src/riverrun/_engine.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
