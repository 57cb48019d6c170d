"""`vmkping`: who answers in the make-believe network.

Options are those of VMware KB 1003728; the output is that of BSD's ping, as people show it (no capture of
ours; assumed). Guests that are on and report an address answer there, whatever their network.
"""

from __future__ import annotations

import ipaddress

from ceso_mcp.lab.result import Result
from ceso_mcp.lab.world import ON, World

TAKES_A_WORD = ("-c", "-I", "-i", "-N", "-s", "-t", "-W", "-S")


def present(world: World, own: str) -> set[str]:
    """Addresses at which somebody answers: the host itself, its gateway and the guests."""
    found = {own, own.rsplit(".", 1)[0] + ".1"}
    for vm in world.vms.values():
        if vm.state == ON:
            found |= {a for nic in vm.guest.get("net", []) for a in nic["addresses"]}
    return {str(ipaddress.ip_address(address)) for address in found}


def vmkping(words: list[str], answering: set[str]) -> Result:
    """One line for each reply, then the statistics; exit status 0 if anybody answered (assumed)."""
    count, target = 3, ""
    rest = iter(words)
    for word in rest:
        if word in TAKES_A_WORD:
            value = next(rest, "")
            if word == "-c" and value.isdigit():
                count = int(value)
        elif not word.startswith("-"):
            target = word
    try:
        address = str(ipaddress.ip_address(target))
    except ValueError:
        return Result(stderr=f"vmkping: unknown host {target}\n", exit=1)
    text = f"PING {address} ({address}): 56 data bytes\n"
    got = count if address in answering else 0
    if got:
        for number in range(count):
            text += f"64 bytes from {address}: icmp_seq={number} ttl=64 time=0.3{number} ms\n"
    lost = 100 - 100 * got // count
    text += f"\n--- {address} ping statistics ---\n"
    text += f"{count} packets transmitted, {got} packets received, {lost}% packet loss\n"
    if got:
        text += "round-trip min/avg/max = 0.300/0.310/0.330 ms\n"
    return Result(text, exit=0 if got else 1)
