# Two commands do everything on a fresh machine: `make demo` runs the main job on the built-in lab,
# `make test` runs the tests. Each sets up what it needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Tests wait for a make-believe host more than they compute, so there may be more of them than processors.
WORKERS ?= 6
NODE   := $(CURDIR)/.node
DEBIAN := busybox-static bubblewrap e2fsprogs python3-venv qemu-utils age zstd gpg gpg-agent openssh-client
# What the benchmarks compare with, and what they need besides.
RIVALS := openssh-server restic borgbackup util-linux iproute2
# Servers that the slow suites of repositories run against.
STORAGE := openssh-server knot
# Real guests in QEMU, and the image that they boot from.
GUESTS := qemu-system-x86 ovmf mmdebstrap mtools grub-pc-bin grub-efi-amd64-bin grub-common e2fsprogs iproute2 dnsmasq-base openssh-client
# Whose decisions are compared with ours.
OTHERS := restic shellcheck lvm2
# Unpacks releases of Debian and Ubuntu, whose cloud-init and netplan read what guests are told.
RELEASES := mmdebstrap

.PHONY: demo test lint check slow boot chaos benchmark generate setup packages inspector clean

demo: setup
	$(BIN)/ceso demo

test: setup
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m ceso_mcp.surfaces.mcp.schemas --check

check: lint test

# The slow suites, those with real storage servers one after the other; with `make inspector` before, the MCP inspector is one of them.
slow: setup
	@sh scripts/debian-packages $(STORAGE) $(OTHERS) $(RELEASES)
	$(BIN)/pip install --quiet --editable '.[storage]'
	$(BIN)/pytest -m slow -rs tests/contract
	CESO_TEST_NODE=$(NODE)/node_modules/node/bin $(BIN)/pytest -m slow -rs -n 4 --dist loadfile --ignore tests/contract

# Boots real guests; the image of the first run is kept in the cache folder. CESO_BOOT=all adds resets, reboots and a
# killed server.
boot: setup
	@sh scripts/debian-packages $(GUESTS)
	CI=1 XDG_CACHE_HOME=$${XDG_CACHE_HOME:-$${HOME:-/tmp}/.cache} $(BIN)/pytest -m boot tests/boot -n 2 --dist loadfile

# Operations broken at every step: a fixed sample, or all of it with CESO_CHAOS=all.
chaos: setup
	$(BIN)/pytest -m chaos tests/chaos -n 4 --dist load -rA --no-header -q

# Compares with a plain pipe, restic and borg; the machine must have nothing else to do. About an hour.
benchmark: setup
	@sh scripts/debian-packages $(RIVALS)
	$(BIN)/python benchmarks/compare.py

generate: setup
	$(BIN)/python -m ceso_mcp.surfaces.mcp.schemas
	CESO_UPDATE_GOLDEN=1 $(BIN)/pytest tests/unit/guest/test_guest_golden.py

inspector:
	mkdir -p $(NODE)
	npm install --silent --no-fund --no-audit --prefix $(NODE) node@24 @modelcontextprotocol/inspector@2.12.0

setup: packages $(VENV)/.ready

packages:
	@sh scripts/debian-packages $(DEBIAN)

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(NODE) .pytest_cache .mypy_cache .ruff_cache .hypothesis
