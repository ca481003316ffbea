# `make demo` and `make test` need Python 3.11 or newer, and set up the rest by themselves.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo run test test-long lint types format clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## set up, then show an email going in and a click coming out
	@$(PYTHON) tools/setup_venv.py
	@$(BIN)/python examples/demo.py

run: ## the same, and keep serving until Ctrl-C
	@$(PYTHON) tools/setup_venv.py
	@$(BIN)/python examples/demo.py --keep

test: ## set up, then run all tests but the long rounds
	@$(PYTHON) tools/setup_venv.py dev
	$(BIN)/pytest -n 2 -m "not long"

test-long: ## the long rounds: kills, many generated documents, browsers
	@$(PYTHON) tools/setup_venv.py dev
	$(BIN)/pytest -m long

lint: ## ruff: rules and format
	@$(PYTHON) tools/setup_venv.py dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: ## mypy, strict
	@$(PYTHON) tools/setup_venv.py dev
	$(BIN)/mypy

format: ## bring all files into shape
	@$(PYTHON) tools/setup_venv.py dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what was set up and made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis clicktrail-demo
