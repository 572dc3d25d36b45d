# SPDX-License-Identifier: Apache-2.0
# `make help` lists the commands. Everything runs from .venv, which `make setup` makes once and renews only when
# setup.cfg, pyproject.toml or constraints.txt changes. Targets are relative, so a space in the path does no harm.
# MONAI Label needs older libraries and has an environment of its own: `make label` makes .venv-label.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LABEL_VENV := .venv-label
LABEL_STAMP := $(LABEL_VENV)/.installed
LABEL_PIP := $(LABEL_VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar off -q -c constraints-label.txt
# The pinned set of constraints.txt is for Python 3.11 and newer; 3.11 is what it is tested with.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
# MONAI Label's client imports cgi, which Python 3.13 no longer has.
LABEL_PYTHON ?= $(shell for p in python3.11 python3.12; do command -v "$$p" >/dev/null && echo "$$p" && break; done)
OUT ?= demo_out
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all bundles label docs lint format bench clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

setup: $(STAMP)  ## make .venv and install the package with everything its own commands need

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "monai_causal needs Python 3.11 or newer for its pinned set (constraints.txt); found: $$(python3 --version 2>&1)." >&2; \
		echo "Install python3.11, or name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q -c constraints.txt -e '.[all,docs,dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## the main job, offline, into demo_out (OUT=DIR for elsewhere)
	$(BIN)/monai-causal demo --out "$(OUT)"

test: $(STAMP)  ## the fast tests: offline, two cores, under 15 minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow and not real' -q

test-all: $(STAMP)  ## all tests, the slow ones and those on real data too
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -q

bundles: $(STAMP)  ## check every MONAI bundle as the model zoo does, with every command of their READMEs
	$(BIN)/python -m pytest -n $(WORKERS) -q tests/bundles

label: $(LABEL_STAMP)  ## make .venv-label, where a MONAI Label server runs (8.5 GB)

# sam2 comes as source and would build against a second torch: it gets the one that is there, and no CUDA code of its own.
$(LABEL_STAMP): setup.cfg constraints-label.txt
	@if [ -z "$(LABEL_PYTHON)" ]; then \
		echo "MONAI Label needs Python 3.11 or 3.12; name one: make label LABEL_PYTHON=/path/to/python3.11" >&2; exit 1; fi
	"$(LABEL_PYTHON)" -m venv $(LABEL_VENV)
	$(LABEL_PIP) setuptools wheel numpy torch torchvision
	SAM2_BUILD_CUDA=0 $(LABEL_PIP) --no-build-isolation --no-deps sam2
	$(LABEL_PIP) -e '.[clip,train,label]'
	@touch $(LABEL_STAMP)

docs: $(STAMP)  ## the documentation, offline, into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy monai_causal

format: $(STAMP)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## the engine's benchmark; results go to docs/results
	$(BIN)/python benchmarks/engine.py --out docs/results

clean:  ## remove .venv, .venv-label and what the tools left behind
	rm -rf $(VENV) $(LABEL_VENV) build docs/_build docs/api/generated *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
