"""The requests whose documents are checked in under tests/golden/guest."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from ceso_mcp.guest.accounts import GuestUser
from ceso_mcp.guest.cloudinit import GuestNic, GuestVlan, as_yaml, guestinfo, metadata, user_data
from ceso_mcp.guest.machine_id import machine_id_vendor_data
from ceso_mcp.guest.network import NicAddressing

KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))).decode()


@dataclass(frozen=True)
class Case:
    name: str
    hostname: str
    nics: tuple[GuestNic, ...] = ()
    user_data: dict[str, Any] = field(default_factory=dict)
    vlans: tuple[GuestVlan, ...] = ()
    vendor: str | None = None

    def documents(self) -> dict[str, str]:
        """File name to content."""
        meta = metadata(f"ceso-{self.name}-564d0000", self.hostname, self.nics, self.vlans)
        user = user_data(**({"hostname": self.hostname, "user": "ann", "ssh_keys": [KEY]} | self.user_data))
        encodings = {
            k: v for k, v in guestinfo(meta, user, self.vendor).values.items() if k.endswith(".encoding")
        }
        made = {
            f"{self.name}.metadata.json": as_yaml(meta),
            f"{self.name}.userdata.txt": user,
            f"{self.name}.encodings.json": as_yaml(encodings),
        }
        if self.vendor is not None:
            made[f"{self.name}.vendordata.txt"] = self.vendor
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
    Case(
        "vlans",
        "router.example.test",
        (
            GuestNic("00:50:56:01:02:09", NicAddressing(dhcp4=True, mtu=9000)),
            GuestNic("00:50:56:01:02:0a", NicAddressing(addresses=("192.0.2.9/24",), gateway4="192.0.2.1")),
        ),
        {"prefer_fqdn": True},
        vlans=(
            GuestVlan(20, 1, NicAddressing(addresses=("198.51.100.9/24", "2001:db8:20::9/64"), mtu=1400)),
            GuestVlan(4094, 0, NicAddressing(dhcp4=True, search=("no", "0123"))),
            GuestVlan(30, 0, NicAddressing()),
        ),
    ),
    Case(
        "two-dhcp",
        "null",
        (
            GuestNic("00:50:56:01:02:0b", NicAddressing(dhcp4=True)),
            GuestNic("00:50:56:01:02:0c", NicAddressing(dhcp4=True, dhcp6=True, accept_ra=True)),
            GuestNic("00:50:56:01:02:0d", NicAddressing(addresses=("2001:db8::30/64",), accept_ra=True)),
            GuestNic("00:50:56:01:02:0e", NicAddressing(accept_ra=False)),
        ),
    ),
    Case(
        "users",
        "web05",
        (),
        {
            "users": (
                GuestUser(name="no", ssh_keys=(KEY,), sudo=True, groups=("docker", "sudo")),
                GuestUser(name="svc", shell="/usr/sbin/nologin"),
            ),
            "user": None,
            "packages": ["0ad", "nginx=1.2-3~x"],
            "timezone": "Etc/GMT+5",
        },
    ),
    Case("clone", "web06", (), {"user": None, "ssh_keys": []}, vendor=machine_id_vendor_data()),
    Case(
        "clone-with-own-bootcmd",
        "web07",
        (),
        {"new_machine_id": True, "extra": "#cloud-config\nbootcmd:\n- [echo, theirs]\n"},
    ),
    Case("own-script", "web08", (), {"extra": "#!/bin/sh\necho 'ü: # \"'\n"}),
)
