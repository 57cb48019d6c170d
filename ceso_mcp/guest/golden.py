"""Whether a guest is fit to be a golden image, by what was seen of it.

The rules are those of fact sheet cloud-init-guestinfo §2, §5, §6 and §7: a copy of the image must find
its own name, addresses and identity in guestinfo, and nothing of the machine it was made on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ceso_mcp.guest.golden_seen import FILES, PLACES, Seen, os_release

Verdict = Literal["ok", "warning", "problem", "not_known"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of the audit: what was looked at, how it is, in words, and what to do about it."""

    check: str
    verdict: Verdict
    text: str
    remedy: str = ""


def audit(seen: Seen) -> list[Finding]:
    """Every finding about the inside of a guest, in the order of the golden image's recipe."""
    found = []
    for check, needs, judge in _CHECKS:
        reasons = [seen.unseen[path] for path in needs if path in seen.unseen]
        if reasons:
            found.append(Finding(check, "not_known", reasons[0], "look at it inside the guest"))
        else:
            verdict, text, remedy = judge(seen)
            found.append(Finding(check, verdict, text, remedy))
    return found


_Answer = tuple[Verdict, str, str]
_CLEAN = "run the golden image's script in the guest as the last thing (`ceso template script`)"


def _release(seen: Seen) -> _Answer:
    found = os_release(seen)
    if found is None:
        return "warning", "the guest does not say which system it is", "see /etc/os-release"
    if found.id != "ubuntu":
        return "warning", f"{found.name}: create_vm is made for Ubuntu", "test a VM made from it"
    if not found.supported_for_long:
        return "warning", f"{found.name} is no LTS release", "prefer an LTS release"
    return "ok", found.name, ""


def _cloud_init(seen: Seen) -> _Answer:
    if seen.places.get("/usr/bin/cloud-init") is None:
        return "problem", "cloud-init is not installed", "apt-get install cloud-init cloud-guest-utils"
    if seen.places.get("/etc/cloud/cloud-init.disabled") is not None:
        return "problem", "cloud-init is disabled by a file", "rm /etc/cloud/cloud-init.disabled"
    if seen.places.get("/etc/systemd/system/cloud-init.service") == "/dev/null":
        return "problem", "cloud-init's unit is masked", "systemctl unmask cloud-init.service"
    version = re.search(r'_VERSION(?:__)? = ["\'](\d+)\.(\d+)', seen.text(FILES[-1]) or "")
    if version is None:
        return "ok", "cloud-init is installed", ""
    number = (int(version[1]), int(version[2]))
    said = f"cloud-init {number[0]}.{number[1]}"
    if number < (21, 3):
        return "problem", f"{said} does not know guestinfo", "apt-get update && apt-get full-upgrade"
    return "ok", f"{said} is installed", ""


def _tools(seen: Seen) -> _Answer:
    if seen.places.get("/usr/bin/vmtoolsd") is None:
        return (
            "problem",
            "open-vm-tools is not installed, so cloud-init cannot read guestinfo",
            "apt-get install open-vm-tools",
        )
    if seen.places.get("/etc/systemd/system/open-vm-tools.service") == "/dev/null":
        return "problem", "open-vm-tools is masked", "systemctl unmask open-vm-tools.service"
    return "ok", "open-vm-tools is installed", ""


def _machine_id(seen: Seen) -> _Answer:
    content = seen.files.get("/etc/machine-id")
    if content is not None and content.strip() not in (b"", b"uninitialized"):
        return "problem", "every copy would have the same machine-id, and so the same DHCP lease", _CLEAN
    dbus = seen.places.get("/var/lib/dbus/machine-id")
    if dbus == "":
        return "problem", "/var/lib/dbus/machine-id is a file of its own", "rm /var/lib/dbus/machine-id"
    return "ok", "no machine-id is left", ""


def _instance(seen: Seen) -> _Answer:
    if seen.places.get("/var/lib/cloud/instance") is not None:
        return "problem", "cloud-init has run and was not cleaned up after", _CLEAN
    return "ok", "cloud-init begins anew", ""


def _host_keys(seen: Seen) -> _Answer:
    keys = [name for name in seen.folders.get("/etc/ssh") or () if re.match(r"ssh_host_.*_key", name)]
    if keys:
        return "problem", f"SSH host keys are left: {', '.join(keys[:4])}", "rm /etc/ssh/ssh_host_*"
    return "ok", "no SSH host keys are left", ""


def _netplan(seen: Seen) -> _Answer:
    names = [name for name in seen.folders.get("/etc/netplan") or () if name.endswith((".yaml", ".yml"))]
    foreign = [name for name in names if name != "50-cloud-init.yaml"]
    if foreign:
        paths = ", ".join(f"/etc/netplan/{name}" for name in foreign)
        return "problem", f"{paths} would be merged with a copy's own network", "rm /etc/netplan/*.yaml"
    if names:
        return (
            "warning",
            "cloud-init's own netplan file is left; a copy replaces it",
            "rm /etc/netplan/*.yaml",
        )
    return "ok", "no netplan file is left", ""


