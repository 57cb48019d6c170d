"""The process itself: a clean wire, a quick start without a host, an end without delay."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp import catalogue

pytestmark = pytest.mark.timeout(120)
INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
EVERY_TOOL = {
    "discover": [],
    "list_datastores": [],
    "mount_datastore": ["name=nas", 'servers=["nas.lab.example"]', "share=/srv/vms"],
    "list_vms": ["limit=2"],
    "show_vm": ["vm=ubuntu-24.04-golden"],
    "create_vm": [
        "name=web01",
        "template=ubuntu-24.04-golden",
        'ssh_keys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2nqvjQ4S0sF0VYVwWw0jvVd9Cl8u1yq2fQxJ0b7m5c"]',
    ],
    "clone_vm": ["source=ubuntu-24.04-golden", "name=web02"],
    "power_vm": ["vm=snapshotted", "action=on"],
    "list_templates": [],
    "check_template": ["vm=ubuntu-24.04-golden"],
    "prepare_template": ["vm=ubuntu-24.04-golden"],
    "unmark_template": ["vm=ubuntu-24.04-golden"],
    "readdress_vm": ["vm=ubuntu-24.04-golden", "ipv4=192.0.2.44/24"],
    "delete_vm": ["vm=ubuntu-24.04-golden"],
    "backup_vm": ["vm=ubuntu-24.04-golden"],
    "list_backups": [],
    "list_pools": [],
    "create_pool": ["name=lab", 'ranges=["192.0.2.150-192.0.2.199/24"]'],
    "backup_status": [],
}
"""Calls that answer or preview; none of them changes the lab."""
ASK_FOR_WHAT_IS_NOT_THERE = {
    "verify_backup": "backup_id=564d0000-0000-0000-0000-000000000000/20260101T000000Z-abcd",
    "recover": "abandoned=true",
    "unmount_datastore": "name=nowhere",
    "settle_restore": "vm=nowhere",
    "scrub_guestinfo": "vm=nowhere",
    "prune_repository": "",
    "copy_backup": "name=nowhere",
    "set_retention": "keep_daily=7",
    "set_recipients": "",
    "forget_backups": "",
    "delete_backup": "backup_id=564d0000-0000-0000-0000-000000000000/20260101T000000Z-abcd",
    "protect_backup": "backup_id=564d0000-0000-0000-0000-000000000000/20260101T000000Z-abcd",
    "unprotect_backup": "backup_id=564d0000-0000-0000-0000-000000000000/20260101T000000Z-abcd",
    "check_repository": "",
    "repair_repository": "",
    "repository_stats": "",
    "set_pool": "name=nowhere",
    "delete_pool": "name=nowhere",
    "release_address": "address=192.0.2.150",
    "job_status": "job_id=00000000-0000-0000-0000-000000000000",
}
ENVELOPE = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}
ENDS_S = 30  # one that is stuck never ends
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
NOISY = """
import os, warnings
from ceso_mcp.surfaces.mcp import serve
from ceso_mcp.surfaces.mcp.calls import ToolCalls
from ceso_mcp.config import load_config
quiet = ToolCalls.list_tools
async def noisy(self, context, params):
    print("noise of a print")
    os.system("echo noise of a child")
    warnings.warn("noise of a warning")
    return await quiet(self, context, params)
ToolCalls.list_tools = noisy
serve(load_config())
"""


class Process:
    """`ceso mcp` as a client starts it; everything that it writes to the wire is kept."""

    def __init__(self, folder: Path, *command: str) -> None:
        config = folder / "ceso.toml"
        config.write_text('[host]\naddress = "192.0.2.77"\nhost_keys = ["ssh-rsa AAAA"]\n')
        self.process = subprocess.Popen(
            [sys.executable, *(command or ("-m", "ceso_mcp", "mcp"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "CESO_CONFIG": str(config),
                "CESO_STATE": str(folder / "state"),
            },
        )
        self._number = 0
        self.lines: list[bytes] = []

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The response; everything before it is kept as well."""
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.send(json.dumps(request).encode())
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, "the server has closed the wire"
            self.lines.append(line)
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == self._number:
                return message

    def end(self, how: signal.Signals | None) -> tuple[int, str]:
        """Exit status and standard error of a server that ends by itself; None closes standard input."""
        if how is not None:
            self.process.send_signal(how)
            self.process.wait(ENDS_S)
        rest, errors = self.process.communicate(timeout=ENDS_S)
        self.lines += rest.splitlines()
        return self.process.returncode, errors.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_modern_session_ends_by_itself_on_a_signal(folder: Path, how: signal.Signals) -> None:
    server = Process(folder)
    first = server.ask("server/discover", ENVELOPE)
    assert "2026-07-28" in first["result"]["supportedVersions"]
    assert first["result"]["capabilities"]["resources"] == {"subscribe": True, "listChanged": True}
    tools = server.ask("tools/list", ENVELOPE)["result"]["tools"]
    assert {"discover", "list_vms", "create_vm"} <= {tool["name"] for tool in tools}
    assert server.ask("tools/list", ENVELOPE)["result"]["tools"] == tools
    assert server.ask("resources/list", ENVELOPE)["result"]["resources"]
    assert server.ask("initialize", HELLO)["error"]["code"] == -32022
    assert server.end(how)[0] == 0


