from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

import lab_fixtures
from lab_fixtures import HostShell

host_shell = lab_fixtures.host_shell
lab = lab_fixtures.lab
lab_server = lab_fixtures.lab_server

DATASTORE1 = "/vmfs/volumes/datastore1"
BACKUP = "/vmfs/volumes/Backup SSD (nvme)"
GOLDEN = f"{DATASTORE1}/ubuntu-24.04-golden/ubuntu-24.04-golden"


@pytest.fixture
def transcript() -> Callable[[str], str]:
    """The text of a capture from a real host."""

    def read(name: str) -> str:
        return (Path(__file__).parent / "transcripts" / f"{name}.txt").read_text()

    return read


@pytest.fixture
def clone(host_shell: HostShell) -> Callable[..., int]:
    """Clone the golden template by hand, as the field does; returns the new vmid."""

    def make(name: str, *lines: str) -> int:
        folder = f"{DATASTORE1}/{name}"
        host_shell.ok(f"mkdir {folder} && vmkfstools -i {GOLDEN}.vmdk -d thin {folder}/{name}.vmdk")
        host_shell.ok(
            f"sed -e '/^uuid/d' -e '/^vc.uuid/d' -e 's/ubuntu-24.04-golden/{name}/' {GOLDEN}.vmx"
            f" > {folder}/{name}.vmx && cat >> {folder}/{name}.vmx",
            "".join(f"{line}\n" for line in lines).encode(),
        )
        return int(host_shell.ok(f"vim-cmd solo/registervm {folder}/{name}.vmx"))

    return make


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait, bounded, until something holds."""

    def wait(holds: Callable[[], bool], timeout_s: float = 5) -> None:
        end = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < end, "did not come true in time"
            time.sleep(0.02)

    return wait
