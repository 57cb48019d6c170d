"""`/etc/vmware/hostd/vmInventory.xml`: which .vmx is registered under which id, without hostd.

Source: shell-vmInventory-1, fact sheet esxcli-and-shell §3.6.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ceso_mcp.errors import Unreadable

_WHAT = "vmInventory.xml"


def parse_vm_inventory(text: str) -> dict[int, str]:
    """vmid → absolute path of the .vmx; raises Unreadable for anything but such a document.

    A document type is refused: hostd writes none, and it could declare entities without end.
    """
    if "<!" in text.replace("<!--", ""):
        raise Unreadable(_WHAT, "it declares a document type")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise Unreadable(_WHAT, f"it is not XML ({error})") from None
    if root.tag != "ConfigRoot":
        raise Unreadable(_WHAT, "its root is not ConfigRoot", line=root.tag)
    found: dict[int, str] = {}
    for entry in root:
        number = (entry.findtext("objID") or "").strip()
        path = entry.findtext("vmxCfgPath") or ""
        if entry.tag != "ConfigEntry" or not re.fullmatch("[0-9]{1,10}", number) or not path:
            raise Unreadable(_WHAT, "an entry without id or path", line=entry.tag)
        if int(number) in found:
            raise Unreadable(_WHAT, f"the id {number} occurs twice")
        found[int(number)] = path
    return found
