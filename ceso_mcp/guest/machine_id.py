"""How a copy of a machine that has booted gets a machine-id of its own (fact sheet cloud-init §6)."""

from __future__ import annotations

import json
from typing import Any

NEW_MACHINE_ID: list[Any] = [
    "cloud-init-per",
    "instance",
    "ceso-machine-id",
    "sh",
    "-c",
    "rm -f /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup",
]
"""A `bootcmd`. cloud-init runs those at each boot; its `cloud-init-per` makes that once an instance-id."""

MACHINE_ID_WARNING = (
    "The copy gets a machine-id of its own at its first boot, if cloud-init runs in it. Programs that have "
    "read the old one by then see the new one after a restart of the guest."
)


def machine_id_vendor_data() -> str:
    """A `#cloud-config` that does it. As vendor data it counts unless user-data has a `bootcmd` too."""
    return "#cloud-config\n" + json.dumps({"bootcmd": [NEW_MACHINE_ID]}, indent=1) + "\n"
