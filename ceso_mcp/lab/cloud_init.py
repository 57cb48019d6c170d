"""What cloud-init makes of guestinfo at one boot (fact sheet cloud-init-guestinfo §3-6).

Of user data and vendor data only `bootcmd` is carried out, and of that only a new machine-id.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_string
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


@dataclass(frozen=True)
class Vlan:
    """A tagged interface on a card; it has the card's MAC."""

    mac: str
    number: int
    addresses: tuple[str, ...]


@dataclass
class Booted:
    """The guest after a boot: its block as it will be on the disk, and what it reports."""

    block: dict[str, Any]
    addresses: dict[str, list[str]] = field(default_factory=dict)
    vlans: tuple[Vlan, ...] = ()
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
            new["ssh_host_key"] = secrets.token_hex(16)
            new["bootcmds_done"] = []
        _boot_commands(settings, new)
        if meta.get("local-hostname"):
            new["hostname"] = str(meta["local-hostname"]).partition(".")[0]
        names = meta.get("redact") or meta.get("cleanup-guestinfo") or ()
        booted.redact = tuple(name for name in names if name in DOCUMENTS)
    if new.get("ssh_host_key") is None:
        new["ssh_host_key"] = secrets.token_hex(16)
    config = new.get("network") or _fallback(nics)
    booted.addresses = rendered(config, nics, lease)
    booted.vlans = _vlans(config, nics, lease)
    return booted


def _boot_commands(settings: Settings, block: dict[str, Any]) -> None:
    """`bootcmd` at each boot: user data's list takes the place of vendor data's.

    `cloud-init-per instance NAME` runs its command once an instance-id, `once NAME` once for ever.
    """
    commands = _bootcmd(document(settings, "userdata"))
    if commands is None:
        commands = _bootcmd(document(settings, "vendordata"))
    for command in commands or ():
        words = [command] if isinstance(command, str) else [str(word) for word in command]
        if "systemd-machine-id-setup" not in " ".join(words):
            continue
        if words[0] == "cloud-init-per" and len(words) > 3 and words[1] != "always":
            mark = "_".join(words[1:3])
            if mark in block.setdefault("bootcmds_done", []):
                continue
            block["bootcmds_done"] = [*block["bootcmds_done"], mark]
        if "rm -f /etc/machine-id" in " ".join(words):
            block["machine_id"] = secrets.token_hex(16)


def _bootcmd(text: str) -> list[Any] | None:
    """The `bootcmd` of a document: of each `#cloud-config` in it, in order; None without any.

    A `#cloud-config` is read where it is JSON; parts of a MIME message are joined.
    """
    found: list[Any] | None = None
    for part in _parts(text):
        if not part.startswith("#cloud-config\n"):
            continue
        try:
            config = json.loads(part.partition("\n")[2])
        except ValueError:
            continue
        if isinstance(config, dict) and isinstance(config.get("bootcmd"), list):
            found = [*(found or []), *config["bootcmd"]]
    return found


def _parts(text: str) -> list[str]:
    if not text.startswith("Content-Type: multipart"):
        return [text]
    payloads = [part.get_payload(decode=True) for part in message_from_string(text).walk()]
    return [payload.decode("utf-8", "replace") for payload in payloads if isinstance(payload, bytes)]


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
    macs = [_mac(item) for _, item in wanted]
    if any(mac and mac not in by_mac for mac in macs):
        return addresses
    for mac, (name, item) in zip(macs, wanted, strict=True):
        for nic in _meant(mac, name, item, by_mac, nics):
            addresses[nic.mac] += _addresses(item, nic.mac, lease)
    return addresses


def _mac(item: Mapping[str, Any]) -> str:
    return str(item.get("match", {}).get("macaddress", "")).lower()


def _meant(
    mac: str, name: str, item: Mapping[str, Any], by_mac: Mapping[str, Nic], nics: list[Nic]
) -> list[Nic]:
    """The cards that one entry of `ethernets` is about."""
    if mac:
        return [by_mac[mac]]
    if str(item.get("match", {}).get("name", name)) in ("ens*", "en*", "e*"):
        return nics
    return [nic for nic in nics if name == f"ens{192 + 32 * nic.number}"]


def _addresses(item: Mapping[str, Any], key: str, lease: Callable[[str], str]) -> list[str]:
    """What an interface gets: by DHCP (the lease of `key`), then what is given."""
    found = []
    if item.get("dhcp4") is True:
        found.append(lease(key))
    if item.get("dhcp6") is True:
        found.append(f"2001:db8:d::{lease(key).rpartition('.')[2]}")
    return found + [str(address).partition("/")[0] for address in item.get("addresses") or []]


def _vlans(
    config: Mapping[str, Any],
    nics: list[Nic],
    lease: Callable[[str], str],
) -> tuple[Vlan, ...]:
    """The tagged interfaces whose card is there."""
    vlans, ethernets = config.get("vlans"), config.get("ethernets")
    if not isinstance(vlans, dict) or not isinstance(ethernets, dict):
        return ()
    by_mac = {nic.mac.lower(): nic for nic in nics}
    if any(_mac(item) and _mac(item) not in by_mac for item in ethernets.values()):
        return ()
    found = []
    for item in vlans.values():
        mac = _mac(ethernets.get(item.get("link"), {}))
        if mac in by_mac:
            number = int(item["id"])
            given = tuple(_addresses(item, f"{by_mac[mac].mac} vlan {number}", lease))
            found.append(Vlan(by_mac[mac].mac, number, given))
    return tuple(found)
