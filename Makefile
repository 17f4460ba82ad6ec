# The doors of this house. `make demo` or `make test` is the only command a fresh machine needs:
# each first builds the project's own .venv from requirements.lock, where every file is checked against its hash.
# All it asks of the machine: make, and a Python of at least 3.11 with venv and pip.

.DEFAULT_GOAL := help
.SHELLFLAGS := -euc
MAKEFLAGS += --no-print-directory

# Which interpreter makes .venv: `make test PYTHON=python3.13`. Empty: the first that fits.
PYTHON ?=
# What `make demo` shows, and further arguments for pytest: `make test ARGS='-k builder -x'`.
DEMO ?= run examples/07_real_world/flights.py
ARGS ?=

PY := .venv/bin/python
# Named after the checkout: a copied .venv still points at the code it was made for, so a copy installs again.
EMPTY :=
INSTALLED := .venv/.installed$(subst /,-,$(subst $(EMPTY) $(EMPTY),_,$(CURDIR)))

# Sources with types; the examples count, because users copy them.
TYPED := src stubs examples

.PHONY: help demo test check lint types docs docs-serve bench bench-quick chaos lock wheel clean

help:  ## list what there is to do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(INSTALLED)  ## run the flights example on a year of real data
	@$(PY) -m graflow $(DEMO)

test: $(INSTALLED)  ## run every test (not the benchmarks)
	@$(PY) -m pytest $(ARGS)

check: lint types docs  ## everything but the tests: format, lint, both type checkers, docs

lint: $(INSTALLED)  ## ruff: rules and format
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --quiet --check . || { echo "cure: $(PY) -m ruff format ."; exit 1; }

types: $(INSTALLED)  ## mypy --strict and pyright
	@$(PY) -m mypy --no-error-summary $(TYPED)
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PY) -m pyright --pythonpath $(PY)

docs: $(INSTALLED)  ## build the documentation into site/; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict

docs-serve: $(INSTALLED)  ## show the documentation while writing it
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs serve

bench: $(INSTALLED)  ## every benchmark, against the floors and peers (minutes)
	@$(PY) tests/bench/full.py $(ARGS)

bench-quick: $(INSTALLED)  ## the benchmarks that fit into a minute
	@$(PY) tests/bench/quick.py $(ARGS)

chaos: $(INSTALLED)  ## kill runs two hundred times, and write from two dozen processes for a minute
	@$(PY) tests/chaos/kill_and_resume.py $(ARGS)
	@$(PY) tests/chaos/many_writers.py --seconds 60

lock: $(INSTALLED)  ## renew requirements.lock from pyproject.toml (`ARGS=--upgrade` for newer releases)
	@.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	  --all-extras --group dev pyproject.toml --output-file requirements.lock $(ARGS)
	@! grep -nE '://|^-|[ @]/' requirements.lock || { echo "requirements.lock names a host or a path"; exit 1; }

wheel: $(INSTALLED)  ## build dist/graflow-*.whl
	@.venv/bin/uv build --quiet --wheel --no-build-isolation --python $(PY)
	@ls dist/*.whl

clean:  ## remove what can be made again, .venv too
	rm -rf .venv build dist site .hypothesis .graflow flights-report
	find . -type d '(' -name __pycache__ -o -name .mypy_cache -o -name .ruff_cache -o -name .pytest_cache ')' \
	  -prune -exec rm -rf {} +

# pip brings uv, at the version and hashes of the lock file; uv brings the rest.
# `--without-pip` and the interpreter's own pip: some systems ship venv without ensurepip.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  rm -rf .venv; \
	  for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14); do \
	    "$$python" -c 'import sys, venv, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    echo "making .venv with $$("$$python" --version)"; \
	    "$$python" -m venv --without-pip .venv; \
	    sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock; \
	    "$$python" -m pip --python $(PY) install --quiet --disable-pip-version-check --no-deps \
	      --require-hashes -r .venv/uv.lock; \
	    break; \
	  done; \
	  [ -x $(PY) ] || { \
	    echo "graflow needs Python 3.11 or later with the modules venv and pip, and found none as:"; \
	    echo "  $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14)"; \
	    echo "Install one (Debian, Ubuntu: apt-get install python3-venv python3-pip), or name it: make $(or $(MAKECMDGOALS),test) PYTHON=/path/to/python"; \
	    exit 1; }; }
	@echo "installing what requirements.lock lists"
	@.venv/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock
	@.venv/bin/uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@rm -f .venv/.installed* && touch $@
