# Everything runs in .venv, which the first target that needs it sets up: Python 3.11 or newer is all it takes.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
STAMP := .venv/.installed
export PYBAMM_DISABLE_TELEMETRY := true

.PHONY: validate test check calibrate study-particulate bench bench-sweeps verify clean

validate: $(STAMP)
	$(BIN)/interphase-sim validate

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

calibrate: $(STAMP)
	$(BIN)/interphase-sim calibrate

# Goes on where it was interrupted; `clean` takes what it has stored.
study-particulate: $(STAMP)
	$(BIN)/python -m validation.particulate --workers $(JOBS)

# One process at a time: nothing else should run on the machine meanwhile. Goes on where it was interrupted.
bench: $(STAMP)
	$(BIN)/python -m benchmarks

# Nothing else should run on the machine meanwhile.
bench-sweeps: $(STAMP)
	$(BIN)/python -m validation.sweeps

# Goes on where it was interrupted; verify-orders and the like are parts of it.
verify: $(STAMP)
	$(BIN)/python -m validation.verification --workers $(JOBS)

verify-%: $(STAMP)
	$(BIN)/python -m validation.verification $* --workers $(JOBS)

# Constraints do not reach isolated builds, so the build tools go in first.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --no-build-isolation -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf build dist validation/output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find interphase_sim tests validation -name __pycache__ -prune -exec rm -rf {} +
