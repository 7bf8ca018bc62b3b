# `make` prints this menu. `make demo` and `make test` do all the set-up themselves.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-core test-clients test-sqlglot jar fmt lint types bench dist clean

help:  ## this menu
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml setup.py tools/install.py
	$(PYTHON) tools/install.py $(VENV)
	@touch $@

demo: $(READY)  ## the main job: images into a Hive table, a model trained and used, all in SQL
	$(BIN)/sqlext demo

test: $(READY)  ## every test; prints both times
	@start=$$(date +%s); $(MAKE) --no-print-directory test-core; core=$$?; middle=$$(date +%s); \
	$(MAKE) --no-print-directory test-clients; clients=$$?; end=$$(date +%s); \
	echo "test-core: $$((middle - start)) s, test-clients: $$((end - middle)) s"; \
	[ $$core -eq 0 ] && [ $$clients -eq 0 ]

test-core: $(READY) jar  ## tests in a local Spark session, two processes side by side
	$(BIN)/python -m pytest tests/core -n 2 --dist loadfile

test-clients: $(READY) jar  ## tests that start servers, clusters and other processes, and the grammar with other sqlglots
	$(BIN)/python -m pytest tests/clients
	@$(MAKE) --no-print-directory test-sqlglot

test-sqlglot: $(READY) jar  ## the grammar with the oldest sqlglot and with the compiled one
	for wanted in "sqlglot==25.34.*" "sqlglot[c]<31"; do \
		rm -rf build/sqlglot && $(BIN)/python -m pip install --quiet --no-warn-conflicts --target build/sqlglot "$$wanted" || exit 1; \
		PYTHONPATH=build/sqlglot $(BIN)/python -m pytest tests/core/test_dialect.py tests/core/test_language.py || exit 1; \
	done

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
