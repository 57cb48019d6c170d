# Two commands do everything on a fresh machine: `make demo` runs the main job on the built-in lab,
# `make test` runs the tests. Each sets up what it needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEBIAN := busybox-static bubblewrap python3-venv qemu-utils age zstd openssh-client

.PHONY: demo test check slow generate setup packages clean

demo: setup
	$(BIN)/ceso demo

test: setup
	$(BIN)/pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m ceso_mcp.surfaces.mcp.schemas --check
	$(BIN)/pytest

slow: setup
	$(BIN)/pytest -m slow

generate: setup
	$(BIN)/python -m ceso_mcp.surfaces.mcp.schemas
	CESO_UPDATE_GOLDEN=1 $(BIN)/pytest tests/unit/guest/test_guest_golden.py

setup: packages $(VENV)/.ready

packages:
	@sh scripts/debian-packages $(DEBIAN)

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
