# `make` prints the menu. The targets that need .venv set it up first.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo shell test-fast test test-slow test-all test-sqlglot test-protobuf jar proto fmt lint types bench dist clean

help:  ## print this menu
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml setup.py tools/install.py
	$(PYTHON) tools/install.py $(VENV)
	@touch $@

demo: $(READY)  ## load images into a Hive table, train a model and use it, all in SQL
	$(BIN)/sqlext demo

shell: $(READY) jar  ## an interactive SQL prompt, to try a change
	$(BIN)/sqlext sql --warehouse build/shell

# Two processes, because small Spark jobs mostly wait; each takes whole files, because the tests of a file share tables.
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile
ARCHIVE := build/test-classes.jsa

test-fast: $(READY) jar  ## run the tests that need no Spark session
	$(PYTEST) tests/core -m "fast and not slow"

test: $(READY) jar $(ARCHIVE)  ## run the tests of everything that a change can break, including the clients
	$(PYTEST) tests -m "not slow"

test-slow: $(READY) jar $(ARCHIVE)  ## run what test-all adds: more seeds and types, a cluster, published photographs, other versions of sqlglot and protobuf
	$(PYTEST) tests -m slow
	@$(MAKE) --no-print-directory test-sqlglot test-protobuf

test-all: test test-slow  ## run every test

test-sqlglot: $(READY) jar  ## test the grammar with the oldest and with the compiled sqlglot
	for wanted in "sqlglot==25.34.*" "sqlglot[c]<31"; do \
		rm -rf build/sqlglot && $(BIN)/python -m pip install --quiet --no-warn-conflicts --target build/sqlglot "$$wanted" || exit 1; \
		PYTHONPATH=build/sqlglot $(BIN)/python -m pytest tests/core/test_dialect.py tests/core/test_language.py || exit 1; \
	done

test-protobuf: $(READY)  ## test the readers of BigDL's files with the oldest protobuf
	rm -rf build/protobuf && $(BIN)/python -m pip install --quiet --no-deps --target build/protobuf "protobuf==4.25.1" "onnx==1.16.*"
	PYTHONPATH=build/protobuf $(BIN)/python -m pytest tests/core/test_bigdl_files.py

$(ARCHIVE): jar
	@$(BIN)/python -m tests.support.class_archive $@

jar: $(READY)  ## compile the Scala shim, if something changed
	@$(BIN)/python -m sqlext.jvm.build

# An old compiler, because the code of newer ones refuses protobuf releases that pyproject.toml allows.
proto: $(READY)  ## generate the Python code of bigdl.proto
	rm -rf build/protoc && $(BIN)/python -m pip install --quiet --no-warn-conflicts --target build/protoc "grpcio-tools==1.62.3"
	PYTHONPATH=build/protoc $(BIN)/python -m grpc_tools.protoc -I . --python_out . --pyi_out . sqlext/networks/bigdl.proto

fmt: $(READY)  ## format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(READY)  ## check style
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)  ## check types on the package as it is installed (build/types), where the three folders are one package
	rm -rf build/types build/lib && $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target build/types .
	MYPYPATH=build/types $(BIN)/mypy -p sqlext

bench: $(READY)  ## measure scoring, training and ordinary SQL on this machine
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

dist: $(READY)  ## build the wheel and the sdist
	$(BIN)/python -m pip install --quiet build && $(BIN)/python -m build --no-isolation

clean:  ## remove everything that was built
	rm -rf build dist *.egg-info sqlext/jars
