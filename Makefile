# The project's commands; plain `make` lists them. Each installs what it needs (tests/bootstrap), from locked versions.
# PYTHON=python3.13 runs them on another Python, and with it on the newest ansible-core.

PYTHON ?=
VENV := $(if $(PYTHON),.venv-$(lastword $(subst python, ,$(PYTHON))),.venv)
export PYTHON VENV
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_HOME := $(CURDIR)/.ansible
RUN := $(VENV)/bin/python tests/run.py

.DEFAULT_GOAL := help
.PHONY: help check test lint unit sanity scenario demo demo-destroy bench bench-noop bench-cutover bench-serve bench-report attacks attacks-report docs lock build clean venv

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

check: ## Lint, unit tests and one scenario: the inner loop
	@tests/bootstrap hosts lint browser
	@$(RUN) lint unit default

test: ## Everything: lint, sanity, unit tests and every scenario, two at a time
	@tests/bootstrap hosts lint browser
	@$(RUN) scenarios lint sanity unit

lint: ## yamllint, ansible-lint, ruff, mypy, shellcheck, the changelog
	@tests/bootstrap lint
	tests/lint

unit: ## Unit tests; T="-k name" narrows them
	@tests/bootstrap
	pytest -n 2 tests/unit $(T)

sanity: ## ansible-test sanity, every test
	@tests/bootstrap lint
	tests/sanity

scenario: ## One scenario: S=name; KEEP=1 leaves its hosts up and uses them again, STEP=converge runs one step of molecule
	@test -n "$(S)" || { echo "which one? S=$$(python3 tests/run.py --list | paste -sd'|')"; exit 2; }
	@tests/bootstrap hosts browser
	@$(RUN) $(if $(KEEP),--keep) $(if $(STEP),--step $(STEP)) $(S)

demo: ## A test host with two live sites, and their URLs
	@tests/bootstrap hosts
	@$(VENV)/bin/python tests/demo.py up

demo-destroy: ## Remove the demo
	@tests/bootstrap
	@$(VENV)/bin/python tests/demo.py down

bench: bench-noop bench-cutover bench-serve ## Every benchmark

bench-noop: ## What a run costs when there is nothing to do
	@tests/bootstrap hosts
	$(VENV)/bin/python bench/noop.py

bench-cutover: ## What a visitor notices of deploys and rollbacks
	@tests/bootstrap hosts
	$(VENV)/bin/python bench/cutover.py

bench-serve: ## Servers side by side, alone and behind nginx, and beside slow clients
	@tests/bootstrap hosts
	$(VENV)/bin/python bench/serve.py

bench-report: ## Write the pictures and tables of docs/benchmarks.md from bench/results
	@tests/bootstrap
	$(VENV)/bin/python bench/cutover_report.py
	$(VENV)/bin/python bench/serve_report.py

attacks: ## Attack sites from an outside host, and keep the result for docs/attacks.md
	@tests/bootstrap hosts
	EDGE_TEST_STORE=$(CURDIR)/tests/attacks/result.json pytest tests/e2e/edge

attacks-report: ## Write the table of docs/attacks.md from the kept result
	@tests/bootstrap
	$(VENV)/bin/python tests/attacks/report.py

docs: ## Write docs/reference from argument_specs and plugin documentation
	@tests/bootstrap
	docs/generate

lock: ## Renew requirements-dev.lock from pyproject.toml
	tests/lock

build: ## Build the collection's tarball from a clean clone of HEAD
	@tests/bootstrap
	tests/build

clean: ## Remove this checkout's test hosts, their images, caches and virtual environments
	@if [ -x $(VENV)/bin/python ]; then $(VENV)/bin/python tests/hosts/hosts.py clean --images; fi
	rm -rf .ansible .cache .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