def _cloud_config(seen: Seen) -> _Answer:
    texts = {**seen.texts("/etc/cloud/cloud.cfg.d"), "/etc/cloud/cloud.cfg": seen.text(FILES[3]) or ""}
    network = [path for path, text in texts.items() if re.search(r"^[ \t]*network[ \t]*:", _top(text), re.M)]
    if network:
        return (
            "problem",
            f"`network:` in {', '.join(sorted(network))} beats what a copy is given",
            f"rm {' '.join(sorted(network))}",
        )
    for path, text in sorted(texts.items()):
        if found := re.search(r"^datasource_list[ \t]*:(.*)$", text, re.M):
            sources = re.findall(r"[A-Za-z0-9]+", found[1].partition("#")[0])
            if sources and "VMware" not in sources:
                return "problem", f"{path} names the datasources {', '.join(sources)}", f"rm {path}"
            if not sources:
                return (
                    "problem",
                    f"`datasource_list` in {path} is not on one line, which ds-identify cannot read",
                    f"rm {path}",
                )
        if re.search(r"^manual_cache_clean[ \t]*:[ \t]*true", text, re.M | re.I):
            return "problem", f"`manual_cache_clean` in {path} hides from a copy that it is one", f"rm {path}"
    policy = seen.text("/etc/cloud/ds-identify.cfg") or ""
    if found := re.search(r"^[ \t]*(datasource|policy)[ \t]*:[ \t]*(.+)$", policy, re.M):
        if found[1] == "datasource" and found[2].strip() != "VMware":
            return "problem", f"ds-identify.cfg names the datasource {found[2].strip()}", f"rm {FILES[4]}"
        if found[1] == "policy" and "disabled" in found[2]:
            return "problem", "ds-identify.cfg disables cloud-init", f"rm {FILES[4]}"
    return "ok", "nothing in /etc/cloud competes with guestinfo", ""


def _top(text: str) -> str:
    """The lines at the top level of a YAML text, by their being the least indented."""
    return "\n".join(line for line in text.splitlines() if line[:1] not in (" ", "\t", "#"))


def _kernel_line(seen: Seen) -> _Answer:
    suspects = re.compile(r"(?<![\w.-])(ds=\S+|autoinstall\b|cloud-init=disabled|network-config=\S+)")
    lines = {**seen.texts("/etc/default/grub.d"), "/etc/default/grub": seen.text(FILES[5]) or ""}
    lines["/boot/grub/grub.cfg"] = seen.text("/boot/grub/grub.cfg") or ""
    for path, text in lines.items():
        for line in text.splitlines():
            if not line.lstrip().startswith("#") and (found := suspects.search(line)):
                return (
                    "problem",
                    f"the kernel command line in {path} has `{found[1][:60]}`, which beats guestinfo",
                    "take it out of /etc/default/grub (and grub.d), then run update-grub",
                )
    if not lines["/boot/grub/grub.cfg"]:
        return (
            "warning",
            "the boot loader's configuration was not found",
            "look at /proc/cmdline in the guest",
        )
    return "ok", "the kernel command line names no datasource", ""


def _accounts(seen: Seen) -> _Answer:
    users = []
    for line in (seen.text("/etc/passwd") or "").splitlines():
        parts = line.split(":")
        if len(parts) == 7 and parts[2].isdigit() and 1000 <= int(parts[2]) < 60000:
            users.append(parts[0])
    if users:
        return (
            "warning",
            f"every copy has the accounts {', '.join(users[:8])}",
            "remove the account that the image was built with, or its password and keys",
        )
    if re.search(r"^[^#\s]", seen.text("/root/.ssh/authorized_keys") or "", re.M):
        return "warning", "root's authorized_keys are in every copy", "rm /root/.ssh/authorized_keys"
    return "ok", "no account of a person is left", ""


def _passwords(seen: Seen) -> _Answer:
    for path, text in seen.texts("/etc/ssh/sshd_config.d").items():
        if re.search(r"^\s*PasswordAuthentication\s+yes", text, re.M | re.I):
            return "warning", f"{path} lets copies be logged in to by password", f"rm {path}"
    return "ok", "nothing allows SSH logins by password", ""


def _seeds(seen: Seen) -> _Answer:
    left = [path for path in PLACES[-2:] if seen.places.get(path) is not None]
    if left:
        return "warning", f"{', '.join(left)} would be the same in every copy", f"rm {' '.join(left)}"
    return "ok", "no random seed is left", ""


def _clean_shutdown(seen: Seen) -> _Answer:
    if seen.dirty:
        return (
            "problem",
            "the guest was not shut down cleanly; what is on its disk may be old",
            "start it and shut it down from inside",
        )
    return "ok", "the guest was shut down cleanly", ""


_CONFIG = "/etc/cloud/cloud.cfg.d"
_CHECKS = (
    ("system", ("/etc/os-release",), _release),
    ("cloud-init", ("/usr/bin/cloud-init", "/etc/cloud/cloud-init.disabled"), _cloud_init),
    ("open-vm-tools", ("/usr/bin/vmtoolsd", "/etc/systemd/system/open-vm-tools.service"), _tools),
    ("machine-id", ("/etc/machine-id", "/var/lib/dbus/machine-id"), _machine_id),
    ("cloud-init's state", ("/var/lib/cloud/instance",), _instance),
    ("SSH host keys", ("/etc/ssh",), _host_keys),
    ("netplan", ("/etc/netplan",), _netplan),
    ("cloud-init's configuration", (_CONFIG, FILES[3], FILES[4]), _cloud_config),
    (
        "kernel command line",
        ("/boot/grub/grub.cfg", "/etc/default/grub", "/etc/default/grub.d"),
        _kernel_line,
    ),
    ("accounts", ("/etc/passwd", "/root/.ssh/authorized_keys"), _accounts),
    ("SSH passwords", ("/etc/ssh/sshd_config.d",), _passwords),
    ("random seed", ("/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret"), _seeds),
    ("shutdown", (), _clean_shutdown),
)
