# `make demo` and `make test` need Python 3.11 or newer, and set up the rest by themselves.
PYTHON ?= python3
BIN := .venv/bin
FUZZ_SECONDS ?= 600
# What is compiled is kept: images of containers say otherwise, and every process compiled it anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo run cluster test test-long test-lowest fuzz lint types format docs screenshots
.PHONY: dist deb constraints clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## set up, then show an email going in and a click coming out
	@$(PYTHON) tools/setup_venv.py demo
	@$(BIN)/python examples/demo.py

run: ## the same, and keep serving until Ctrl-C
	@$(PYTHON) tools/setup_venv.py demo
	@$(BIN)/python examples/demo.py --keep

test: ## set up, then run all tests but the long rounds
	@$(PYTHON) tools/setup_venv.py dev
	$(BIN)/pytest -n 6 --dist worksteal -m "not long"

test-long: ## the long rounds: kills, many generated documents, browsers, SES clients
	@$(PYTHON) tools/setup_venv.py dev browser dist
	@$(BIN)/python tools/client_venvs.py || echo 'Tests of these clients will fail, or be skipped.'
	$(BIN)/pytest -n 3 --dist worksteal -m long --durations=15

# A selection that meets every library: parsers, sealing, stores, each door and way out.
LOWEST := base keys headers rewrite limits settings journal redirect relay doors ingress publish certificates \
  service/test_behaviour.py service/test_sesv2.py service/test_templates.py \
  service/test_console.py service/test_dkim.py service/test_data_streams.py
BOTOCORE = $(shell sed -n 's/^ *"botocore>=\([0-9.]*\)",/\1/p' pyproject.toml).0

test-lowest: ## some of the tests with the lowest versions that pyproject.toml names
	@$(PYTHON) tools/setup_venv.py dev dist
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	$(BIN)/uv pip install --quiet --python .venv-lowest --resolution lowest-direct \
	  --editable '.[acme,kafka,nats,postgresql]' --group dev
	.venv-lowest/bin/python tools/check_lowest.py botocore
	.venv-lowest/bin/pytest -n 6 --dist worksteal -m "not long" $(addprefix tests/,$(LOWEST))
	@# botocore by itself: the boto3 of our tests wants a newer one than Clicktrail does.
	$(BIN)/uv pip install --quiet --python .venv-lowest botocore==$(BOTOCORE) boto3==$(BOTOCORE)
	.venv-lowest/bin/python tools/check_lowest.py
	.venv-lowest/bin/pytest -m "not long" tests/ingress/sesv2/test_sigv4.py tests/publish/test_kinesis.py

cluster: ## several nodes on this machine, some of which are killed: no click is lost
	@$(PYTHON) tools/setup_venv.py dev
	@PYTHONPATH=tests $(BIN)/python examples/cluster.py

fuzz: ## the rewriter against made-up emails, FUZZ_SECONDS each for html, parts and mime
	@$(PYTHON) tools/setup_venv.py dev fuzz
	@for name in html parts mime; do \
	  PYTHONPATH=tests $(BIN)/python fuzz/fuzz_$$name.py -max_total_time=$(FUZZ_SECONDS) \
	    -print_final_stats=1 || exit 1; \
	done

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

docs: ## write the documents that are made from the code
	@$(PYTHON) tools/setup_venv.py dev
	$(BIN)/python tools/make_docs.py

screenshots: ## take the pictures of the console (needs Chromium)
	@$(PYTHON) tools/setup_venv.py dev browser
	$(BIN)/python tools/screenshots.py

dist: ## the wheel and the source distribution, in dist/
	@$(PYTHON) tools/setup_venv.py dev dist
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/twine check --strict dist/*

deb: ## a package for this machine's Debian, in dist/ (tools/try_install.sh tries it)
	tools/make_deb.sh

constraints: ## write constraints.txt anew: the newest versions, which are to be tested then
	@$(PYTHON) tools/setup_venv.py --newest dev browser dist
	sed -i '/^#/!d' constraints.txt
	$(BIN)/pip freeze --exclude-editable >> constraints.txt

clean: ## remove what was set up and made
	rm -rf .venv .venv-lowest .venv-clients dist .mypy_cache .ruff_cache .pytest_cache .hypothesis clicktrail-demo
