"""What cloud-init makes of guestinfo at one boot (fact sheet cloud-init-guestinfo §3-6)."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ceso_mcp.lab.vmx import Settings

DOCUMENTS = ("metadata", "userdata", "vendordata")
REDACTED = "---"


@dataclass(frozen=True)
class Nic:
    """A network card as the guest sees it."""

    number: int
    mac: str
    network: str


@dataclass
class Booted:
    """The guest after a boot: its block as it will be on the disk, and what it reports."""

    block: dict[str, Any]
    addresses: dict[str, list[str]] = field(default_factory=dict)
    redact: tuple[str, ...] = ()


def _decoded(value: str, encoding: str) -> str:
    """Unknown encodings mean plain text; a broken one ends in garbage, not in an error."""
    try:
        if encoding in ("base64", "b64"):
            return base64.b64decode(value).decode("utf-8", "replace")
        if encoding in ("gzip+base64", "gz+b64"):
            return gzip.decompress(base64.b64decode(value)).decode("utf-8", "replace")
    except (binascii.Error, OSError, EOFError, ValueError):
        return ""
    return value


def document(settings: Settings, name: str) -> str:
    """One guestinfo document, decoded; empty when it counts as not set."""
    value = settings.get(f"guestinfo.{name}").rstrip()
    if value in ("", REDACTED):
        return ""
    return _decoded(value, settings.get(f"guestinfo.{name}.encoding").strip())


def metadata(settings: Settings) -> dict[str, Any] | None:
    """The metadata mapping: JSON, or flat `key: value` lines of YAML; None when it is neither."""
    text = document(settings, "metadata")
    if not text:
        return {} if any(document(settings, name) for name in DOCUMENTS) else None
    try:
        value = json.loads(text)
    except ValueError:
        value = _flat_yaml(text)
    return value if isinstance(value, dict) else None


def _flat_yaml(text: str) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#") or line.strip() == "---":
            continue
        key, colon, value = line.partition(":")
        if not colon or line[0] in " \t-" or not value.strip():
            return None
        found[key.strip()] = value.strip().strip("\"'")
    return found


def network_config(meta: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The `network` content of the metadata; a string is decoded by its `network.encoding`."""
    network = meta.get("network")
    if isinstance(network, str):
        try:
            network = json.loads(_decoded(network, str(meta.get("network.encoding", ""))))
        except ValueError:
            return None
    if isinstance(network, dict) and "network" in network:
        network = network["network"]
    return network if isinstance(network, dict) else None


def boot(settings: Settings, block: dict[str, Any], nics: list[Nic], lease: Callable[[str], str]) -> Booted:
    """One boot of the guest whose disk holds `block`. `lease(mac)` gives a DHCP address.

    A changed instance-id renders the network anew; the same one keeps it, but the host name follows.
    """
    booted = Booted({**block, "boots": block.get("boots", 0) + 1})
    new = booted.block
    if new["machine_id"] is None:
        new["machine_id"] = secrets.token_hex(16)
    meta = metadata(settings) if block.get("cloud_init") else None
    if meta is not None:
        instance = str(meta.get("instance-id") or settings.get("uuid.bios"))
        if instance != block.get("instance_id"):
            new["instance_id"] = instance
            new["network"] = dict(network_config(meta) or _fallback(nics))
            new["user_data_bytes"] = len(document(settings, "userdata"))
        if meta.get("local-hostname"):
            new["hostname"] = str(meta["local-hostname"]).partition(".")[0]
        names = meta.get("redact") or meta.get("cleanup-guestinfo") or ()
        booted.redact = tuple(name for name in names if name in DOCUMENTS)
    booted.addresses = rendered(new.get("network") or _fallback(nics), nics, lease)
    return booted


def _fallback(nics: list[Nic]) -> dict[str, Any]:
    """What cloud-init writes without a network config: DHCP on the first card."""
    if not nics:
        return {"version": 2, "ethernets": {}}
    return {"version": 2, "ethernets": {"nic0": {"match": {"macaddress": nics[0].mac}, "dhcp4": True}}}


def rendered(config: Mapping[str, Any], nics: list[Nic], lease: Callable[[str], str]) -> dict[str, list[str]]:
    """MAC to addresses. A MAC that no card has leaves every card without an address (§5, lab)."""
    by_mac = {nic.mac.lower(): nic for nic in nics}
    addresses: dict[str, list[str]] = {nic.mac: [] for nic in nics}
    ethernets = config.get("ethernets")
    if not isinstance(ethernets, dict):
        return addresses
    wanted = [(str(name), item) for name, item in ethernets.items() if isinstance(item, dict)]
    macs = [str(item.get("match", {}).get("macaddress", "")).lower() for _, item in wanted]
    if any(mac and mac not in by_mac for mac in macs):
        return addresses
    for mac, (name, item) in zip(macs, wanted, strict=True):
        if mac:
            chosen = [by_mac[mac]]
        elif str(item.get("match", {}).get("name", name)) in ("ens*", "en*", "e*"):
            chosen = nics
        else:
            chosen = [nic for nic in nics if name in (f"ens{192 + 32 * nic.number}",)]
        for nic in chosen:
            if item.get("dhcp4") is True:
                addresses[nic.mac].append(lease(nic.mac))
            fixed = item.get("addresses") or []
            addresses[nic.mac] += [str(address).partition("/")[0] for address in fixed]
    return addresses
