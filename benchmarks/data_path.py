"""ceso's way of a disk between a host and a repository, as a command: what `compare.py` measures.

    data_path.py backup HOST.json DISK [PARENT-ID]      prints one line of JSON
    data_path.py restore HOST.json TARGET BACKUP-ID
    data_path.py prove HOST.json TARGET BACKUP-ID       reads the disk back on the host and compares

The steps are those of backup_vm and restore_vm, with the code that runs them; planning, audit log and
journal are left out, so that a plain OpenSSH server can be the host.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ceso_mcp.backup.actions import BeginBackup, CommitBackup, DigestsFrom, DiskFrom, DiskInto
from ceso_mcp.backup.names import BackupId
from ceso_mcp.config import BackupSection, HostSection
from ceso_mcp.delivery import Delivery, Happened, Patience
from ceso_mcp.desk import RepositoryDesk
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.plan import Step
from ceso_mcp.recipes.transfer import compare_disk, read_disk, write_disk
from ceso_mcp.redact import Redactor
from ceso_mcp.repository_access import RepositoryAccess
from ceso_mcp.secrets import SecretRef
from ceso_mcp.ssh import HostConnection

VM_ID = "564d7c1e-0011-2233-4455-66778899aabb"
NODE = "scsi0:0"


class DataPath:
    """One run against the host that `settings` describe."""

    def __init__(self, settings: dict[str, Any], disk: Path) -> None:
        host = HostSection(
            address="127.0.0.1",
            port=settings["port"],
            user=settings["user"],
            host_keys=(settings["host_key"],),
            key_file=Path(settings["key_file"]),
        )
        backup = BackupSection(
            repository=Path(settings["repository"]),
            recipients=(settings["recipient"],),
            identity=SecretRef(file=Path(settings["identity"])),
        )
        access = RepositoryAccess(backup, Redactor(), Path(settings["keys"]))
        unused: Any = None
        self.desk = RepositoryDesk(access, unused)
        self.runner = HostConnection(host)
        self.delivery = Delivery(self.runner, self.desk, Patience())
        self.recipients = 1
        self.folder = disk.parent
        self.disk = DatastorePath("bench", disk.name)

    async def run(self, step: Step) -> None:
        line = step.line().replace("/vmfs/volumes/bench", str(self.folder))
        reply = await self.delivery.send(step, line, None, lambda percent, words: None)
        assert not isinstance(reply, Happened)
        reply.require(step.why)
        step.judge(reply, {})

    async def back_up(self, size: int, parent: str | None) -> dict[str, Any]:
        backup_id = str(BackupId(VM_ID, datetime.now(UTC).replace(microsecond=0), secrets.token_hex(4)))
        await self.desk.perform(BeginBackup(backup_id, "", self.recipients), {})
        into = DiskInto(0, NODE, self.disk.name, size, "# Disk DescriptorFile\n", parent)
        await self.run(read_disk(self.disk, into, size))
        facts = {"vm_name": "bench", "vm_uuid": VM_ID, "vmx_path": "", "host": "bench"}
        release = {
            "esxi_version": "8.0.3",
            "esxi_build": "1",
            "kind": "cold",
            "consistency": "powered_off",
            "not_included": (),
        }
        commit = CommitBackup(backup_id, **facts, **release, parent=parent)  # type: ignore[arg-type]
        return {"backup_id": backup_id, **await self.desk.perform(commit, {})}


async def main(mode: str, settings: dict[str, Any], disk: Path, backup_id: str | None) -> None:
    path = DataPath(settings, disk)
    size = os.stat(disk).st_size
    try:
        if mode == "backup":
            print(json.dumps(await path.back_up(size, backup_id)))
        elif mode == "restore":
            assert backup_id
            await path.run(write_disk(path.disk, DiskFrom(backup_id, 0, size), size))
        else:
            assert backup_id
            await path.run(compare_disk(path.disk, DigestsFrom(backup_id, 0), size))
    finally:
        await path.runner.close()


if __name__ == "__main__":
    described = json.loads(Path(sys.argv[2]).read_text())
    asyncio.run(main(sys.argv[1], described, Path(sys.argv[3]), (sys.argv[4:] or [None])[0]))