def test_a_handshake_session_ends_when_its_input_ends(folder: Path) -> None:
    server = Process(folder)
    hello = server.ask("initialize", HELLO)["result"]
    assert hello["protocolVersion"] == "2025-11-25"
    assert hello["capabilities"]["resources"] == {"subscribe": True, "listChanged": True}
    assert "extensions" not in hello["capabilities"]
    server.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    assert server.ask("tools/list", {})["result"]["tools"]
    assert server.ask("tools/list", ENVELOPE)["error"]["code"] == -32600
    assert server.ask("tasks/list", {})["error"]["code"] == -32601
    assert server.end(None)[0] == 0


def test_the_wire_stays_clean_and_survives_rubbish(folder: Path) -> None:
    server = Process(folder, "-c", NOISY)
    server.ask("server/discover", ENVELOPE)
    for rubbish in (b"rubbish", b"\xff\xfe\x00", b'{"jsonrpc": "2.0", "id":', b"[" * 5000, b"x" * 1_000_000):
        server.send(rubbish)
    assert server.ask("tools/list", ENVELOPE)["result"]["tools"]
    status, errors = server.end(None)
    assert status == 0
    for noise in ("print", "child", "warning"):
        assert f"noise of a {noise}" in errors
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in server.lines)


def node_bin() -> Path | None:
    """A folder with a Node of at least 22.19: the system's, or that of CESO_TEST_NODE."""
    named = os.environ.get("CESO_TEST_NODE")
    found = shutil.which("node", path=named) if named else shutil.which("node")
    if found is None:
        return None
    version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20).stdout
    parts = re.match(r"v(\d+)\.(\d+)", version)
    return Path(found).parent if parts and (int(parts[1]), int(parts[2])) >= (22, 19) else None


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_the_inspector_agrees(folder: Path, era: str) -> None:
    node, npx = node_bin(), shutil.which("npx")
    if node is None or npx is None:
        pytest.skip("the inspector needs npx and a Node of at least 22.19 (CESO_TEST_NODE names its folder)")
    lab = folder / "lab"
    environment = {
        **os.environ,
        "PATH": f"{node}:{os.environ['PATH']}",
        "CESO_LAB_DIR": str(lab),
        "CESO_STATE": str(folder / "state"),
    }
    # The inspector hands on little of its environment: the lab of the test is named on the way.
    named = [f"{name}={environment[name]}" for name in ("CESO_LAB_DIR", "CESO_STATE")]
    server = ["env", *named, sys.executable, "-m", "ceso_mcp", "mcp", "--lab"]

    def inspect(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [npx, "-y", INSPECTOR, "--cli", *server, *words, "--format", "json", "--protocol-era", era, "-q"],
            capture_output=True,
            text=True,
            env=environment,
            timeout=300,
        )

    try:
        listed = inspect("--method", "tools/list", "--strict")
        assert listed.returncode == 0, listed.stderr
        assert "create_vm" in listed.stdout
        called = inspect("--method", "tools/call", "--tool-name", "list_vms", "--tool-arg", "limit=2")
        assert called.returncode == 0, called.stderr
        assert "ubuntu-24.04-golden" in called.stdout
        for name, words in EVERY_TOOL.items():
            arguments = [part for word in words for part in ("--tool-arg", word)]
            answered = inspect("--method", "tools/call", "--tool-name", name, *arguments)
            assert answered.returncode == 0, (name, answered.stdout, answered.stderr)
        for name, word in ASK_FOR_WHAT_IS_NOT_THERE.items():
            more = ("--tool-arg", word) if word else ()
            answered = inspect("--method", "tools/call", "--tool-name", name, *more)
            assert answered.returncode == 5, (name, answered.stdout, answered.stderr)
        elsewhere = {"restore_vm", "restore_in_place", "restore_disk", "drill_backup", "extract_disk"}
        assert {*EVERY_TOOL, *ASK_FOR_WHAT_IS_NOT_THERE, *elsewhere} >= set(catalogue.names())
        refused = inspect("--method", "tools/call", "--tool-name", "list_vms", "--tool-arg", "limit=0")
        assert refused.returncode == 5, refused.stdout
        for method in ("resources/list", "resources/templates/list", "prompts/list"):
            assert inspect("--method", method).returncode == 0
    finally:
        subprocess.run(
            [sys.executable, "-m", "ceso_mcp", "lab", "stop"], env=environment, timeout=60, check=False
        )
