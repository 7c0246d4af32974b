# Two commands set everything up: `make demo` and `make test`. The rest is for those who build it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench bench-accept fuzz soak wheel lock sbom audit clean

help:
	@echo "make demo    install into .venv and watch the whole story, on this machine alone"
	@echo "make test    install what the tests need and run them"
	@echo "make check   lint, types, import rules"
	@echo "make fuzz    look for mail that the reader cannot stand, for five minutes (Linux and macOS)"
	@echo "make bench-accept  how fast mail is accepted, beside Postfix (which must be installed) and a server that keeps nothing"
	@echo "make soak    the rest of the long rows of kills; mail through a real Postfix and from swaks; a simulated year; then ten minutes of mail under SIGKILLs"
	@echo "make wheel   build the wheel, and try it in an environment of its own outside the checkout"
	@echo "make sbom    the bill of materials of what is installed (CycloneDX), into build/"
	@echo "make audit   ask PyPI for known vulnerabilities of what is locked; says so where it cannot be asked"
	@echo "make bench   times from the dot to 250, acknowledgement and card; memory; the record at 100,000 cases"

# A stamp holds the lock file's install, so that the second run starts at once.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "intake-bot needs Python 3.11 or newer; name one with: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing from requirements.lock (the first time takes a minute or two) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "installing from requirements-dev.lock ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/intake-bot demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python .ci/supply.py licences

bench: $(VENV)/.installed
	$(BIN)/python bench/intake.py
	$(BIN)/python bench/record.py $(ARGS)
	$(BIN)/python bench/triage_speed.py
	$(BIN)/python bench/clocks.py

# Not in the lock: it is large, and needed for nothing else.
fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris==3.0.0
	$(BIN)/python bench/fuzz_reading.py $(ARGS)

bench-accept: $(VENV)/.installed
	$(BIN)/python bench/accept.py $(ARGS)

# Debian's postfix and swaks, and root for the former: what is absent is skipped, with a word.
soak: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --slow -m slow -n auto --dist loadfile
	$(BIN)/python -m pytest tests/soak/through_postfix.py tests/soak/cut_line.py -rs
	PYTHONPATH=tests $(BIN)/python -m soak.year
	PYTHONPATH=tests $(BIN)/python -m soak.soak $(ARGS)

# What a council installs: the wheel in an environment of its own, with neither the checkout nor its folders in reach.
WHEEL := build/wheel
wheel: $(VENV)/.installed-dev
	rm -rf $(WHEEL) dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(PYTHON) -m venv $(WHEEL)/env
	$(WHEEL)/env/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(WHEEL)/env/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(WHEEL)/env/bin/python -m pip install --quiet --disable-pip-version-check --no-deps dist/intake_bot-*.whl
	mkdir -p $(WHEEL)/elsewhere && cp -r tests docs pyproject.toml $(WHEEL)/elsewhere/
	cd $(WHEEL)/elsewhere && ../env/bin/python -c 'import intake_bot, sys; sys.exit("elsewhere" in intake_bot.__file__)'
	cd $(WHEEL)/elsewhere && ../env/bin/intake-bot demo
	cd $(WHEEL)/elsewhere && ../env/bin/python -m pytest tests/acceptance/test_main_job.py tests/acceptance/test_demo.py tests/acceptance/test_advice.py \
	  tests/contract/test_migrations.py tests/contract/test_figures.py tests/unit/mail $(ARGS)

sbom: $(VENV)/.installed-dev
	$(BIN)/python .ci/supply.py sbom build/sbom.cdx.json

# In an environment of its own, and not in the lock: it is no part of us. Whether it asked about every package is looked into.
AUDIT := build/audit
audit: $(VENV)/.installed-dev
	$(PYTHON) -m venv $(AUDIT)
	-$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	rm -f $(AUDIT)/report.json
	-$(AUDIT)/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off \
	  --format json --output $(AUDIT)/report.json 2>/dev/null
	@$(BIN)/python .ci/supply.py audited $(AUDIT)/report.json

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Needs uv (https://docs.astral.sh/uv/): one lock for every Python from 3.11 and every platform, with hashes.
lock:
	uv pip compile pyproject.toml --extra postgres --extra mx --extra uvloop --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" -q -o requirements.lock
	uv pip compile pyproject.toml --extra postgres --extra mx --extra uvloop --group dev -c requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-package intake-bot --custom-compile-command "make lock" -q \
	  -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache *.egg-info build dist
