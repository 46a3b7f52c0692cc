# Everything a fresh machine with Python 3 and make needs.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test test-slow soak lint docs clean

demo: $(VENV)/installed
	$(BIN)/crowd3d reconstruct docs/demo/plaza.jpg -o demo-out
	@echo "Open demo-out/report.html in a browser."

# One worker a core, and one thread each: most tests are Python, which has one thread anyway.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test: lint
	$(PYTEST)

test-slow: $(VENV)/dev
	$(PYTEST) -m "slow or not slow"

# Spoiled files for a minute each parser, another seed every day.
soak: $(VENV)/dev
	CROWD3D_FUZZ_SECONDS=60 CROWD3D_FUZZ_SEED=$$(date +%j) OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -n auto -rP tests/fuzz

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy crowd3d tiling optim benchmarks/*.py

# The variable is against an advertisement; --quiet would make --strict pass.
docs: $(VENV)/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html in a browser."

# torch first and pinned: its newer releases on PyPI bring gigabytes of CUDA libraries.
$(VENV)/torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	@touch $@

$(VENV)/installed: $(VENV)/torch setup.cfg
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -e ".[dev,docs]"
	@touch $@

clean:
	rm -rf $(VENV) build site dist *.egg-info demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
