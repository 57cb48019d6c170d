"""Digests of a disk's blocks: what proves a restored block, and what a later backup compares with.

A sums object is one header line and then 16 bytes per block, in order:

    ceso-sums 1 blake2b-128 block=65536 capacity=85899345920 key=32 hex digits

A digest is BLAKE2b with 16 bytes of output, keyed with the disk's random key, so that nobody
inside a guest can craft two blocks that look the same. Sixteen zero bytes stand for a block of
zeros. The last block of a disk may be short.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from ceso_mcp.errors import InvalidArguments, Unreadable

DIGEST_BYTES = 16
KEY_BYTES = 16
ZERO_DIGEST = bytes(DIGEST_BYTES)
UNKNOWN_DIGEST = b"\xff" * DIGEST_BYTES
"""Stands for no block at all: told to the host's reader, it makes it send the block whatever it holds."""

SECTOR_BYTES = 512
LARGEST_DISK_BYTES = 64 << 40

_HEADER = re.compile(
    rb"ceso-sums 1 blake2b-128 block=([0-9]{1,10}) capacity=([0-9]{1,20}) key=([0-9a-f]{32})\n"
)
_HEADER_LIMIT = 200


def block_bytes_for(capacity_bytes: int) -> int:
    """The size of a block for a disk: 64 KiB up to 256 GiB, doubling with the disk beyond.

    So a disk never has more than 4 Mi blocks (64 MiB of digests). Raises InvalidArguments for a
    capacity that no VMDK has: 0, not whole sectors, or above 64 TiB.
    """
    if capacity_bytes <= 0 or capacity_bytes % SECTOR_BYTES:
        raise InvalidArguments("a disk's capacity is a positive number of 512-byte sectors")
    if capacity_bytes > LARGEST_DISK_BYTES:
        raise InvalidArguments("a disk of more than 64 TiB cannot be backed up")
    block_bytes = 64 << 10
    while capacity_bytes > block_bytes << 22:
        block_bytes <<= 1
    return block_bytes


def frame_bytes_for(block_bytes: int) -> int:
    """The most raw bytes in one compressed frame: 1 MiB, or one block where blocks are larger."""
    return max(1 << 20, block_bytes)


def block_count(capacity_bytes: int, block_bytes: int) -> int:
    return -(-capacity_bytes // block_bytes)


def block_digest(block: bytes | memoryview, key: bytes) -> bytes:
    """The digest of a block that is not all zeros."""
    return hashlib.blake2b(block, digest_size=DIGEST_BYTES, key=key).digest()


def run_digests(run: bytes | memoryview, block_bytes: int, key: bytes) -> bytes:
    """The digests of a run of non-zero blocks, joined."""
    view = memoryview(run)
    return b"".join(block_digest(view[at : at + block_bytes], key) for at in range(0, len(run), block_bytes))


def header(capacity_bytes: int, block_bytes: int, key: bytes) -> bytes:
    """The header line of a sums object."""
    return b"ceso-sums 1 blake2b-128 block=%d capacity=%d key=%s\n" % (
        block_bytes,
        capacity_bytes,
        key.hex().encode(),
    )


@dataclass(frozen=True, slots=True)
class Sums:
    """The digests of one disk. `digests` holds 16 bytes per block."""

    capacity_bytes: int
    block_bytes: int
    key: bytes
    digests: bytes

    @classmethod
    def parse(cls, content: bytes) -> Sums:
        """Read a whole sums object; raises Unreadable if anything about it does not fit."""
        match = _HEADER.match(content[:_HEADER_LIMIT])
        if match is None:
            raise Unreadable("block digests", "the header line is not one of version 1")
        block_bytes, capacity_bytes = int(match[1]), int(match[2])
        try:
            fits = block_bytes == block_bytes_for(capacity_bytes)
        except InvalidArguments as fault:
            raise Unreadable("block digests", fault.message) from None
        if not fits:
            raise Unreadable("block digests", "the block size is not the one for this capacity")
        digests = content[match.end() :]
        if len(digests) != DIGEST_BYTES * block_count(capacity_bytes, block_bytes):
            raise Unreadable("block digests", "the number of digests does not fit the capacity")
        return cls(capacity_bytes, block_bytes, bytes.fromhex(match[3].decode()), digests)

    def of(self, block: int) -> bytes:
        """The digest of block number `block`."""
        return self.digests[block * DIGEST_BYTES : (block + 1) * DIGEST_BYTES]

    def mismatches(self, offset: int, run: bytes | memoryview) -> list[tuple[int, int]]:
        """The blocks of `run`, which starts at disk `offset`, that are not what was backed up.

        (offset, length) of each, empty if all is well. `offset` must be on a block border.
        """
        wrong = []
        view = memoryview(run)
        for at in range(0, len(run), self.block_bytes):
            block = view[at : at + self.block_bytes]
            if block_digest(block, self.key) != self.of((offset + at) // self.block_bytes):
                wrong.append((offset + at, len(block)))
        return wrong
