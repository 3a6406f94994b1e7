# Everything a newcomer runs. Needs Python 3.11 to 3.14 and make; the rest is installed into .venv and .local.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
LEVELS := tests/unit tests/dags tests/sql tests/integration tests/faults tests/real tests/truth
export UV_PYTHON_DOWNLOADS := never
# Certificates as the system has them: companies add their own.
export UV_SYSTEM_CERTS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Somebody else's active environment must not be taken for ours.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH
# A user without a writable home (a service account) keeps caches here.
ifneq ($(shell test -d "$$HOME" -a -w "$$HOME" && echo yes),yes)
export HOME := $(CURDIR)/.local/home
endif

.PHONY: help
help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: run
run: .venv/.synced  ## the next night, from sources to published marts; the first time everything is set up
	@$(BIN)/retention run

.PHONY: test
test: .venv/.synced  ## all levels but the long ones, under 12 minutes
	@$(BIN)/pytest -m "not deep and not soak and not truth" -n 2 --dist loadfile $(wildcard $(LEVELS))

.PHONY: test-deep
test-deep: .venv/.synced  ## the long ones: kills under a real scheduler, many seeds
	@$(BIN)/pytest -m deep -n 2 --dist loadfile tests

.PHONY: test-soak
test-soak: .venv/.synced  ## more of the same: other seeds, every way to lose rows
	@$(BIN)/pytest -m soak -n 2 --dist loadfile tests

.PHONY: truth
truth: .venv/.synced  ## planted effects are found again: 400 frames for each estimator, three operators of 50,000 subscribers
	@$(BIN)/pytest -m truth -n 2 --dist loadfile -rP tests/truth

.PHONY: lint
lint: .venv/.synced  ## ruff, mypy, sqlfluff, yamllint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 2 --disable-progress-bar dbt_project plugins/retention
	$(BIN)/yamllint --strict .

.PHONY: bench
bench: .venv/.synced  ## measure extraction, texts, clocks, outcomes and nights, to 1,000,000 subscribers (an hour, 30 GB of disk); writes docs/benchmarks.md
	@$(BIN)/python tests/benchmarks/bench.py

.PHONY: up
up: .venv/.synced  ## PostgreSQL and Airflow with its UI on 127.0.0.1, left running
	@$(BIN)/retention up

.PHONY: down
down:  ## stop everything of this checkout
	@if [ -x $(BIN)/retention ]; then $(BIN)/retention down; else echo "  nothing was running"; fi

# The stamp is written last: an interrupted sync is done again. It holds the folder, for an environment does not survive
# being moved.
ifneq ($(shell cat .venv/.synced 2>/dev/null),$(CURDIR))
.PHONY: .venv/.synced
endif
.venv/.synced: uv.lock pyproject.toml | python
	@{ [ "$$(cat $@ 2>/dev/null || echo "$(CURDIR)")" = "$(CURDIR)" ] && $(BIN)/uv --version; } >/dev/null 2>&1 \
		|| $(MAKE) --no-print-directory environment
	@echo "  installing what uv.lock names"
	@$(BIN)/uv sync --locked --quiet
	@echo "$(CURDIR)" > $@

# Half an environment is thrown away. Without ensurepip (Debian's python3-venv) another pip may fill it.
.PHONY: environment
environment: python
	@echo "  making .venv with $$($(PYTHON) --version)"
	@rm -rf .venv
	@{ $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv; } >/dev/null 2>.venv.log \
		|| { rm -rf .venv && $(PYTHON) -m venv --without-pip .venv \
			&& $(PYTHON) -m pip --python $(BIN)/python install --quiet uv; } 2>>.venv.log \
		|| { cat .venv.log; rm -rf .venv .venv.log; echo; \
			echo "Python could not make an environment with uv in it. Nothing was installed. On Debian and Ubuntu:"; \
			echo "  apt-get install python3-venv"; echo "If that is there, look at the network: pip could not fetch uv."; exit 1; }
	@rm -f .venv.log

.PHONY: python
python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 to 3.14 is needed and was not found (python3 is $$(python3 --version 2>&1)). Nothing was done."; \
		echo "Install one, or name it: make run PYTHON=/path/to/python3.12"; exit 1; }
