"""`ceso demo`: a day's work on a fresh lab, through MCP, with the disks compared in the end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceso_mcp.errors import StepFailed
from ceso_mcp.surfaces.cli.demo_client import Talk, connect, lab_environment
from ceso_mcp.surfaces.cli.output import console as open_console
from ceso_mcp.surfaces.cli.output import human_bytes, line
from ceso_mcp.surfaces.cli.render import render

if TYPE_CHECKING:
    from rich.console import Console

    from ceso_mcp.lab import Lab

VM, CLONE, ADDRESS = "web01", "web02", "192.0.2.10/24"
_READ_BYTES = 1 << 20


def demo_directory() -> Path:
    """Where the demo's own lab lives; the usual lab is left alone."""
    from ceso_mcp.config import state_root

    return state_root() / "demo"


def run_demo() -> None:
    """Run the demo to its end; raises CesoError if anything is not as it should be."""
    from ceso_mcp.lab import Lab

    console = open_console()
    directory = demo_directory()
    began = time.monotonic()
    lab = Lab(directory)
    lab.stop()
    shutil.rmtree(directory, ignore_errors=True)
    _heading(console, "A fresh lab: a make-believe ESXi host on this machine")
    address = lab.start(fresh=True)
    render(
        console, {"address": f"{address.user}@{address.host}:{address.port}", "directory": str(directory)}, 2
    )
    asyncio.run(_work(lab, directory, console))
    _heading(console, "The audit log is whole")
    _verify_audit(directory)
    _heading(
        console, f"All of it in {time.monotonic() - began:.0f} s. The lab keeps running; look around in it:"
    )
    for words in ("ceso --lab vm list", "ceso --lab audit show", "ceso lab shell", "ceso lab stop"):
        line(console, f"  CESO_LAB_DIR={shlex.quote(str(directory))} {words}")


async def _work(lab: Lab, directory: Path, console: Console) -> None:
    async with connect(directory, console) as client:
        talk = Talk(client, console)
        _heading(console, "What is there")
        host = await talk.ask("discover")
        names = ("host_name", "version", "build", "datastores", "portgroups", "templates")
        render(console, {name: host[name] for name in names if name in host}, 2)
        template, datastore = host["templates"][0], host["datastores"][0]["name"]

        _heading(console, f"Create {VM} from the golden template")
        await talk.change(
            "create_vm",
            name=VM,
            template=template,
            datastore=datastore,
            user="ops",
            ssh_keys=[_nobodys_key()],
            ipv4=ADDRESS,
            gateway4="192.0.2.1",
        )
        _heading(console, f"Shut {VM} down, clone it to {CLONE}, back it up")
        await talk.change("power_vm", vm=VM, action="shutdown")
        await talk.change("clone_vm", source=VM, name=CLONE)
        backup = await talk.change("backup_vm", vm=VM)
        before = _disk_digests(lab, datastore, VM)

        _heading(console, f"Delete {VM}: its disks are gone")
        await talk.change("delete_vm", vm=VM)
        if _disks(lab, datastore, VM):
            raise StepFailed(f"disks of {VM} are still there", code="demo_failed")

        _heading(console, f"Restore {VM} from the backup")
        await talk.change("restore_vm", backup_id=_backup_id(backup), name=VM, datastore=datastore)
        _heading(console, "Compare the restored disks with the lost ones, byte for byte")
        _compare(console, before, _disk_digests(lab, datastore, VM))


def _compare(console: Console, before: dict[str, tuple[int, str]], after: dict[str, tuple[int, str]]) -> None:
    """Raises StepFailed unless both hold disks of the same sizes and contents."""
    if not before or sorted(before.values()) != sorted(after.values()):
        raise StepFailed(f"the disks differ: {before} before, {after} after", code="demo_failed")
    for name, (size, digest) in after.items():
        line(console, f"  {name}  {human_bytes(size)}  sha256 {digest[:32]}…  equal", "green")


def _verify_audit(directory: Path) -> None:
    """Let the command line itself check the log; its output goes to the reader."""
    sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-m", "ceso_mcp", "audit", "verify"], env=lab_environment(directory), check=False
    )
    if done.returncode:
        raise StepFailed("the audit log does not verify", code="demo_failed")


def _backup_id(result: dict[str, Any]) -> str:
    found = result.get("backup_id")
    if not isinstance(found, str):
        raise StepFailed(f"the backup has no id: {result}", code="demo_failed")
    return found


def _disks(lab: Lab, datastore: str, vm: str) -> list[Path]:
    """The files with the bytes of a VM's disks, on this machine."""
    return sorted((lab.volume(datastore) / vm).glob("*-flat.vmdk"))


def _disk_digests(lab: Lab, datastore: str, vm: str) -> dict[str, tuple[int, str]]:
    return {path.name: (path.stat().st_size, _sha256(path)) for path in _disks(lab, datastore, vm)}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _nobodys_key() -> str:
    """A well-formed public key whose private half nobody has: the lab's guests have no SSH server."""
    kind = b"ssh-ed25519"
    blob = len(kind).to_bytes(4, "big") + kind + (32).to_bytes(4, "big") + os.urandom(32)
    return f"{kind.decode()} {base64.b64encode(blob).decode()} demo"


def _heading(console: Console, text: str) -> None:
    line(console, "")
    line(console, f"== {text}", "bold")
