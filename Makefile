# All targets need nothing but Python 3.11+ and make; they install what they need into .venv.
#   make demo         train three systems on synthetic music, attack and compare them
#   make demo-birds   the same with synthetic birds: ordinary training and two kinds of adversarial training
#   make test         run the default test suite
#   make test-slow    run the tests that take longer, too
#   make test-oldest  run it with the oldest allowed versions of all dependencies
#   make lint         check style and format
#   make typecheck    check types

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
WHAT_INSTALLS := pyproject.toml constraints.txt
OLDEST := .venv-oldest
INSTALLED_OLDEST := $(OLDEST)/.installed

define CHECK_PYTHON
@$(PYTHON) --version >/dev/null 2>&1 || { \
  echo "There is no working '$(PYTHON)'. Name another Python: make PYTHON=python3.12 ..." >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
  echo "SteadyEar needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
  echo "Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
@$(PYTHON) -c 'import venv, ensurepip' || { \
  echo "'$(PYTHON)' cannot make virtual environments; on Debian: apt install python3-venv." >&2; exit 1; }
endef

.PHONY: install demo demo-birds test test-slow test-oldest lint typecheck clean

install: $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/steadyear demo

demo-birds: $(INSTALLED)
	$(BIN)/steadyear demo birds

test: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(INSTALLED_DEV)
	$(BIN)/mypy

# Without the whole demonstration, which takes as long as all others; make demo shows it.
test-slow: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'slow and not gpu' -k 'not test_demo_shows'

test-oldest: $(INSTALLED_OLDEST)
	$(OLDEST)/bin/python -m pytest -n auto --dist loadfile

$(INSTALLED): $(WHAT_INSTALLS)
	$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(INSTALLED_OLDEST): pyproject.toml constraints-oldest.txt
	$(CHECK_PYTHON)
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(OLDEST) build *.egg-info
