"""Disks that change, read by the host's real program, and backed up one after the other."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from repository_cases import FACTS, Kit, backup_id, image_of

from ceso_mcp.backup import agents
from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.backup.sums import block_bytes_for
from ceso_mcp.repository import LocalRepository
from ceso_mcp.repository.backup_writer import BackupWriter
from ceso_mcp.repository.disk_writer import DiskWriter
from ceso_mcp.repository.parent import ParentDisk

BLOCK = 1 << 16
NODE = "scsi0:0"


def host_reads(flat: Path, size: int, payload: Iterable[bytes] | None, *, since: int = 0) -> bytes:
    """What the host's program sends for the disk, told the digests in `payload` or nothing."""
    changed = [] if payload is None else ["changed"]
    command = [sys.executable, "-S", "-c", agents.LOADER, "read", str(flat), str(size)]
    command += [str(block_bytes_for(size)), *changed]
    content = agents.agent_stdin("read") + agents.resume_payload(since) + b"".join(payload or ())
    done = subprocess.run(command, input=content, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def begun(writer: BackupWriter, size: int, parent: ParentDisk | None) -> DiskWriter:
    facts = {"file_name": "web 01.vmdk", "descriptor": "# Disk DescriptorFile\n"}
    return writer.disk(0, node=NODE, capacity_bytes=size, parent=parent, **facts)  # type: ignore[arg-type]


def made(kit: Kit, keys: Path | None = None) -> LocalRepository:
    repository = kit.make()
    if keys is not None:
        repository.use_index_key(keys, make=True)
    return repository


def back_up_file(
    kit: Kit,
    flat: Path,
    run: int,
    parent: Manifest | None = None,
    *,
    keys: Path | None = None,
) -> tuple[Manifest, int, int]:
    """A backup of the disk in `flat`; its manifest, the bytes that the host sent and those added."""
    size = flat.stat().st_size
    repository = made(kit, keys)
    # The private keys are used only where there is no key of the machine's own.
    reading = kit.open() if keys is None else repository
    old = None if parent is None else reading.parent_disk(parent.id, NODE, size)
    with repository.writer(backup_id(run)) as writer:
        disk = begun(writer, size, old)
        stream = host_reads(flat, size, disk.known_digests() if old else None)
        for at in range(0, len(stream), 99_991):
            disk.feed(stream[at : at + 99_991])
        assert disk.finish().received_bytes == len(stream)
        writer.add_file("web 01.vmx", b'displayName = "web 01"\n')
        manifest = writer.commit(**FACTS, parent=parent and parent.id)  # type: ignore[arg-type]
        return manifest, len(stream), writer.added_bytes


def restored(kit: Kit, manifest: Manifest) -> bytes:
    return image_of(kit.open().reader(manifest.id).disk_stream(0), manifest.disks[0].capacity_bytes)


def sparse(path: Path, content: bytes) -> Path:
    """Write `content` so that its zero pages are holes."""
    with path.open("wb") as file:
        file.truncate(len(content))
        for at in range(0, len(content), 4096):
            if content.count(0, at, at + 4096) != len(content[at : at + 4096]):
                file.seek(at)
                file.write(content[at : at + 4096])
    return path


def changed(content: bytes, seed: int, times: int = 6) -> bytes:
    """`content` with some stretches overwritten, some of them with zeros."""
    chance = random.Random(seed)
    new = bytearray(content)
    for _ in range(times):
        at = chance.randrange(len(new))
        length = min(len(new) - at, chance.choice((1, 4096, BLOCK, 3 * BLOCK)))
        new[at : at + length] = bytes(length) if chance.random() < 0.4 else chance.randbytes(length)
    return bytes(new)
