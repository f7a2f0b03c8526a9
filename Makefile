# Three commands need nothing but Python 3.11+ and make:
#   make demo   installs, trains three systems on synthetic music, attacks and compares them
#   make demo-birds   the same with synthetic birds: ordinary training and two kinds of adversarial training
#   make test   installs the development extras and runs the whole default test suite

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
WHAT_INSTALLS := pyproject.toml constraints.txt

.PHONY: install demo demo-birds test clean

install: $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/steadyear demo

demo-birds: $(INSTALLED)
	$(BIN)/steadyear demo birds

test: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -n auto

$(INSTALLED): $(WHAT_INSTALLS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "SteadyEar needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { \
	  echo "'$(PYTHON)' cannot make virtual environments; on Debian: apt install python3-venv." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
