"""What vmkfstools changes in place: growing, punching holes, filling them."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

from . import descriptor as text
from .chain import BLOCK_BYTES, Disk
from .fault import DiskFault, of_errno
from .operations import Progress, Room, allocate, plenty, silent


def grow(path: str, size_bytes: int, room: Room = plenty, kind: str = "") -> None:
    """Make the flat disk at `path` `size_bytes` long in all; never shrinks, never grows a child."""
    described = text.load(path)
    if described.parent_hint or described.create_type != "vmfs":
        raise DiskFault(67)
    sectors = -(-size_bytes // text.SECTOR)
    if sectors < described.sectors:
        raise DiskFault(1, "Invalid argument")
    extent = os.path.join(os.path.dirname(path), described.extent_name)
    handle = os.open(extent, os.O_RDWR)
    try:
        if described.thin and kind != "eagerzeroedthick":
            os.ftruncate(handle, sectors * text.SECTOR)
        else:
            allocate(handle, described.size_bytes, sectors * text.SECTOR, room, silent)
    finally:
        os.close(handle)
    ddb = {**described.ddb, **text.geometry(sectors)}
    text.store(path, replace(described, sectors=sectors, ddb=ddb))


def punch(path: str) -> None:
    """Free every 1 MiB block of a flat disk that holds only zeros (vmkfstools-K-punchzero-1)."""
    with Disk(path) as disk:
        zeros = bytes(BLOCK_BYTES)
        empty = [
            at for at, size in disk.data_blocks() if size == BLOCK_BYTES and disk.read(at, size) == zeros
        ]
        extent = disk.links[0].extent
    copy = f"{extent}~punch"
    with open(extent, "rb") as source, open(copy, "wb") as target:
        os.chmod(copy, 0o600)
        target.truncate(os.fstat(source.fileno()).st_size)
        with Disk(path) as disk:
            for offset, length in disk.data_blocks():
                if offset not in empty:
                    os.pwrite(target.fileno(), disk.read(offset, length), offset)
    os.replace(copy, extent)


def inflate(path: str, room: Room = plenty, progress: Progress = silent) -> None:
    """Give every block of a flat disk a place; a thin one is thin no more (govmomi issue 942)."""
    described = text.load(path)
    if described.create_type != "vmfs":
        raise DiskFault(24)
    extent = os.path.join(os.path.dirname(path), described.extent_name)
    handle = os.open(extent, os.O_RDWR)
    try:
        if room() < described.size_bytes - os.fstat(handle).st_blocks * 512:
            raise of_errno(errno.ENOSPC, "No space left on device")
        allocate(handle, 0, described.size_bytes, plenty, progress)
    finally:
        os.close(handle)
    ddb = {key: value for key, value in described.ddb.items() if key != "thinProvisioned"}
    text.store(path, replace(described, ddb=ddb))


def write_zeros(path: str, room: Room = plenty, progress: Progress = silent) -> None:
    """`-w`: the whole disk holds zeros afterwards."""
    described = text.load(path)
    if described.create_type != "vmfs":
        raise DiskFault(24)
    extent = os.path.join(os.path.dirname(path), described.extent_name)
    handle = os.open(extent, os.O_RDWR)
    try:
        os.ftruncate(handle, 0)
        os.ftruncate(handle, described.size_bytes)
        if described.thin:
            progress(100)
        else:
            allocate(handle, 0, described.size_bytes, room, progress)
    finally:
        os.close(handle)
