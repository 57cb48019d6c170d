"""The requests whose documents are checked in under tests/golden/guest."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from ceso_mcp.guest.cloudinit import GuestNic, as_yaml, guestinfo, metadata, user_data
from ceso_mcp.guest.network import NicAddressing

KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))).decode()


@dataclass(frozen=True)
class Case:
    name: str
    hostname: str
    nics: tuple[GuestNic, ...] = ()
    user_data: dict[str, Any] = field(default_factory=dict)

    def documents(self) -> dict[str, str]:
        """File name to content."""
        meta = metadata(f"ceso-{self.name}-564d0000", self.hostname, self.nics)
        user = user_data(**({"hostname": self.hostname, "user": "ann", "ssh_keys": [KEY]} | self.user_data))
        encodings = {k: v for k, v in guestinfo(meta, user).values.items() if k.endswith(".encoding")}
        made = {
            f"{self.name}.metadata.json": as_yaml(meta),
            f"{self.name}.userdata.txt": user,
            f"{self.name}.encodings.json": as_yaml(encodings),
        }
        if "network" in meta:
            made[f"{self.name}.network.json"] = as_yaml(meta["network"])
        return made


CASES = (
    Case(
        "static-dual-stack",
        "web01.example.test",
        (
            GuestNic(
                "00:50:56:01:02:03",
                NicAddressing(
                    addresses=("192.0.2.10/24", "2001:db8::10/64"),
                    gateway4="192.0.2.1",
                    gateway6="2001:db8::1",
                    nameservers=("192.0.2.1", "2001:db8::1"),
                    search=("example.test",),
                ),
            ),
        ),
        {"timezone": "Europe/Berlin", "packages": ["nginx", "g++"]},
    ),
    Case("dhcp", "web02", (GuestNic("00:50:56:01:02:04", NicAddressing(dhcp4=True, dhcp6=True)),)),
    Case(
        "three-nics",
        "router",
        (
            GuestNic(
                "00:50:56:01:02:05",
                NicAddressing(dhcp4=True, addresses=("2001:db8::20/64",), gateway6="fe80::1"),
                "ens192",
            ),
            GuestNic(
                "00:50:56:01:02:06",
                NicAddressing(addresses=("198.51.100.9/25", "203.0.113.1/31"), mtu=9000),
            ),
            GuestNic("00:50:56:01:02:07", NicAddressing()),
        ),
        {"user": None, "grow_root": False},
    ),
    Case(
        "awkward",
        "no",
        (),
        {
            "run_commands": [
                "no",
                "null",
                "0123",
                "echo 'a: b' # \"c\" \\ $(x) ü 😀 \u2028\x85",
                ["printf", "%s\n", "~"],
            ]
        },
    ),
    Case("no-keys", "web04", (), {"user": None, "ssh_keys": []}),
    Case(
        "extra",
        "web03",
        (GuestNic("00:50:56:01:02:08", NicAddressing(dhcp4=True)),),
        {
            "run_commands": ["echo ours"],
            "extra": "#cloud-config\nruncmd:\n- echo theirs\nssh_pwauth: true\nusers:\n- name: bob\n"
            "locale: de_DE.UTF-8\n",
        },
    ),
)
