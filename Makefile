# Every target does its own set-up; `make help` says what there is.

.DEFAULT_GOAL := help
.PHONY: help setup demo cluster test lint check bench fmt clean
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

PYTHON := .venv/bin/python
# Two a processor: half of the time a test waits, for a guest, a lease, a node that is gone. No more
# than eight, for each may have several qemu running.
WORKERS ?= $(shell n=$$((2 * $$(nproc))); if [ $$n -gt 8 ]; then n=8; fi; echo $$n)
# Further words for pytest: make test ARGS="-k journal"
ARGS ?=

help: ## say what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## install what is missing: Debian packages where allowed, then .venv
	@scripts/setup

demo: ## guests that end each their own way, then a cluster that puts right what falls
	@scripts/setup
	@$(PYTHON) -m lab.demo

cluster: ## bring up three nodes on this machine to look around in, until Ctrl-C
	@scripts/setup
	@$(PYTHON) -m lab.cluster $(ARGS)

test: ## run every test (ARGS="..." goes to pytest)
	@scripts/setup
	@$(PYTHON) -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: ## style, types, and who may import whom
	@scripts/setup venv
	@failed=0; \
	$(PYTHON) -m ruff check . || failed=1; \
	$(PYTHON) -m ruff format --check . || failed=1; \
	$(PYTHON) -m mypy || failed=1; \
	.venv/bin/lint-imports --no-logo || failed=1; \
	exit $$failed

check: lint test ## what CI runs: lint, then test

bench: ## measure speed and size, and write docs/benchmarks.md (ARGS=--quick: less, written nowhere)
	@scripts/setup
	@$(PYTHON) -m lab.bench $(if $(ARGS),$(ARGS),--write-docs)

fmt: ## put the source into its usual form
	@scripts/setup venv
	@$(PYTHON) -m ruff check --fix-only .
	@$(PYTHON) -m ruff format .

clean: ## remove the virtual environment and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src lab tests -name __pycache__ -type d -prune -exec rm -rf {} +
