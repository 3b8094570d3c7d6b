# Two commands for a newcomer: `make up` and `make test`. Each sets up all that it needs.
.POSIX:
.DELETE_ON_ERROR:
.PHONY: help up test test-all lint unit e2e mutants faults molecule controls down bench clean

PYTHON ?= python3
BENCH =
SCENARIO = default reload full refusal device
CONTROL =
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

help:
	@echo 'make up    a guest with VexFS built, loaded, formatted and mounted, each stage verified'
	@echo 'make test  every linter, every unit test, and of the tests in real guests those that CI needs'
	@echo 'make test-all  all of them: every mutant, every injected fault, every molecule scenario'
	@echo 'make lint | unit | e2e   a part of them; make mutants: every broken variant of VexFS must be caught'
	@echo 'make faults    every injected fault; what was seen is written to docs/reliability.md'
	@echo 'make molecule   every molecule scenario; make molecule SCENARIO=reload: one of them'
	@echo 'make controls   no check may fail on a filesystem of the kernel itself; make controls CONTROL=ext4: one of them'
	@echo 'make down  stop the guest'
	@echo 'make bench benchmarks: times, ratios and goals; make bench BENCH="up --runs 1" measures less'

# The environment is made anew when what it is made from changed.
$(INSTALLED): pyproject.toml .ci/venv
	@sh .ci/venv '$(PYTHON)' '$(VENV)'
	@touch $@

# What it prints names the command as `vexlab`, whatever came of it.
up: $(INSTALLED)
	@$(BIN)/vexlab doctor --install
	@$(BIN)/vexlab up || code=$$?; \
	command -v vexlab >/dev/null || echo 'vexlab is $(BIN)/vexlab; to have it in PATH: . $(BIN)/activate' >&2; \
	exit $${code:-0}

down: $(INSTALLED)
	@$(BIN)/vexlab down

test: $(INSTALLED)
	@$(BIN)/vexlab doctor --install
	@$(BIN)/python .ci/test.py lint unit guests

test-all: $(INSTALLED)
	@$(BIN)/vexlab doctor --install
	@$(BIN)/python .ci/test.py lint unit all-guests

molecule: $(INSTALLED)
	@$(BIN)/vexlab doctor --install
	@$(BIN)/python .ci/molecule.py $(SCENARIO)

controls: $(INSTALLED)
	@$(BIN)/vexlab doctor --install
	@$(BIN)/python .ci/controls.py $(CONTROL)

lint unit e2e mutants faults: $(INSTALLED)
	@$(BIN)/python .ci/test.py $@

# What vexlab is compared with is installed for this alone.
$(VENV)/.bench: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

bench: $(VENV)/.bench
	@$(BIN)/vexlab doctor --install
	@$(BIN)/python -m benchmarks $(BENCH)

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
