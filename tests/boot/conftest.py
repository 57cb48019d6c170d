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
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def lab(lab_folder: Path) -> Iterator[Lab]:
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
    lab = Lab(lab_folder)
    lab.start(guests="qemu", golden_cache=cache)
    yield lab
    lab.stop()


@pytest.fixture(autouse=True)
def what_guests_said(lab: Lab, lab_folder: Path) -> Iterator[None]:
    """Prints the end of each console and what QEMU said; it is shown when the test fails."""
    yield
    for said in sorted(lab_folder.glob("guests/*/*.log")):
        lines = said.read_text("utf-8", "replace").splitlines()[-12:]
        print(f"== {said.parent.name}/{said.name}", *lines, sep="\n")


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
