"""One of two processes that make and delete VMs with addresses of a pool, at random, on one lab.

Run by test_addresses_soak as a program: lab folder, state folder, seed, rounds, settings of the name server.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ceso_mcp.config import DnsSection
from ceso_mcp.errors import CesoError
from ceso_mcp.lab import Lab
from e2e.conftest import KEY, House

SMALL = "it's a test [old]"
MAY_HAPPEN = {
    "pool_exhausted",
    "name_taken",
    "folder_exists",
    "host_changed",
    "host_busy",
    "vm_not_found",
    "vmx_unreadable",
    "disk_missing",
    "dns_name_taken",
}
"""What a preview may meet while the other process makes or deletes a VM."""
MOST_VMS = 12


async def one(house: House, chance: random.Random, names: str, number: int) -> str:
    """One random operation; says what it was."""
    vms = [vm.name for vm in (await house.ask("list_vms")).vms if vm.name.startswith("soak")]
    dice = chance.random()
    if vms and (dice < 0.4 or len(vms) >= MOST_VMS):
        preview = await house.preview("delete_vm", vm=chance.choice(vms))
        what = "deleted"
    else:
        # Names of both processes are the same now and then: of two that want one, one gets it.
        name = f"soak-{chance.choice(('x', names))}{number}"
        asked: dict[str, Any] = {"name": name, "pool": "lab", "power_on": False}
        if dice > 0.9:
            asked["nics"] = [{"pool": "inner"}]
        if dice < 0.7:
            preview = await house.preview("clone_vm", source=SMALL, **asked)
            what = "cloned"
        else:
            preview = await house.preview(
                "create_vm", template=SMALL, unprepared=True, ssh_keys=[KEY], cpus=1, **asked
            )
            what = "created"
    if chance.random() < 0.05:
        return "left unconfirmed"
    job = await house.confirm(preview.confirm_token)
    if job.state == "done":
        return what
    assert job.error is not None
    if job.error["code"] not in MAY_HAPPEN:
        raise AssertionError(job.error)
    return job.error["code"]


async def main() -> None:
    lab, state, seed, rounds, dns = sys.argv[1:]
    house = House(Lab(Path(lab)), Path(state), dns=DnsSection.model_validate_json(dns) if dns else None)
    chance, tally = random.Random(seed), Counter[str]()
    try:
        for number in range(int(rounds)):
            try:
                tally[await one(house, chance, f"p{seed}-", number)] += 1
            except CesoError as error:
                if error.code not in MAY_HAPPEN:
                    raise
                tally[error.code] += 1
    finally:
        await house.ceso.close()
    print(json.dumps(tally))


if __name__ == "__main__":
    asyncio.run(main())
