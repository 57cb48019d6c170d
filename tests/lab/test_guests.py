"""Guests: what they make of guestinfo, and what the host then reports."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import cloud_init
from ceso_mcp.lab.cloud_init import Nic
from ceso_mcp.lab.vmx import Settings, parse

from conftest import DATASTORE1  # isort: skip

MAC = "00:50:56:01:02:03"


def _meta(**more: Any) -> dict[str, Any]:
    nic = {"match": {"macaddress": MAC}, "dhcp4": False, "addresses": ["192.0.2.10/24", "2001:db8::10/64"]}
    network = {"version": 2, "ethernets": {"nic0": nic}}
    return {"instance-id": "i-1", "local-hostname": "web01.example.test", "network": network, **more}


def _lines(meta: dict[str, Any], encoding: str = "gzip+base64", **more: str) -> list[str]:
    text = json.dumps(meta).encode()
    packed = gzip.compress(text) if encoding == "gzip+base64" else text
    return [
        'ethernet0.addressType = "static"',
        f'ethernet0.address = "{MAC}"',
        f'guestinfo.metadata = "{base64.b64encode(packed).decode()}"',
        f'guestinfo.metadata.encoding = "{encoding}"',
        *(f'{key} = "{value}"' for key, value in more.items()),
    ]


def _up(host_shell: HostShell, vmid: int) -> bool:
    return "guestToolsRunning" in host_shell.ok(f"vim-cmd vmsvc/get.guest {vmid}")


@pytest.mark.parametrize("encoding", ["gzip+base64", "base64"])
def test_a_clone_reports_what_its_metadata_asked_for(host_shell, clone, eventually, encoding: str) -> None:
    vmid = clone("web01", *_lines(_meta(), encoding))
    host_shell.ok(f"vim-cmd vmsvc/power.on {vmid}")
    eventually(lambda: _up(host_shell, vmid))
    text = host_shell.ok(f"vim-cmd vmsvc/get.guest {vmid}")
    assert '\n   hostName = "web01", \n   ipAddress = "192.0.2.10", \n' in text
    assert '            "192.0.2.10", \n            "2001:db8::10", \n' in text
    assert f'         macAddress = "{MAC}", ' in text


def test_the_dump_of_a_guest_with_tools_has_the_fields_of_a_real_one(
    transcript, host_shell, clone, eventually
) -> None:
    vmid = clone("dump")
    host_shell.ok(f"vim-cmd vmsvc/power.on {vmid}")
    eventually(lambda: _up(host_shell, vmid))
    made = host_shell.ok(f"vim-cmd vmsvc/get.guest {vmid}")

    def shape(text: str) -> list[str]:
        return [line.partition(" = ")[0] for line in text.splitlines()]

    wanted = [line for line in shape(transcript("vimcmd-get.guest-3")) if line.strip().isalnum()]
    assert [line for line in shape(made) if line in wanted][:12] == wanted[:12]
    assert made.splitlines()[:4] == transcript("vimcmd-get.guest-3").splitlines()[:4]


def test_the_guest_keeps_its_address_but_follows_the_host_name(host_shell, clone, eventually) -> None:
    vmid = clone("keep", *_lines(_meta()))
    host_shell.ok(f"vim-cmd vmsvc/power.on {vmid}")
    eventually(lambda: _up(host_shell, vmid))
    host_shell.ok(f"vim-cmd vmsvc/power.off {vmid}")
    other = _meta(**{"local-hostname": "db01"})
    other["network"]["ethernets"]["nic0"]["addresses"] = ["192.0.2.77/24"]
    _rewrite(host_shell, "keep", _lines(other))
    host_shell.ok(f"vim-cmd vmsvc/reload {vmid}; vim-cmd vmsvc/power.on {vmid}")
    eventually(lambda: _up(host_shell, vmid))
    text = host_shell.ok(f"vim-cmd vmsvc/get.guest {vmid}")
    assert '   hostName = "db01", \n   ipAddress = "192.0.2.10", \n' in text
    host_shell.ok(f"vim-cmd vmsvc/power.off {vmid}")
    _rewrite(host_shell, "keep", _lines({**other, "instance-id": "i-2"}))
    host_shell.ok(f"vim-cmd vmsvc/reload {vmid}; vim-cmd vmsvc/power.on {vmid}")
    eventually(lambda: _up(host_shell, vmid))
    assert '   ipAddress = "192.0.2.77", \n' in host_shell.ok(f"vim-cmd vmsvc/get.guest {vmid}")


def _rewrite(host_shell: HostShell, name: str, lines: list[str]) -> None:
    path = f"{DATASTORE1}/{name}/{name}.vmx"
    host_shell.ok(
        f"grep -v '^guestinfo\\|^ethernet0.address' {path} > /tmp/x; cat >> /tmp/x; cp /tmp/x {path}",
        "".join(f"{line}\n" for line in lines).encode(),
    )


def test_redacted_documents_are_gone_from_the_vmx(host_shell, clone, eventually) -> None:
    secret = base64.b64encode(b"#cloud-config\npassword: x").decode()
    lines = _lines(_meta(redact=["userdata"]), **{"guestinfo.userdata": secret})
    vmid = clone("secret", *lines, 'guestinfo.userdata.encoding = "base64"')
    host_shell.ok(f"vim-cmd vmsvc/power.on {vmid}")
    eventually(lambda: _up(host_shell, vmid))
    vmx = host_shell.ok(f"cat {DATASTORE1}/secret/secret.vmx")
    assert secret not in vmx
    assert 'guestinfo.userdata = "---"' in vmx
    assert "guestinfo.metadata = " in vmx


def test_shutdown_asks_the_guest_and_needs_tools(host_shell, clone, eventually) -> None:
    vmid = clone("down")
    host_shell.ok(f"vim-cmd vmsvc/power.on {vmid}")
    eventually(lambda: _up(host_shell, vmid))
    assert host_shell.ok(f"vim-cmd vmsvc/power.shutdown {vmid}") == ""
    eventually(lambda: "Powered off" in host_shell.ok(f"vim-cmd vmsvc/power.getstate {vmid}"))
    host_shell.ok("vim-cmd vmsvc/power.on 2")
    ran = host_shell.run("vim-cmd vmsvc/power.shutdown 2")
    assert ran.exit == 1
    assert "ToolsUnavailable" in ran.text


def test_two_clones_on_dhcp_get_two_addresses(host_shell, clone, eventually) -> None:
    found = set()
    for name in ("one", "two"):
        vmid = clone(name)
        host_shell.ok(f"vim-cmd vmsvc/power.on {vmid}")
        eventually(lambda vmid=vmid: _up(host_shell, vmid))
        text = host_shell.ok(f"vim-cmd vmsvc/get.guest {vmid}")
        found.add(text.split('\n   ipAddress = "')[1].split('"')[0])
    assert len(found) == 2


def test_a_mac_that_no_card_has_leaves_the_guest_without_addresses() -> None:
    meta = _meta()
    nics = [Nic(0, "00:50:56:0a:0a:0a", "VM Network")]
    settings = Settings(line.split(" = ", 1) for line in _plain(_lines(meta)))
    booted = cloud_init.boot(settings, {"cloud_init": True, "machine_id": None}, nics, lambda mac: "dhcp")
    assert booted.addresses == {"00:50:56:0a:0a:0a": []}


def _plain(lines: list[str]) -> list[str]:
    return [line.replace('"', "") for line in lines]


def test_an_unknown_encoding_means_plain_text() -> None:
    settings = Settings(
        [("guestinfo.metadata", '{"instance-id": "x"}'), ("guestinfo.metadata.encoding", "b46")]
    )
    assert cloud_init.metadata(settings) == {"instance-id": "x"}


def test_vmx_escapes_are_read_and_written() -> None:
    settings = parse('annotation = "a|22b|22 |7C line|0Atwo"\n')
    assert settings.get("ANNOTATION") == 'a"b" | line\ntwo'
    assert settings.render() == 'annotation = "a|22b|22 |7C line|0Atwo"\n'
