# Each target makes the environment it needs: Python and make are enough.
#
#   make demo                        train a model with several activations
#   make test ARGS="-k softplus"     ARGS goes to the tool behind the target
#   make test PYTHON=python3.12      another Python than python3, for a new environment

PYTHON ?= python3
ARGS ?=

RUN := .venv/bin/python
RUN_NEWEST := .venv-newest/bin/python

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := test
.NOTPARALLEL:
.PHONY: demo test exhaustive peers examples lint types accuracy tables bench parity docs browser long newest newest-python clean

demo: .venv/with-demo
	$(RUN) examples/digits_cnn.py $(ARGS)

test: .venv/with-tests
	$(RUN) -m pytest $(ARGS)

# All contracts of all activations, of which `make test` runs a sample each day.
exhaustive: .venv/with-tests
	$(RUN) -m pytest --one-in 1 $(ARGS)

# Values and gradients against Keras and torch, which `make test` leaves out if they are missing, and
# so does CI, for time.
peers: .venv/with-tests .venv/with-peers
	$(RUN) -m pytest tests/peers $(ARGS)

# The examples in short runs, which `make test` leaves out if what they need is missing.
examples: .venv/with-tests .venv/with-demo
	$(RUN) -m pytest tests/examples $(ARGS)

lint: .venv/with-lint
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

# The tests and the examples are checked too, so what they import is installed.
types: .venv/with-lint .venv/with-tests .venv/with-demo
	$(RUN) -m mypy $(ARGS)

accuracy: .venv/with-tests
	$(RUN) -m advact_jax accuracy $(ARGS)

# The tables of README.md and of the documents, and their pictures.
tables: .venv/with-tests .venv/with-demo
	$(RUN) docs/tables.py $(ARGS)
	$(RUN) docs/picture.py

# Speed and memory against jax.nn, Keras, torch, Flax and entmax: the record in docs/benchmarks. All of
# it takes hours, `make bench ARGS=--short` some minutes, which leaves the record as it is;
# ARGS="speed memory" runs these parts.
bench: .venv/with-tests .venv/with-peers .venv/with-demo
	$(RUN) -m benchmarks $(ARGS)

# The same nets trained with jax.nn's functions and with ours, for thousands of steps.
parity: .venv/with-tests .venv/with-demo
	$(RUN) -m benchmarks parity $(ARGS)

# The site, in docs/_build/html: a warning, a broken link or a public name without a page is an error.
docs: .venv/with-docs
	$(RUN) -m sphinx -j 2 -W -n --keep-going -b html docs docs/_build/html $(ARGS)

# The site in a real browser, for which Chromium must be installed.
browser: docs .venv/with-tests .venv/with-browser
	$(RUN) -m pytest -n0 tests/site $(ARGS)

# Every command of the documents that takes minutes, benchmarks in short: a quarter of an hour.
long: demo docs peers accuracy .venv/with-tests .venv/with-peers .venv/with-demo
	$(RUN) -m pytest --long -n0 -m long $(ARGS)

# The contracts once more, on the newest Python here and so on the newest JAX.
newest: .venv-newest/with-tests
	$(RUN_NEWEST) -m pytest tests/contracts $(ARGS)

newest-python:
	@$(PYTHON) .ci/newest_python.py

clean:
	rm -rf .venv .venv-newest .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	rm -rf docs/_build docs/activations docs/api docs/project
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Environments. An empty file in them marks each step that is done.
# A newer pyproject.toml makes the environment anew.

.venv/made: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo >&2 "advact_jax needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)"; \
	    echo >&2 "Name another one: make PYTHON=/path/to/python3.11"; \
	    exit 1; }
	$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/with-%: .venv/made
	$(RUN) -m pip install --quiet --editable '.[$*]'
	@touch $@

.venv-newest/made: pyproject.toml
	@python=$$($(PYTHON) .ci/newest_python.py) && \
	if [ -z "$$python" ]; then echo >&2 "No Python newer than $(PYTHON) found."; exit 1; fi && \
	echo "$$python -m venv --clear .venv-newest" && \
	"$$python" -m venv --clear .venv-newest
	@touch $@

.venv-newest/with-%: .venv-newest/made
	$(RUN_NEWEST) -m pip install --quiet --editable '.[$*]'
	@touch $@
