# The two commands a newcomer needs: `make demo` and `make test`. Each sets itself up first.
# Needed on the machine: Python 3.13 (pyenv's will do) or uv; npm for `make e2e` alone.
.DEFAULT_GOAL := help
.PHONY: help install lint types test e2e demo bench lock clean

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
STAMP := $(VENV)/.installed
E2E := tests/e2e
PYTEST_ARGS ?=

# A network that inspects TLS has its CA in the system store; uv would otherwise trust only its own roots.
export UV_SYSTEM_CERTS ?= true
export UV_NATIVE_TLS ?= true
# The same for npm: Node before 22.15 cannot be told to use the system store, only a file.
SYSTEM_ROOTS = $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))

# `command -v uv` is not enough: pyenv leaves a shim that fails when the chosen Python has no uv.
# Expanded when a recipe uses it, so that a run with nothing to install asks nothing.
UV = $(shell uv --version >/dev/null 2>&1 && echo uv || echo .tools/bin/uv)
PYTHON = $(shell for python in python3.13 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1 && echo $$python && break; done)

help:  ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/make \1: \2/p' $(MAKEFILE_LIST)

install: $(STAMP)  ## .venv with exactly what requirements.lock names, and midstream itself

$(STAMP): requirements.lock pyproject.toml | $(VENV)
	$(if $(filter .tools/%,$(UV)),test -x .tools/bin/uv || { $(PYTHON) -m venv .tools && .tools/bin/python -m pip \
		--disable-pip-version-check install --quiet "uv==$(UV_VERSION)"; })
	$(UV) pip sync --quiet --python $(VENV) --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(VENV) --no-deps --editable .
	@touch $@

# Without a Python 3.13, uv fetches one.
$(VENV):
	$(if $(PYTHON),$(PYTHON) -m venv --without-pip $@,$(if $(filter uv,$(UV)),uv venv --quiet --python 3.13 $@,\
		@echo 'midstream needs Python 3.13 (pyenv install 3.13) or uv on this machine' >&2; exit 1))

lint: install  ## style, imports, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: install  ## mypy, strict
	$(BIN)/mypy

test: install  ## everything but the agents from npm
	$(BIN)/pytest -n auto -m 'not e2e' $(PYTEST_ARGS)

e2e: install $(E2E)/node_modules/.installed  ## real agents from npm behind midstream
	$(BIN)/pytest -m e2e $(PYTEST_ARGS)

$(E2E)/node_modules/.installed: $(E2E)/package.json $(E2E)/package-lock.json
	@command -v npm >/dev/null || { echo 'make e2e needs npm (Node.js 20 or later)' >&2; exit 1; }
	NODE_EXTRA_CA_CERTS="$${NODE_EXTRA_CA_CERTS:-$(SYSTEM_ROOTS)}" npm ci --prefix $(E2E) --no-audit --no-fund --loglevel=error
	@touch $@

demo: install  ## a tour over real TLS against a stand-in provider
	@$(BIN)/midstream demo

bench: install  ## midstream against stock mitmdump in one run (BENCH_ARGS=--json)
	@$(BIN)/python -m bench $(BENCH_ARGS)
	@$(BIN)/python -m bench.codecs

lock: install  ## resolve the dependencies of pyproject.toml anew
	$(UV) pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-header --no-annotate \
		--upgrade --extra demo --group dev --output-file requirements.lock pyproject.toml
	$(UV) pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-header --no-annotate \
		--constraint requirements.lock --output-file requirements-runtime.lock pyproject.toml

clean:  ## remove what the targets above made
	rm -rf $(VENV) .tools $(E2E)/node_modules .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
