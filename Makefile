# `make` prints this menu. `make demo` and `make test` do all the set-up themselves.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo shell test-fast test test-slow test-all test-sqlglot jar fmt lint types bench dist clean

help:  ## this menu
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml setup.py tools/install.py
	$(PYTHON) tools/install.py $(VENV)
	@touch $@

demo: $(READY)  ## the main job: images into a Hive table, a model trained and used, all in SQL
	$(BIN)/sqlext demo

shell: $(READY) jar  ## an interactive SQL prompt, to try a change
	$(BIN)/sqlext sql --warehouse build/shell

# Two processes, whole files to each: much of a small Spark job is waiting, and a file shares its tables.
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile
ARCHIVE := build/test-classes.jsa

test-fast: $(READY) jar  ## tests without a Spark session
	$(PYTEST) tests/core -m "fast and not slow"

test: $(READY) jar $(ARCHIVE)  ## everything that a change can break, the clients included
	$(PYTEST) tests -m "not slow"

test-slow: $(READY) jar $(ARCHIVE)  ## what test-all adds: more seeds, a second cluster, published photographs, other sqlglots
	$(PYTEST) tests -m slow
	@$(MAKE) --no-print-directory test-sqlglot

test-all: test test-slow  ## every test

test-sqlglot: $(READY) jar  ## the grammar with the oldest sqlglot and with the compiled one
	for wanted in "sqlglot==25.34.*" "sqlglot[c]<31"; do \
		rm -rf build/sqlglot && $(BIN)/python -m pip install --quiet --no-warn-conflicts --target build/sqlglot "$$wanted" || exit 1; \
		PYTHONPATH=build/sqlglot $(BIN)/python -m pytest tests/core/test_dialect.py tests/core/test_language.py || exit 1; \
	done

$(ARCHIVE): jar
	@$(BIN)/python -m tests.support.class_archive $@

jar: $(READY)  ## compile the Scala shim (only when something changed)
	@$(BIN)/python -m sqlext.jvm.build

fmt: $(READY)  ## format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(READY)  ## check style
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)  ## check types, on the built tree (the three folders share one import root)
	rm -rf build/types && $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target build/types .
	MYPYPATH=build/types $(BIN)/mypy -p sqlext

bench: $(READY)  ## what scoring, training and ordinary SQL cost on this machine
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

dist: $(READY)  ## wheel and sdist
	$(BIN)/python -m pip install --quiet build && $(BIN)/python -m build --no-isolation

clean:  ## remove what was built
	rm -rf build dist *.egg-info sqlext/jars
