"""One lab of real guests for all boot tests, and the key that opens them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_fixtures import HostShell

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import Lab, golden, qemu_command, qemu_firmware


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    cache = golden.default_cache()
    try:
        qemu_command.needed()
        qemu_firmware.needed()
        if not golden.place(cache).exists():
            golden.needed()
    except LabFault as fault:
        if os.environ.get("CI"):
            raise
        pytest.skip(fault.message)
    golden.build(cache)
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.start(guests="qemu", golden_cache=cache)
    yield lab
    lab.stop()


@pytest.fixture(scope="session")
def host(lab: Lab) -> Iterator[HostShell]:
    shell = HostShell(lab)
    yield shell
    shell.close()


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place)], check=True)
    return place
