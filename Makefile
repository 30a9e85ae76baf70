## make demo    train the date reader (at most three minutes on two cores) and look at its attention
## make test    every quick test, the README's commands and the examples among them
## make check   what CI does: lint, types, the page's bundle, the demo, test
## make page    build the page from web/ into src/clearhead/page (needs Node.js; users do not)
## Each sets up what it needs in .venv, from any Python 3.11 or newer.

FIT := -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$python $(FIT) && echo $$python && break; done)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: help demo test long check learns lint types docs format page page-check clean

help:
	@sed -n "s/^## //p" Makefile

demo: .venv/runs
	$(BIN)/clearhead demo --out runs/demo --no-browser

test: .venv/develops
	$(BIN)/python -m pytest

long: .venv/develops
	$(BIN)/python -m pytest -m long

check: lint types page-check learns test

learns: demo
	@$(BIN)/python -c 'import json, sys; score = json.load(open("runs/demo/report.json"))["scores"]["test"]["exact_match"]; \
	    sys.exit(f"the demo reads only {score:.1f} % of its dates; expected at least 98" if score < 98 else 0)'

lint: .venv/develops
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/develops
	$(BIN)/mypy

docs: .venv/develops
	$(BIN)/python -m pytest tests/docs tests/examples

format: .venv/develops
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

page: web/node_modules
	cd web && npm run --silent build

# The committed bundle is what the sources give, to the byte. Without Node.js that cannot be seen, which CI does not accept.
page-check:
	@if ! command -v npm >/dev/null; then echo "npm is not installed: the page's bundle is not built again"; \
	    test -z "$$CLEARHEAD_NEEDS_BROWSER"; else $(MAKE) --no-print-directory page-again; fi

.PHONY: page-again
page-again: web/node_modules
	cd web && npm run --silent build -- --outDir ../build/page
	diff -r build/page src/clearhead/page

web/node_modules: web/package-lock.json
	cd web && npm ci --no-fund --no-audit --silent
	@touch $@

clean:
	rm -rf .venv web/node_modules build dist .mypy_cache .ruff_cache .pytest_cache

# The version of torch is installed first and alone: it is the largest part, and the rest must not choose another.
.venv/runs: pyproject.toml constraints.txt
	@$(or $(PYTHON),false) $(FIT) || { echo "Clearhead needs Python 3.11 or newer with its venv module;" \
	    "found '$(PYTHON)'. Install it, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) torch
	$(INSTALL) --editable '.[serve]'
	@touch $@

.venv/develops: .venv/runs
	$(INSTALL) --editable '.[dev]'
	@touch $@
