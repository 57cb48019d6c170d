"""ext4, read only: super block, inodes, extents, directories, symbolic links, inline data.

Source: Linux's Documentation/filesystems/ext4 (super block, group descriptors, inodes, extents,
directory entries, inline data). What a file system has that is not known here is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ceso_mcp.guest.disk.ranges import Asking, Range, Unknown, ask

MAGIC_AT = 1024 + 56
MAGIC = b"\x53\xef"
ROOT = 2
_RECOVER, _64BIT, _INLINE_DATA = 0x4, 0x80, 0x8000
_KNOWN = {
    0x2: "filetype", 0x4: "recover", 0x40: "extents", 0x80: "64bit", 0x100: "mmp", 0x200: "flex_bg",
    0x400: "ea_inode", 0x2000: "csum_seed", 0x4000: "largedir", 0x8000: "inline_data", 0x10000: "encrypt",
    0x20000: "casefold",
}  # fmt: skip
"""What a reader must know (`s_feature_incompat`) and this one does."""
_NAMES = {0x1: "compression", 0x8: "journal_dev", 0x10: "meta_bg", 0x1000: "dirdata"}
_EXTENTS, _ENCRYPTED, _INLINE = 0x80000, 0x800, 0x10000000
_EXTENT_MAGIC = 0xF30A
_UNWRITTEN = 32768
_XATTR_MAGIC = 0xEA020000
_SYSTEM = 7
MAX_FILE = 16 << 20


@dataclass(frozen=True, slots=True)
class Inode:
    """One file. `body` is the whole of its record."""

    number: int
    mode: int
    size: int
    flags: int
    body: bytes

    @property
    def is_directory(self) -> bool:
        return self.mode & 0xF000 == 0x4000

    @property
    def is_file(self) -> bool:
        return self.mode & 0xF000 == 0x8000

    @property
    def is_link(self) -> bool:
        return self.mode & 0xF000 == 0xA000

    @property
    def block(self) -> bytes:
        return self.body[40:100]


class Ext4:
    """One file system; its readings ask for ranges of the volume that it lies on."""

    def __init__(self, super_block: bytes) -> None:
        """Reads the super block (1024 bytes); raises Unknown for features that are not known here."""
        sb = super_block
        if sb[56:58] != MAGIC:
            raise Unknown("it is no ext4 file system")
        get = struct.Struct("<I").unpack_from
        incompatible = get(sb, 0x60)[0]
        foreign = [_NAMES.get(bit, f"{bit:#x}") for bit in _bits(incompatible) if bit not in _KNOWN]
        if foreign:
            raise Unknown(f"its ext4 has features that are not known here: {', '.join(foreign)}")
        shift = get(sb, 0x18)[0]
        self.inodes, self._first_block = get(sb, 0x0)[0], get(sb, 0x14)[0]
        self._per_group, self._inode_bytes = get(sb, 0x28)[0], struct.unpack_from("<H", sb, 0x58)[0]
        if shift > 6 or get(sb, 0x4C)[0] < 1 or not self._per_group or not 128 <= self._inode_bytes <= 4096:
            raise Unknown("its ext4 super block is of an unknown kind")
        self.block_bytes = 1024 << shift
        self._descriptor_bytes = struct.unpack_from("<H", sb, 0xFE)[0] if incompatible & _64BIT else 32
        if self._descriptor_bytes < 32:
            raise Unknown("its ext4 super block is of an unknown kind")
        self.needs_recovery = bool(incompatible & _RECOVER)
        self.uuid = sb[0x68:0x78].hex()
        self.label = sb[0x78:0x88].rstrip(b"\0").decode("utf-8", "replace")
        self._listings: dict[int, dict[bytes, int]] = {}

    @classmethod
    def open(cls) -> Asking[Ext4]:
        """The file system of a volume."""
        return cls((yield from ask(1024, 1024)))

    def inode(self, number: int) -> Asking[Inode]:
        """One file's record."""
        if not 1 <= number <= self.inodes:
            raise Unknown(f"its ext4 names inode {number}, which there is not")
        group, index = divmod(number - 1, self._per_group)
        at = (self._first_block + 1) * self.block_bytes + group * self._descriptor_bytes
        descriptor = yield from ask(at, self._descriptor_bytes)
        table = struct.unpack_from("<I", descriptor, 8)[0]
        if self._descriptor_bytes >= 64:
            table |= struct.unpack_from("<I", descriptor, 0x28)[0] << 32
        body = yield from ask(table * self.block_bytes + index * self._inode_bytes, self._inode_bytes)
        mode, size = struct.unpack_from("<H", body)[0], struct.unpack_from("<I", body, 4)[0]
        if mode & 0xF000 in (0x8000, 0x4000):
            size |= struct.unpack_from("<I", body, 0x6C)[0] << 32
        return Inode(number, mode, size, struct.unpack_from("<I", body, 0x20)[0], body)

    def content(self, inode: Inode, limit: int = MAX_FILE) -> Asking[bytes]:
        """A file's bytes, or a link's target; raises Unknown if there are more than `limit`."""
        if inode.size > limit:
            raise Unknown(f"a file of {inode.size} bytes is larger than what is read")
        if inode.flags & _ENCRYPTED:
            raise Unknown("a file of it is encrypted")
        if inode.flags & _INLINE:
            return self._inline(inode)[: inode.size]
        if inode.flags & _EXTENTS:
            return (yield from self._mapped(inode))
        if inode.is_link and inode.size < 60:
            return inode.block[: inode.size]
        if inode.size == 0:
            return b""
        raise Unknown("a file of it has block maps, as ext2 and ext3 have")

    def entries(self, directory: Inode) -> Asking[dict[bytes, int]]:
        """A directory's names, `.` and `..` left out, and their inodes.

        The index of a large directory hides in what looks like unused entries, so reading all blocks in
        a row finds every name.
        """
        if directory.number in self._listings:
            return self._listings[directory.number]
        if directory.flags & _INLINE:
            data = self._inline(directory)
            # The number of the parent, then entries to the end of the record, then those of the attribute.
            found = self._names(data[4:60]) | self._names(data[60:])
        else:
            data = yield from self.content(directory)
            found = {}
            for at in range(0, len(data), self.block_bytes):
                found |= self._names(data[at : at + self.block_bytes])
        self._listings[directory.number] = found
        return found

    def _names(self, block: bytes) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        at = 0
        while at + 8 <= len(block):
            number, length, name_bytes = struct.unpack_from("<IHB", block, at)
            length = len(block) if length in (0, 65535) and len(block) == 65536 else length
            if length < 8 or length % 4 or at + length > len(block) or (number and name_bytes + 8 > length):
                raise Unknown("a directory of it is damaged")
            name = block[at + 8 : at + 8 + name_bytes]
            if number and name not in (b".", b".."):
                found[name] = number
            at += length
        return found

    def _mapped(self, inode: Inode) -> Asking[bytes]:
        leaves = yield from self._extents(inode)
        blocks = -(-inode.size // self.block_bytes)
        pieces: list[tuple[int, Range]] = []
        for logical, count, physical in leaves:
            count = min(count, blocks - logical)
            if count > 0:
                pieces.append((logical, Range(physical * self.block_bytes, count * self.block_bytes)))
        parts: Sequence[bytes] = (yield [place for _, place in pieces]) if pieces else []
        data = bytearray(blocks * self.block_bytes)
        for (logical, place), part in zip(pieces, parts, strict=True):
            start = logical * self.block_bytes
            data[start : start + place.length] = part
        return bytes(data[: inode.size])

    def _extents(self, inode: Inode) -> Asking[list[tuple[int, int, int]]]:
        """(first logical block, blocks, first physical block) of what has been written."""
        nodes = [inode.block]
        for _ in range(6):
            leaves: list[tuple[int, int, int]] = []
            below: list[int] = []
            for node in nodes:
                magic, count, _, depth = struct.unpack_from("<HHHH", node)
                if magic != _EXTENT_MAGIC or 12 * (count + 1) > len(node):
                    raise Unknown("the extents of a file of it are damaged")
                for at in range(12, 12 * (count + 1), 12):
                    if depth:
                        low, high = struct.unpack_from("<IH", node, at + 4)
                        below.append(high << 32 | low)
                    else:
                        logical, length, high, low = struct.unpack_from("<IHHI", node, at)
                        if length <= _UNWRITTEN:  # longer ones are reserved and read as zeros
                            leaves.append((logical, length, high << 32 | low))
            if not below:
                return leaves
            if leaves or len(below) > 4096:
                raise Unknown("the extents of a file of it are damaged")
            nodes = list((yield [Range(block * self.block_bytes, self.block_bytes) for block in below]))
        raise Unknown("the extents of a file of it are too deep")

    def _inline(self, inode: Inode) -> bytes:
        """The data in the record itself: 60 bytes, and the attribute `system.data` for the rest."""
        body = inode.body
        data = inode.block
        if len(body) <= 128 + 4:
            return data
        first = 128 + struct.unpack_from("<H", body, 128)[0]
        if first + 4 > len(body) or struct.unpack_from("<I", body, first)[0] != _XATTR_MAGIC:
            return data
        at = first = first + 4
        while at + 16 <= len(body) and struct.unpack_from("<I", body, at)[0]:
            name_bytes, index, value_at, holder, size = struct.unpack_from("<BBHII", body, at)
            name = body[at + 16 : at + 16 + name_bytes]
            if index == _SYSTEM and name == b"data" and size:
                if holder or first + value_at + size > len(body):
                    raise Unknown("the data in an inode of it is damaged")
                return data + body[first + value_at : first + value_at + size]
            at += 16 + (name_bytes + 3) // 4 * 4
        return data


def _bits(value: int) -> list[int]:
    return [1 << bit for bit in range(32) if value >> bit & 1]
