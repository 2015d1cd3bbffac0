# make demo | test | lab | bench | soak | lint | lock | js | wheel
# Each target sets up .venv from the committed lock first; nothing is done twice. PYTHON= and CHROMIUM= name your own.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help demo test lab bench soak lint lock js wheel env env-test

BIN := .venv/bin
DEMO ?= demo
SERVE ?= 1
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
ARGS ?=
export PYTHON CHROMIUM

help:
	@echo "make demo     the made-up city: load it, ask the models, write a briefing, serve the apps (SERVE=0: stop before serving)"
	@echo "make test     every test, with the test tools and Chromium (ARGS='-k lake' picks some)"
	@echo "make lab      JupyterLab in the demo workspace"
	@echo "make bench    the benchmarks; writes benchmarks/RESULTS.md"
	@echo "make soak     the long tests"
	@echo "make lint     ruff, mypy, import-linter"
	@echo "make lock     refresh requirements.lock and requirements-test.lock"
	@echo "make js       rebuild the vendored JavaScript from js/ (needs Node)"
	@echo "make wheel    the wheel, in dist/"

env:
	@.ci/environment run

env-test:
	@.ci/environment test

demo: env
	@$(BIN)/workbench demo $(DEMO) $(if $(filter 0 no false,$(SERVE)),--no-serve)

lab: env
	@test -f $(DEMO)/agency.toml || $(BIN)/workbench demo $(DEMO) --no-serve
	@$(BIN)/workbench lab -w $(DEMO) -- $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

test: env-test
	@CHROMIUM="$$(.ci/environment chromium)" $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not soak" --durations=15 $(ARGS)

soak: env-test
	@CHROMIUM="$$(.ci/environment chromium)" $(BIN)/python -m pytest -m soak --durations=15 $(ARGS)

bench: env-test
	@$(BIN)/python -m benchmarks $(ARGS)

lint: env-test
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

LOCK = $(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-header --no-annotate --upgrade -q
lock: env
	@$(LOCK) --extra test --extra bench >build/test.lock
	@$(LOCK) -c build/test.lock >build/run.lock
	@{ echo "# Exactly what 'make demo' installs. Made by 'make lock'; not edited by hand."; cat build/run.lock; } >requirements.lock
	@{ echo "# Exactly what 'make test' installs. Made by 'make lock'; not edited by hand."; cat build/test.lock; } >requirements-test.lock
	@echo "requirements.lock: $$(grep -c == requirements.lock) packages; requirements-test.lock: $$(grep -c == requirements-test.lock) packages"

js:
	@command -v npm >/dev/null || { echo "make js needs Node and npm: sudo apt-get install nodejs npm"; exit 1; }
	@cd js && npm ci --no-audit --no-fund && npm run build

wheel: env
	@$(BIN)/python -m hatchling build -t wheel -d dist
