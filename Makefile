# One word each; CI runs the same words (.ci/run). `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAB_FLAGS ?=
PYTEST_FLAGS ?=
FUZZ_INPUTS ?= 1000000
SOAK_SECONDS ?= 600
SOAK_FLAGS ?=

SYSTEM_BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
# pdoc follows a package's __all__, which for chaosnb is what users call; the reference is to show every room.
DOCUMENTED = $(subst /,.,$(patsubst %/__init__.py,%,$(patsubst %.py,%,$(filter-out %/__init__.py %/__main__.py,$(SOURCES)))\
  $(filter %/__init__.py,$(SOURCES))))
SOURCES = $(sort $(shell find chaosnb -name '*.py'))
CHECKED := $(wildcard chaosnb tests benchmarks docs demo fuzz soak)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench bench-browser fuzz soak docs screenshots clean

help: ## list these words
	@awk -F ':.*## ' '/^[a-z-]+:[^=].*## / {printf "make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.installed ## make .venv with everything that development needs

# Each is made again when the dependencies change, and only then.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

$(VENV)/.installed-for-demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[jupyter]"
	@touch $@

$(VENV)/.installed-for-bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "chaosnb needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "'$(PYTHON)' cannot make virtual environments (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A newcomer waits for JupyterLab only; a developer's .venv has it already.
demo: $(if $(wildcard $(VENV)/.installed),setup,$(VENV)/.installed-for-demo) ## watch a live dashboard: JupyterLab runs notebook 01 by itself (LAB_FLAGS="--no-browser --port 8899")
	rm -rf build/demo
	mkdir -p build/demo
	cp -R notebooks/. build/demo/
	CHAOSNB_URL=devnet JUPYTER_CONFIG_DIR=build/demo/.jupyter \
	  $(BIN)/jupyter lab --config=demo/jupyter_lab_config.py $(LAB_FLAGS)

test: setup ## run every test, those in a browser too; a test that cannot run fails
ifeq ($(SYSTEM_BROWSER),)
	$(BIN)/python -m playwright install chromium
endif
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

check: setup ## lint (Python and JavaScript), format and types
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/oxlint --deny-warnings -D correctness -D suspicious -D perf $(wildcard chaosnb/*/*.js)
	$(BIN)/mypy

bench: $(VENV)/.installed-for-bench ## run every benchmark (benchmarks/README.md says what they are)
	@test -n "$(wildcard benchmarks/bench_*.py)" || { echo "there is no benchmarks/bench_*.py" >&2; exit 1; }
	@set -e; for script in $(sort $(wildcard benchmarks/bench_*.py)); do \
	  echo "== $$script"; $(BIN)/python $$script; done

bench-browser: $(VENV)/.installed-for-bench ## measure the dashboard in JupyterLab and a headless Chromium
	$(BIN)/python benchmarks/bench_browser.py

fuzz: setup ## feed mutated messages to decoder, session and tables (FUZZ_INPUTS=1000000)
	$(BIN)/python -m fuzz --inputs $(FUZZ_INPUTS)

soak: setup ## run a stream against a node that fails every second, and compare it with the truth (SOAK_SECONDS=600)
	$(BIN)/python -m soak --seconds $(SOAK_SECONDS) $(SOAK_FLAGS)

docs: setup ## build the API reference in build/docs
	$(BIN)/pdoc --docformat numpy --output-directory build/docs $(DOCUMENTED)

screenshots: setup ## make the pictures of the README anew
	$(BIN)/python docs/screenshots.py
	$(BIN)/python docs/figures.py

clean: ## remove what the other words made, .venv too
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
