# `make` lists the verbs. Variables: PORT, HOST, PORTAL_DATA_DIR, WEB_WORKERS (run); ARGS, TEST_WORKERS (test); FORCE=1 (reset).

BIN := .venv/bin
TEST_WORKERS := 2
# Compiling everything would double the wait before the first page; what is used gets compiled when it is first used.
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --no-input --no-compile --root-user-action=ignore \
  --require-hashes

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.ok  ## the whole portal, until Ctrl-C
	@$(BIN)/python manage.py up

test: .venv/.tests  ## all tests; ARGS="-k words" for some
	$(BIN)/python -m pytest -n $(TEST_WORKERS) $(ARGS)

lint: .venv/.tests  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.tests  ## mypy
	$(BIN)/mypy apps reliability_portal

bench: .venv/.tests  ## the figures of benchmarks/
	$(BIN)/python benchmarks/run.py $(ARGS)

docs: .venv/.tests  ## the screenshots of docs/
	$(BIN)/python -m tests.screenshots $(ARGS)

reset:  ## delete the embedded servers' data
	@$(or $(wildcard $(BIN)/python),python3) -m apps.core.embedded.reset $(if $(FORCE),--force)

# A name on PATH proves nothing (version managers leave shims that fail), so each candidate is run.
.venv/.ok: requirements.lock
	@set -e; \
	for p in $$PYTHON python3.13 python3.12 python3.11 python3 python; do \
	  if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	  then py=$$p; break; fi; \
	done; \
	if [ -z "$$py" ]; then \
	  echo "Python 3.11 or newer with its venv module is needed (Debian: apt install python3-venv)." \
	       "PYTHON=/path/to/python names one." >&2; exit 1; \
	fi; \
	if ! $(BIN)/python -c '' 2>/dev/null; then \
	  echo "Making .venv with $$($$py --version) ..."; $$py -m venv --clear .venv; \
	fi
	@echo "Installing requirements.lock ..."
	@$(PIP) -r requirements.lock
	@touch $@

.venv/.tests: tests/requirements.lock .venv/.ok
	@echo "Installing tests/requirements.lock ..."
	@$(PIP) -r tests/requirements.lock
	@touch $@

.PHONY: help run test lint types bench docs reset
