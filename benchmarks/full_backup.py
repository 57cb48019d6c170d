"""Full backup and restore of one disk, against the plain pipe over the same SSH server in the same run.

    .venv/bin/python benchmarks/full_backup.py [--gib 4] [--data-mib 1024] [--rounds 3]

The pipe is `ssh host cat disk | zstd -T0 -3 | age -r KEY > file`, and its reverse into a disk on the
host. Host, network and ceso share this machine's cores, so the ratios are what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import shlex
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pyrage

from ceso_mcp import catalogue
from ceso_mcp.app import Ceso, parse_arguments
from ceso_mcp.audit import Actor
from ceso_mcp.config import BackupSection, Config, HostSection
from ceso_mcp.lab import Lab
from ceso_mcp.operation import Change
from ceso_mcp.secrets import SecretRef
from ceso_mcp.worker import perform

WHO = Actor("benchmark")
VM = "it's a test [old]"


def fill(disk: Path, size: int, data: int) -> None:
    """Half random, half text-like MiB blocks, spread over the disk; the rest are holes."""
    os.truncate(disk, size)
    words = [random.Random(0).randbytes(6).hex() for _ in range(4096)]
    step = max(1, (size >> 20) // (data >> 20))
    with open(disk, "r+b") as file:
        for number in range(data >> 20):
            chance = random.Random(number)
            block = (
                chance.randbytes(1 << 20)
                if number % 4 == 0
                else " ".join(chance.choices(words, k=90_000)).encode()[: 1 << 20]
            )
            file.seek(number * step << 20)
            file.write(block)


async def do(ceso: Ceso, name: str, /, **arguments: Any) -> dict[str, Any]:
    change = parse_arguments(catalogue.operation(name), arguments)
    assert isinstance(change, Change)
    job_id = ceso.confirm((await ceso.preview(change, WHO)).confirm_token, WHO, consent="terminal")
    await perform(ceso, job_id)
    job = ceso.jobs.get(job_id)
    assert job.state == "done", job.error
    return job.result or {}


def pipe(command: str) -> float:
    began = time.monotonic()
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)
    return time.monotonic() - began


async def measure(folder: Path, gib: int, data_mib: int, rounds: int) -> None:
    lab = Lab(folder / "lab")
    address = lab.start()
    identity = pyrage.x25519.Identity.generate()
    (folder / "identity").write_text(str(identity))
    (folder / "identity").chmod(0o600)
    recipient = str(identity.to_public())
    host = HostSection(
        address=address.host, port=address.port, host_keys=address.host_keys, key_file=address.key_file
    )
    backup = BackupSection(
        repository=folder / "backups", recipients=(recipient,), identity=SecretRef(file=folder / "identity")
    )
    config = Config(host=host, backup=backup, state_dir=folder / "state")
    ceso = Ceso(config, spawn=lambda job, log, environment: 0)
    stem = VM
    flat = lab.volume("datastore1") / stem / f"{stem}-flat.vmdk"
    descriptor = flat.with_name(f"{stem}.vmdk")
    sectors = (gib << 30) // 512
    descriptor.write_text(re.sub(r"^RW \d+ VMFS", f"RW {sectors} VMFS", descriptor.read_text(), flags=re.M))
    fill(flat, gib << 30, data_mib << 20)
    path = f"/vmfs/volumes/datastore1/{stem}/{stem}-flat.vmdk"
    ssh = (
        f"ssh -p {address.port} -i {address.key_file} -o StrictHostKeyChecking=no -o LogLevel=ERROR"
        f" -o UserKnownHostsFile=/dev/null -c aes128-gcm@openssh.com root@{address.host}"
    )
    reading = f"cat {shlex.quote(path)}"
    out = folder / "pipe.zst.age"
    times: dict[str, list[float]] = {"pipe": [], "ceso": [], "pipe back": [], "ceso back": []}
    for number in range(rounds):
        times["pipe"].append(
            pipe(f"{ssh} {shlex.quote(reading)} | zstd -q -T0 -3 | age -r {recipient} > {out}")
        )
        began = time.monotonic()
        result = await do(ceso, "backup_vm", vm=VM)
        times["ceso"].append(time.monotonic() - began)
        target = f"/vmfs/volumes/datastore1/back{number}.raw"
        times["pipe back"].append(
            pipe(f"age -d -i {folder}/identity {out} | zstd -q -d | {ssh} {shlex.quote(f'cat > {target}')}")
        )
        (lab.volume("datastore1") / f"back{number}.raw").unlink()
        began = time.monotonic()
        arguments = {"backup_id": result["backup_id"], "datastore": "datastore1", "hostname": "r"}
        await do(ceso, "restore_vm", name=f"r{number}", **arguments)
        times["ceso back"].append(time.monotonic() - began)
    await ceso.close()
    lab.stop()
    print(f"{gib} GiB disk, {data_mib} MiB of data, {rounds} rounds; seconds: median (least)")
    for name, values in times.items():
        print(f"  {name:10} {statistics.median(values):6.2f} ({min(values):.2f})")
    for name in ("", " back"):
        ratio = statistics.median(times[f"ceso{name}"]) / statistics.median(times[f"pipe{name}"])
        print(f"  ceso{name} / pipe{name}: {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=int, default=4)
    parser.add_argument("--data-mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ceso-bench-") as name:
        asyncio.run(measure(Path(name), given.gib, given.data_mib, given.rounds))


if __name__ == "__main__":
    main()
