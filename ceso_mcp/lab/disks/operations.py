"""What vmkfstools does to disks, without its words: create, clone, grow, rename, delete, merge."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace

from . import descriptor as text
from . import sesparse
from .chain import BLOCK_BYTES, Disk, Place, same
from .fault import DiskFault, of_errno

Room = Callable[[], int]
Progress = Callable[[int], None]
ROOM_STEP_BYTES = 4 << 20


def plenty() -> int:
    return 1 << 60


def silent(percent: int) -> None:
    """No progress shown."""


def _stem(path: str) -> str:
    return path.removesuffix(".vmdk")


def _new_extent(path: str) -> int:
    flat = f"{_stem(path)}-flat.vmdk"
    if os.path.lexists(path) or os.path.lexists(flat):
        raise DiskFault(39)
    try:
        return os.open(flat, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileNotFoundError:
        raise DiskFault(25) from None


def _allocate(handle: int, start: int, size_bytes: int, room: Room, progress: Progress) -> None:
    """Give every block a place, a step at a time so that the store can run full on the way."""
    step = max(ROOM_STEP_BYTES, size_bytes // 50 // BLOCK_BYTES * BLOCK_BYTES)
    for at in range(start, size_bytes, step):
        length = min(step, size_bytes - at)
        if room() < length:
            raise of_errno(errno.ENOSPC, "No space left on device")
        try:
            os.posix_fallocate(handle, at, length)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise of_errno(errno.ENOSPC, "No space left on device") from None
            os.ftruncate(handle, max(at + length, os.fstat(handle).st_size))
        progress((at + length) * 100 // size_bytes)


def create(path: str, size_bytes: int, kind: str, room: Room = plenty, progress: Progress = silent) -> None:
    """Make a disk of `size_bytes` (rounded up to whole sectors: assumed); `kind` as after `-d`."""
    sectors = -(-size_bytes // text.SECTOR)
    handle = _new_extent(path)
    try:
        if kind == "thin":
            os.ftruncate(handle, sectors * text.SECTOR)
        else:
            _allocate(handle, 0, sectors * text.SECTOR, room, progress)
    finally:
        os.close(handle)
    name = os.path.basename(_stem(path)) + "-flat.vmdk"
    text.store(path, text.new_flat(name, sectors, thin=kind == "thin"))
    progress(100)


def clone(
    source: str,
    target: str,
    kind: str,
    room: Room = plenty,
    progress: Progress = silent,
    place: Place = same,
) -> None:
    """Copy the whole chain of `source` into one new flat disk; zero blocks stay holes when thin.

    A failure halfway leaves the partial destination, as the host does (§1.2, §2).
    """
    with Disk(source, place) as disk:
        handle = _new_extent(target)
        try:
            os.ftruncate(handle, disk.size_bytes)
            name = os.path.basename(_stem(target)) + "-flat.vmdk"
            made = text.new_flat(name, disk.size_bytes // text.SECTOR, thin=kind == "thin")
            text.store(target, made)
            if kind != "thin":
                _allocate(handle, 0, disk.size_bytes, room, silent)
            _copy(disk, handle, kind, room, progress)
        finally:
            os.close(handle)


def _copy(disk: Disk, handle: int, kind: str, room: Room, progress: Progress) -> None:
    zeros = bytes(BLOCK_BYTES)
    left = 0
    progress(0)
    for offset, length in disk.data_blocks():
        content = disk.read(offset, length)
        if kind == "thin" and content == (zeros if length == BLOCK_BYTES else bytes(length)):
            continue
        if kind == "thin":
            if left < length:
                left = min(room(), ROOM_STEP_BYTES)
            if left < length:
                raise of_errno(errno.ENOSPC, "No space left on device")
            left -= length
        try:
            os.pwrite(handle, content, offset)
        except OSError as error:
            raise of_errno(error.errno or errno.EIO, os.strerror(error.errno or errno.EIO)) from None
        progress((offset + length) * 100 // disk.size_bytes)
    progress(100)


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
            _allocate(handle, described.size_bytes, sectors * text.SECTOR, room, silent)
    finally:
        os.close(handle)
    ddb = {**described.ddb, **text.geometry(sectors)}
    text.store(path, replace(described, sectors=sectors, ddb=ddb))


def delete(path: str) -> None:
    """Remove the descriptor and its extent, nothing else (vmkfstools-U-delete-1)."""
    described = text.load(path)
    extent = os.path.join(os.path.dirname(path), described.extent_name)
    if os.path.isfile(extent):
        os.unlink(extent)
    os.unlink(path)


def rename(old: str, new: str) -> None:
    """Move descriptor and extent to the new name and folder (vmkfstools-E-rename-1)."""
    described = text.load(old)
    suffix = "-sesparse.vmdk" if described.create_type == "seSparse" else "-flat.vmdk"
    extent = _stem(new) + suffix
    if os.path.lexists(new) or os.path.lexists(extent):
        raise DiskFault(39)
    os.rename(os.path.join(os.path.dirname(old), described.extent_name), extent)
    text.store(new, replace(described, extent_name=os.path.basename(extent)))
    os.unlink(old)


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


def branch(parent: str, child: str, hint: str) -> None:
    """Make an empty delta `child` above `parent`; `hint` is how the child's descriptor names it (§4)."""
    described = text.load(parent)
    extent = f"{_stem(child)}-sesparse.vmdk"
    if os.path.lexists(child) or os.path.lexists(extent):
        raise DiskFault(39)
    sesparse.create(extent, described.size_bytes)
    text.store(
        child,
        text.Descriptor(
            cid=described.cid,
            create_type="seSparse",
            sectors=described.sectors,
            extent_type="SESPARSE",
            extent_name=os.path.basename(extent),
            parent_cid=described.cid,
            parent_hint=hint,
            ddb={"encoding": "UTF-8", "grain": "8", "longContentID": os.urandom(12).hex() + described.cid},
        ),
    )


def merge(child: str, place: Place = same) -> None:
    """Write the child's grains into its parent and remove the child."""
    with Disk(child, place) as disk:
        parent = disk.links[1]
    delta = sesparse.SeSparse(disk.links[0].extent)
    try:
        numbers = delta.written()
        with Disk(parent.path, place, writable=True) as below:
            for number in numbers:
                below.write(number * sesparse.GRAIN_BYTES, delta.grain(number) or bytes(sesparse.GRAIN_BYTES))
    finally:
        delta.close()
    if numbers:
        text.store(parent.path, replace(parent.descriptor, cid=disk.links[0].descriptor.cid))
    delete(child)


def touched(path: str) -> None:
    """Give the disk a new content id, as the first write of a guest does."""
    described = text.load(path)
    cid = text.new_cid()
    ddb = dict(described.ddb)
    if "longContentID" in ddb:
        ddb["longContentID"] = ddb["longContentID"][:24] + cid
    text.store(path, replace(described, cid=cid, ddb=ddb))
