# Two commands for a newcomer, each alone on a fresh clone: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check check-plugins benchmark-score benchmark-data benchmark-step benchmark-loop \
  benchmark-resume benchmark-bootstrap faults
demo: .venv/ready
	$(BIN)/bench demo

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-plugins: .venv/ready
	$(BIN)/bench check --all --quick

benchmark-score: .venv/ready
	$(BIN)/python -m tests.benchmarks.scoring $(DATA) $(SNVS)

benchmark-data: .venv/ready
	$(BIN)/python -m tests.benchmarks.encoding $(ROWS)

benchmark-step: .venv/ready
	$(BIN)/python -m tests.benchmarks.step

benchmark-loop: .venv/ready
	$(BIN)/python -m tests.benchmarks.loop

benchmark-resume: .venv/ready
	$(BIN)/python -m tests.benchmarks.resume $(KILLS)

benchmark-bootstrap: .venv/ready
	$(BIN)/python -m tests.benchmarks.bootstrap $(DATA) $(SNVS)

MINUTES := 60
faults: .venv/ready
	$(BIN)/python -m tests.faults --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed. Try: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
