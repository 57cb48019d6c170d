"""What a .vmx may hold of a guest's secrets: where it is kept out, and how it goes.

The guest overwrites user data and vendor data with `---` once it has read them (fact sheet cloud-init §8).
While it runs the file may lag behind; from the power-off on it tells the truth. So at a power-off the
host takes away exactly what it finds overwritten, and a guest that has not read its documents yet keeps
them. Metadata stays for the VM's whole life.
"""

from __future__ import annotations

from ceso_mcp.backup.actions import FileInto
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.guest.guestinfo import REDACTED, SECRET_KEYS
from ceso_mcp.plan import Step
from ceso_mcp.recipes.judging import vim_cmd_worked
from ceso_mcp.recipes.rewriting import lines_of
from ceso_mcp.shell import Command, sh

_SPACE = "[[:space:]]*"
_OVERWRITTEN = (
    rf'^{_SPACE}guestinfo\.(userdata|vendordata)({_SPACE}={_SPACE}"({REDACTED})?{_SPACE}"'
    rf'|\.encoding{_SPACE}={_SPACE}"{_SPACE}"){_SPACE}$'
)


def secret_keys_in(vmx: Vmx) -> tuple[str, ...]:
    """The keys of a .vmx that may hold secrets, overwritten or not."""
    return tuple(key for key in SECRET_KEYS if key in vmx)


def read_without_secrets(vm: Vm) -> Step:
    """Take the .vmx into the open backup, without what the guest is told once."""
    if not secret_keys_in(vm.readable):
        return Step("read the configuration", sh("cat", vm.path), into=FileInto("vm.vmx"), reads_only=True)
    return Step(
        "read the configuration, without user data and vendor data",
        sh("grep", "-v", "-i", "-E", lines_of(SECRET_KEYS), vm.path),
        into=FileInto("vm.vmx"),
        reads_only=True,
    )


def scrub_after_power_off(vm: Vm, run_id: str) -> list[Step]:
    """Take what the guest has overwritten out of the .vmx of a VM that has just gone off.

    Nothing to take back: until the `mv` the old file stands, and the new one says the same.
    """
    new = vm.path.sibling(f"{vm.path.name}.new-{run_id}")
    filtered = sh("grep", "-v", "-i", "-E", _OVERWRITTEN, vm.path).to(new)
    line = filtered.then(sh("mv", new, vm.path)).otherwise(
        Command(f"{{ {sh('rm', '-f', new).line}; false; }}")
    )
    return [
        Step(
            "take out of the configuration what the guest has read and overwritten",
            line,
            repeatable=True,
            keep_on_failure=True,
        ),
        Step(
            "let the host read it",
            sh("vim-cmd", "vmsvc/reload", vm.vmid),
            judge=vim_cmd_worked,
            repeatable=True,
            keep_on_failure=True,
        ),
    ]
