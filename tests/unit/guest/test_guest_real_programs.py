"""Distribution programs read what is written for them: cloud-init and netplan (fact sheet cloud-init §10).

They are Debian or Ubuntu packages: apt-get install cloud-init netplan.io. Without them, or without
root, these tests are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from guest_cases import CASES, Case

_missing = [name for name in ("cloud-init", "netplan") if shutil.which(name) is None]
_reason = f"not installed: {', '.join(_missing)}" if _missing else "cloud-init and netplan want root"
pytestmark = pytest.mark.skipif(bool(_missing) or os.geteuid() != 0, reason=_reason)

SYSTEM_PYTHON = "/usr/bin/python3"
_MERGE = """
import sys
from cloudinit import handlers, helpers, user_data
from cloudinit.handlers.cloud_config import CloudConfigPartHandler

class Paths(helpers.Paths):
    def get_ipath(self, name=None):
        return sys.argv[2]

paths = Paths({"cloud_dir": sys.argv[3], "run_dir": sys.argv[3]})
message = user_data.UserDataProcessor(paths).process(open(sys.argv[1], "rb").read())
handler = CloudConfigPartHandler(paths)
handler.handle_part(None, handlers.CONTENT_START, None, None, None, None)
for part in message.walk():
    if part.get_content_type() == "text/cloud-config":
        body = part.get_payload(decode=True).decode("utf-8")
        handler.handle_part(None, part.get_content_type(), part.get_filename(), body, None, dict(part))
handler.handle_part(None, handlers.CONTENT_END, None, None, None, None)
"""


def _run(*words: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _written(case: Case, kind: str, folder: Path) -> Path:
    path = folder / kind
    path.write_text(case.documents()[f"{case.name}.{kind}"], encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    "case", [case for case in CASES if "extra" not in case.user_data], ids=lambda c: c.name
)
def test_cloud_init_finds_no_fault_with_the_user_data(case: Case, tmp_path: Path) -> None:
    assert "Valid" in _run("cloud-init", "schema", "-c", _written(case, "userdata.txt", tmp_path))


@pytest.mark.parametrize("case", [case for case in CASES if case.nics], ids=lambda c: c.name)
def test_netplan_makes_of_the_network_what_was_asked(case: Case, tmp_path: Path) -> None:
    network = _written(case, "network.json", tmp_path)
    _run(
        "cloud-init", "devel", "net-convert", "-p", network, "-k", "yaml", "-d", tmp_path / "root",
        "-D", "ubuntu", "-O", "netplan", "-m", f"unused,{case.nics[0].mac}",
    )  # fmt: skip
    (plan,) = (tmp_path / "root/etc/netplan").iterdir()
    plan.chmod(0o600)
    _run("netplan", "generate", "--root-dir", tmp_path / "root")
    for index, nic in enumerate(case.nics):
        unit = tmp_path / f"root/run/systemd/network/10-netplan-nic{index}.network"
        lines = unit.read_text(encoding="utf-8").splitlines()
        asked = nic.addressing
        assert f"PermanentMACAddress={nic.mac}" in lines or f"MACAddress={nic.mac}" in lines
        addresses = [line.removeprefix("Address=") for line in lines if line.startswith("Address=")]
        assert addresses == [str(address) for address in asked.addresses]
        gateways = [line.removeprefix("Gateway=") for line in lines if line.startswith("Gateway=")]
        assert gateways == [str(via) for via in (asked.gateway4, asked.gateway6) if via is not None]
        assert [line for line in lines if line.startswith("DNS=")] == [
            f"DNS={dns}" for dns in asked.nameservers
        ]
        assert ("IPv6AcceptRA=no" in lines) == bool(asked.ipv6)
        assert ("ClientIdentifier=mac" in lines) == (asked.dhcp4 or asked.dhcp6)
        dhcp = {(True, True): "DHCP=yes", (True, False): "DHCP=ipv4", (False, True): "DHCP=ipv6"}
        wanted = dhcp.get((asked.dhcp4, asked.dhcp6))
        assert [line for line in lines if line.startswith("DHCP=")] == ([wanted] if wanted else [])


def test_cloud_init_merges_extra_user_data_so_that_ours_wins_and_lists_are_joined(tmp_path: Path) -> None:
    if subprocess.run([SYSTEM_PYTHON, "-c", "import cloudinit"], capture_output=True, check=False).returncode:
        pytest.skip("cloud-init's own Python modules are not importable")
    (case,) = [case for case in CASES if case.name == "extra"]
    merged = tmp_path / "merged"
    _run(SYSTEM_PYTHON, "-c", _MERGE, _written(case, "userdata.txt", tmp_path), merged, tmp_path / "cloud")
    config = yaml.safe_load(merged.read_text(encoding="utf-8"))
    assert config["ssh_pwauth"] is False
    assert config["runcmd"] == ["echo ours", "echo theirs"]
    assert [user["name"] for user in config["users"]] == ["ann", "bob"]
    assert config["locale"] == "de_DE.UTF-8"
