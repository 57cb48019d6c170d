"""The lab's end of the two lines to a real guest: questions of its tools stand-in, and what it reports."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from ceso_mcp.lab.power import nic_mac, nic_numbers
from ceso_mcp.lab.vmx import Settings

LIMIT_BYTES = 4 << 20
NOT_FOUND = "No value found"


async def answer_rpc(line: socket.socket, get: Callable[[str], str], put: Callable[[str, str], None]) -> None:
    """Serve `info-get` and `info-set` of `guestinfo.*` until the guest is gone.

    An empty value counts as not found, as in VMware's tool.
    """
    reader, writer = await asyncio.open_connection(sock=line, limit=LIMIT_BYTES)
    try:
        while text := await reader.readline():
            ok, said = rpc(text, get, put)
            packed = base64.b64encode(said.encode("utf-8", "surrogateescape"))
            writer.write(f"{ok:d} ".encode() + packed + b"\n")
            await writer.drain()
    except (ConnectionError, ValueError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def rpc(line: bytes, get: Callable[[str], str], put: Callable[[str, str], None]) -> tuple[bool, str]:
    """The answer to one request line."""
    try:
        words = base64.b64decode(line.strip(), validate=True).decode("utf-8", "surrogateescape").split(" ", 2)
    except binascii.Error:
        return False, "Unknown command"
    if words[0] == "info-get" and len(words) == 2 and words[1].startswith("guestinfo."):
        value = get(words[1])
        return (True, value) if value else (False, NOT_FOUND)
    if words[0] == "info-set" and len(words) == 3 and words[1].startswith("guestinfo."):
        put(words[1], words[2])
        return True, ""
    return False, "Unknown command"


async def follow_report(reader: asyncio.StreamReader, told: Callable[[dict[str, Any]], None]) -> None:
    """Call `told` with each whole report until the guest is gone; what a reset cut short is dropped."""
    lines: list[str] = []
    with contextlib.suppress(ConnectionError, ValueError):
        while line := await reader.readline():
            text = line.decode("utf-8", "replace").strip()
            if text == "begin":
                lines = []
            elif text == "end":
                told(parse(lines))
            else:
                lines.append(text)


def parse(lines: list[str]) -> dict[str, Any]:
    """`hostname`, `machine_id`, `os`, and `nics`: MAC to addresses without their prefix length."""
    found: dict[str, Any] = {"hostname": "", "machine_id": "", "os": ""}
    names: dict[str, str] = {}
    addresses: dict[str, list[str]] = {}
    for line in lines:
        key, _, rest = line.partition(" ")
        if key in ("hostname", "os"):
            found[key] = rest
        elif key == "machine-id":
            found["machine_id"] = rest
        elif key == "nic":
            name, _, mac = rest.partition(" ")
            names[name] = mac.lower()
        elif key in ("inet", "inet6"):
            name, _, address = rest.partition(" ")
            addresses.setdefault(name, []).append(address.partition("/")[0])
    found["nics"] = {mac: addresses.get(name, []) for name, mac in names.items()}
    return found


def as_guest(settings: Settings, told: dict[str, Any]) -> dict[str, Any]:
    """What the world keeps of a guest's report: its cards in the order of the VMX."""
    return {
        "tools": True,
        "os": told["os"],
        "hostname": told["hostname"],
        "machine_id": told["machine_id"],
        "reported_at": time.time(),
        "net": [
            {
                "mac": nic_mac(settings, nic),
                "network": settings.get(f"ethernet{nic}.networkName"),
                "addresses": told["nics"].get(nic_mac(settings, nic), []),
            }
            for nic in nic_numbers(settings)
        ],
    }
