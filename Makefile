# Every target sets up what it needs inside this folder; `make` alone lists them. Needs make, bash, and Python 3.11 or 3.12.
SHELL := bash
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DEFAULT_GOAL := help
# Where it is set nothing is compiled, and every Airflow process starts twice as slowly.
unexport PYTHONDONTWRITEBYTECODE

TOOL := .venv/bin/python -m tools

.PHONY: help demo test up down check backfill repeat faults soak fuzz bench evaluate containers lint audit lock

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' Makefile | while read -r name what; do printf '  make %-9s  %s\n' "$$name" "$$what"; done

.venv/installed: requirements.lock pyproject.toml tools/install.sh
	@bash tools/install.sh

demo: .venv/installed  ## the main job on a simulated world, found against planted [SEED=1] [STORAGE=file|s3]
	@$(TOOL).demo --seed "$(or $(SEED),1)" --storage "$(or $(STORAGE),file)"

test: .venv/installed  ## the test suite [PLUMEWATCH_TEST_DATA=../shared/data] [ARGS="tests/oco2 -x"]
	@$(TOOL).s3_server
	@$(TOOL).run python -m pytest -n 2 --dist loadfile $(ARGS)

up: .venv/installed  ## Airflow's UI and scheduler, in the background [PORT=8080] [DEMO=1: the last demonstration]
	@$(TOOL).up start $(if $(PORT),--port "$(PORT)") $(if $(DEMO),--demo)

down: .venv/installed  ## stop what `make up` started
	@$(TOOL).up stop

check: .venv/installed  ## what works with the present settings; nothing is written
	@$(TOOL).check

backfill: .venv/installed  ## process a range of dates: DAG= FROM= TO= [DRY=1] [REPROCESS=failed|completed]
	@$(TOOL).backfill --dag "$(DAG)" --from "$(FROM)" --to "$(TO)" $(if $(REPROCESS),--reprocess "$(REPROCESS)") $(if $(DRY),--dry-run)

repeat: .venv/installed  ## the last demonstration twice more: the tables stay equal
	@$(TOOL).repeat

faults: .venv/installed  ## strike Airflow while it works: kills, S3 out of order [SEED=1] [FULL=1: 60 times]
	@$(TOOL).faults --seed "$(or $(SEED),1)" $(if $(FULL),--full)

soak: .venv/installed  ## many days of the simulated world: memory, open files, what is left [DAYS=60] [SEED=1]
	@$(TOOL).soak --days "$(or $(DAYS),60)" --seed "$(or $(SEED),1)"

fuzz: .venv/installed  ## broken and odd files for each reader [N=1000] [SEED=20] [ONLY=granule]
	@$(TOOL).run python -m tools.fuzz --cases "$(or $(N),1000)" --seed "$(or $(SEED),20)" $(if $(ONLY),--only "$(ONLY)")

evaluate: .venv/installed  ## quality in full size: recall, errors, calibration [ONLY=oco2|methane|matching|learning]
	@$(TOOL).run python -m tools.evaluate $(if $(ONLY),--only "$(ONLY)")

bench: .venv/installed  ## speed against baselines of the same run, a JSON line each [ONLY=oco2|methane|sentinel2 ...]
	@$(TOOL).bench $(if $(ONLY),--only "$(ONLY)")

containers: .venv/installed  ## image and compose files: lint, build, the demonstration inside, and down [ONLY=lint]
	@ONLY="$(ONLY)" bash tools/containers/check.sh

lint: .venv/installed  ## linters and types
	@$(TOOL).run ruff check .
	@$(TOOL).run ruff format --check .
	@$(TOOL).run mypy

audit: .venv/installed  ## known faults of the pinned packages, and which have newer versions
	@$(TOOL).audit

lock: .venv/installed  ## resolve requirements.lock anew from requirements.txt and requirements-dev.txt
	@echo "Resolving ..."
	@UV_CACHE_DIR=.cache/uv .venv/bin/uv pip compile --quiet --no-header --python-version 3.11 \
	    requirements.txt requirements-dev.txt --output-file requirements.lock
	@git --no-pager diff --stat -- requirements.lock
