"""`vim-cmd solo/registervm`."""

from __future__ import annotations

from ceso_mcp.errors import HostFault
from ceso_mcp.esxi.faults import find_fault


def parse_registervm(stdout: str) -> int:
    """The new VM's id: digits and nothing else (fact sheet vim-cmd §1.4).

    Raises HostFault `register_failed` with the fault's message: faults come on standard output, where
    careless callers have taken them for the id.
    """
    text = stdout.strip()
    if text.isdigit():
        return int(text)
    fault = find_fault(text)
    said = fault.message if fault else text[-200:]
    raise HostFault(f"the host did not register the VM: {said}", code="register_failed")
