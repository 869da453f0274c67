# Everything runs in .venv, which `make setup` fills from requirements.lock (uv comes into it first, from .ci/uv.txt).
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# uv does not read pip's configuration: hand it what a person or a site has set there.
PIP_INDEX = $(shell $(BIN)/python -m pip config get global.index-url 2>/dev/null)
UV = $(if $(PIP_INDEX),UV_DEFAULT_INDEX=$(PIP_INDEX)) $(BIN)/uv

.PHONY: setup demo test lint test-slow test-gpu chaos fuzz bench audit lock docs clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock .ci/uv.txt pyproject.toml
	@echo 'setting up $(VENV): some minutes, 6 GB on Linux'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/uv.txt
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/gramophone demo

# In so many processes, file by file.
JOBS := 2

test: lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check flows tasks tests
	$(BIN)/ruff format --check flows tasks tests
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cog --check README.md manifests/README.md
	@echo lint: all is right

test-slow: setup
	$(BIN)/python -m pytest -m slow

test-gpu: setup
	$(BIN)/python -m pytest -m gpu

chaos: setup
	$(BIN)/python -m pytest -m chaos -s

# Guided by coverage, for so many seconds on each target; a part of chaos.
SECONDS := 60
SEED := 1

fuzz: setup
	FUZZ_SECONDS=$(SECONDS) CHAOS_SEED=$(SEED) $(BIN)/python -m pytest -m chaos -s tests/fuzz

bench: setup
	$(BIN)/python -m tests.bench.bench_cli
	$(BIN)/python -m tests.bench.results
	$(BIN)/python -m tests.bench.bench_night

# Known advisories of what this machine installs. Nothing skipped counts as passed, nor yesterday's answers.
audit: setup
	rm -rf $(VENV)/.advisories
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --cache-dir $(VENV)/.advisories \
		-r requirements.lock -r .ci/uv.txt

LOCKED = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11

# requirements-run.lock is the part of requirements.lock that images install: it begins with the same pins.
lock: setup
	$(LOCKED) --group dev --extra ray pyproject.toml -o requirements.lock
	cp requirements.lock requirements-run.lock
	$(LOCKED) --extra ray pyproject.toml -o requirements-run.lock
	echo uv | $(LOCKED) --no-header - -o .ci/uv.txt

docs: setup
	$(BIN)/cog -r README.md manifests/README.md

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz
