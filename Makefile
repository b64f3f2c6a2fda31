# Every target sets up what it needs; `make` alone lists them.
# Variables: PYTHON (an interpreter, 3.11 or newer), BURSTWATCH_TEST_BROKERS (an existing Kafka, host:port[,host:port]),
# ARGS (further arguments of demo, test and bench), TEST_PROCESSES (2: tests wait more than they compute), UPGRADE=1 (let `make lock` move every version forward).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
export PIP_DISABLE_PIP_VERSION_CHECK := 1

TEST_PROCESSES ?= 2

VENV := .venv
BIN := $(VENV)/bin
RUNTIME_READY := $(VENV)/runtime.stamp
DEV_READY := $(VENV)/dev.stamp

PYTHON_FITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$candidate -c '$(PYTHON_FITS)' 2>/dev/null; then echo $$candidate; exit; fi; done; echo python3)

##@ Run

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' \
		$(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(RUNTIME_READY) ## Watch a fortnight of AI usage and see its alerts (Python only; no broker)
	$(BIN)/burstwatch demo $(ARGS)

##@ Prove

.PHONY: test
test: broker-ready lint ## Check style, types and imports, then run every test, Kafka's against a real broker
	$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile $(ARGS)

.PHONY: faults
faults: $(DEV_READY) broker-ready ## The long series of faults: kills, pauses, lost brokers, a million hostile messages (twelve minutes)
	$(BIN)/pytest tests/faults -m 'long or not long' --durations=0 $(ARGS)

.PHONY: lint
lint: $(DEV_READY) ## Check style, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

.PHONY: bench
bench: $(DEV_READY) ## Measure speed and memory beside peers (ARGS: one benchmark's name and its options)
	$(BIN)/python -m tests.benchmarks $(ARGS)

.PHONY: bench-incidents
bench-incidents: $(DEV_READY) ## Measure what is found, how soon, at how many false pages (ARGS=--help lists the choices)
	$(BIN)/python -m tests.benchmarks incidents $(ARGS)

##@ Keep

.PHONY: format
format: $(DEV_READY) ## Put the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

.PHONY: lock
lock: $(DEV_READY) ## Rebuild the lock files from pyproject.toml (UPGRADE=1: newest versions)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group build --output-file requirements.lock pyproject.toml
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group build --group dev --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml

.PHONY: clean
clean: ## Remove the environment, caches and everything built
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist out
	find detectors streams tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up. Each stamp is newer than what it was made from, so it happens once and again only when a lock changes.

$(RUNTIME_READY): requirements.lock pyproject.toml
	@$(PYTHON) -c '$(PYTHON_FITS)' 2>/dev/null || { \
		echo 'Burstwatch needs Python 3.11 or newer with venv; "$(PYTHON)" is' \
			"$$($(PYTHON) --version 2>/dev/null || echo missing)$$($(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || echo ' or lacks venv')." >&2; \
		echo 'Install it (Debian: apt-get install python3 python3-venv) or name one: make PYTHON=/path/to/python3.12' >&2; \
		exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_READY): requirements-dev.lock $(RUNTIME_READY)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-dev.lock
	@touch $@

.PHONY: broker-ready
broker-ready:
	@[[ -n "$${BURSTWATCH_TEST_BROKERS:-}" ]] && exit 0; \
	java_major=$$(java -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' || true); \
	missing=(); \
	(( $${java_major:-0} >= 17 )) || missing+=("Java 17 or newer (found: $${java_major:-none})"); \
	command -v mvn >/dev/null || missing+=("Maven (mvn)"); \
	(( $${#missing[@]} == 0 )) && exit 0; \
	{ echo "The Kafka tests start a real Apache Kafka and lack:"; \
	printf '  - %s\n' "$${missing[@]}"; \
	echo "Install them (Debian: apt-get install openjdk-17-jre-headless maven)"; \
	echo "or name a broker that runs: BURSTWATCH_TEST_BROKERS=127.0.0.1:9092 make test"; } >&2; \
	exit 1
