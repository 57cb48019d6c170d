"""The answer of `vim-cmd solo/registervm` (fact sheet vim-cmd §4)."""

from __future__ import annotations

import re

from ceso_mcp.errors import HostFault
from ceso_mcp.esxi.faults import find_fault


def parse_registervm(stdout: str) -> int:
    """The new vmid: digits and nothing else.

    Raises HostFault, code `register_failed`, with the fault's message for anything else: faults are
    printed where the id would be (registervm-5, registervm-6).
    """
    text = stdout.strip()
    if re.fullmatch(r"[0-9]{1,10}", text):
        return int(text)
    fault = find_fault(stdout)
    if fault is None:
        said = text[:200] or "no output"
        raise HostFault(f"the VM was not registered: {said}", code="register_failed")
    hint = ""
    holder = fault.fields.get("name")
    if fault.name.lower() == "alreadyexists" and isinstance(holder, str):
        hint = f"the path is already registered, as the VM with id {holder}, valid or not"
    raise HostFault(
        f"the VM was not registered: {fault.message or fault.type}", code="register_failed", hint=hint
    )
