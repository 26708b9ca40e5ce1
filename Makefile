# Everything needed is set up on the way: Debian packages when root, the rest in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
DEMO_READY := $(VENV)/.ready-for-demo
READY := $(VENV)/.ready-for-tests
WORKERS ?= auto
MINUTES ?= 10

.PHONY: demo test lint docs man bench faults fuzz conformance mutation wheel-test supply clean

demo: $(DEMO_READY) ## start the lab and a Salmon app, send a dozen messages, print what happened
	@$(BIN)/python -m tests.demo

test: $(READY) ## run all tests
	$(BIN)/pytest -n $(WORKERS)

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(READY) ## build the documentation as HTML in build/docs
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[docs]"
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -n -W --keep-going -q -b html docs build/docs

man: $(READY) ## make the man pages in build/man
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[docs]"
	$(BIN)/python docs/generate.py build/man

bench: $(READY) ## measure, beside others, in one run
	@$(BIN)/python -m tests.bench

faults: $(READY) ## break what is around a running server, at full size: about an hour
	@$(BIN)/python -m tests.faults

fuzz: $(READY) ## fuzz what reads strangers' bytes, each target for MINUTES
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[fuzz]" || echo "No atheris here: inputs are made blindly."
	@nice $(BIN)/python -m tests.fuzz --minutes $(MINUTES)

conformance: $(READY) ## run the tests that show requirements of RFCs, write docs/conformance.md
	$(BIN)/python -m tests.conformance.report -n $(WORKERS)

mutation: $(READY) ## change the code in small ways, one at a time, and tell which changes no test saw
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[mutation]"
	rm -rf mutants
	nice -n 19 $(BIN)/mutmut run
	$(BIN)/python -m tests.mutation

wheel-test: $(READY) ## build the wheel and run the tests against it, the sources out of reach
	sh tests/wheel_test.sh $(BIN)/python $(WORKERS)

supply: $(READY) ## look at what is shipped and what it stands on; wheel and sdist go to dist/
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[supply]"
	@WORKERS=$(WORKERS) $(BIN)/python -m tests.supply

$(READY): setup.cfg pyproject.toml tests/lab/prepare.sh tests/interop/fetch.sh tests/interop/package-lock.json
	sh tests/lab/prepare.sh tests $(PYTHON) $(VENV)
	@touch $@ $(DEMO_READY)

$(DEMO_READY): setup.cfg pyproject.toml tests/lab/prepare.sh
	sh tests/lab/prepare.sh demo $(PYTHON) $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist mutants *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
