"""Sparse images, the wire streams a host would send for them, and repositories to put them into."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyrage

from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.backup.names import BackupId
from ceso_mcp.backup.signature import Trust
from ceso_mcp.backup.sums import block_bytes_for
from ceso_mcp.backup.wire import data_head, end_frame
from ceso_mcp.repository import LocalRepository
from ceso_mcp.repository.backup_writer import BackupWriter
from ceso_mcp.repository.signing import SigningKey

SMALL_PACK_BYTES = 1 << 17
FACTS = {
    "vm_name": "web 01",
    "vm_uuid": "56 4d 7c 1e 00 11 22 33-44 55 66 77 88 99 aa bb",
    "vmx_path": "[datastore1] web 01/web 01.vmx",
    "host": "esxi01",
    "esxi_version": "8.0.3",
    "esxi_build": "24022510",
}


def sparse_image(capacity_bytes: int, seed: int, share: float = 0.3) -> bytes:
    """An image with random data (half of it compressible) in about `share` of its 16 KiB pieces."""
    chance = random.Random(seed)
    image = bytearray(capacity_bytes)
    for at in range(0, capacity_bytes, 16 << 10):
        if chance.random() < share:
            length = min(chance.randrange(1, 16 << 10), capacity_bytes - at)
            piece = chance.randbytes(length) if chance.random() < 0.5 else b"ceso " * (length // 5 + 1)
            image[at : at + length] = piece[:length]
    return bytes(image)


def wire_of(image: bytes, *, skip_zeros: bool = True) -> bytes:
    """The stream of an image, block by block: cut differently from how the agent cuts it."""
    block_bytes = block_bytes_for(len(image))
    frames = []
    for offset in range(0, len(image), block_bytes):
        block = image[offset : offset + block_bytes]
        if not skip_zeros or block.count(0) != len(block):
            frames.append(data_head(offset, len(block)) + block)
    return b"".join(frames) + end_frame(len(image), len(frames))


def image_of(stream: Iterator[bytes], capacity_bytes: int) -> bytes:
    """What a host's disk holds after a stream: decoded here without the code under test."""
    content = b"".join(stream)
    image = bytearray(capacity_bytes)
    at = frames = 0
    while True:
        kind = content[at]
        offset = int.from_bytes(content[at + 1 : at + 9], "big")
        length = int.from_bytes(content[at + 9 : at + 13], "big")
        at += 13
        if kind == 255:
            assert (offset, length, at) == (capacity_bytes, frames, len(content))
            return bytes(image)
        assert kind == 1
        image[offset : offset + length] = content[at : at + length]
        at, frames = at + length, frames + 1


def backup_id(run: int = 0) -> BackupId:
    return BackupId.parse(f"564d7c1e-0011/202601{run + 1:02}T031500Z-4f2a9c")


def add_disk(writer: BackupWriter, index: int, image: bytes) -> None:
    disk = writer.disk(
        index,
        node=f"scsi0:{index}",
        file_name=f"web 01_{index}.vmdk",
        capacity_bytes=len(image),
        descriptor="# Disk DescriptorFile\n",
    )
    stream = wire_of(image)
    for at in range(0, len(stream), 100_003):
        disk.feed(stream[at : at + 100_003])
    disk.finish()


@dataclass(frozen=True)
class Kit:
    """A repository with everything needed to read it; `signer` signs what is backed up."""

    path: Path
    recipients: tuple[str, ...]
    identities: tuple[str, ...]
    signer: SigningKey | None = None
    trust: Trust = Trust()  # noqa: RUF009 - frozen

    def make(self) -> LocalRepository:
        made = LocalRepository.init(self.path, recipients=self.recipients, pack_bytes=SMALL_PACK_BYTES)
        made.sign_with, made.trust = self.signer, self.trust
        return made

    def open(self) -> LocalRepository:
        opened = LocalRepository.open(self.path, identities=self.identities)
        opened.sign_with, opened.trust = self.signer, self.trust
        return opened

    def back_up(self, *images: bytes, run: int = 0) -> Manifest:
        with self.make().writer(backup_id(run)) as writer:
            for index, image in enumerate(images):
                add_disk(writer, index, image)
            writer.add_file("web 01.vmx", b'displayName = "web 01"\n')
            writer.add_file("web 01.nvram", bytes(range(256)) * 16)
            return writer.commit(**FACTS)

    def objects(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }


def new_signer(folder: Path, name: str = "signer") -> SigningKey:
    """A key made by ssh-keygen, kept as `name` in `folder`."""
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return SigningKey.read(path.read_text())


def new_identity() -> tuple[str, str]:
    """(private, public) age key."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())
