"""What vmkfstools does to disks, without its words: create, clone, grow, rename, delete, merge."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace

from . import cowd, sesparse
from . import descriptor as text
from .chain import BLOCK_BYTES, DELTAS, Disk, Place, open_delta, same
from .fault import DiskFault, of_errno

Room = Callable[[], int]
Progress = Callable[[int], None]
ROOM_STEP_BYTES = 4 << 20
DELTA_SUFFIXES = {"seSparse": "-sesparse.vmdk", "vmfsSparse": "-delta.vmdk"}
RDM_SUFFIXES = {"vmfsRawDeviceMap": "-rdm.vmdk", "vmfsPassthroughRawDeviceMap": "-rdmp.vmdk"}


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


def allocate(handle: int, start: int, size_bytes: int, room: Room, progress: Progress) -> None:
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


def create(
    path: str,
    size_bytes: int,
    kind: str,
    room: Room = plenty,
    progress: Progress = silent,
    laid: str = "",
) -> None:
    """Make a disk of `size_bytes` (rounded up to whole sectors: assumed); `kind` as after `-d`.

    `laid` is how the blocks are laid out where that differs from what the descriptor says (NFS).
    """
    sectors = -(-size_bytes // text.SECTOR)
    handle = _new_extent(path)
    try:
        if (laid or kind) == "thin":
            os.ftruncate(handle, sectors * text.SECTOR)
        else:
            allocate(handle, 0, sectors * text.SECTOR, room, progress)
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
    laid: str = "",
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
            if (laid or kind) != "thin":
                allocate(handle, 0, disk.size_bytes, room, silent)
            _copy(disk, handle, laid or kind, room, progress)
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


def delete(path: str) -> None:
    """Remove the descriptor and its extents, nothing else (vmkfstools-U-delete-1)."""
    described = text.load(path)
    for name in {described.extent_name, *(extent[2] for extent in described.extents)}:
        extent = os.path.join(os.path.dirname(path), name)
        if os.path.isfile(extent):
            os.unlink(extent)
    os.unlink(path)


def rename(old: str, new: str) -> None:
    """Move descriptor and extent to the new name and folder (vmkfstools-E-rename-1)."""
    described = text.load(old)
    if len(described.extents) > 1:
        raise DiskFault(24)
    suffix = {**DELTA_SUFFIXES, **RDM_SUFFIXES}.get(described.create_type, "-flat.vmdk")
    extent = _stem(new) + suffix
    if os.path.lexists(new) or os.path.lexists(extent):
        raise DiskFault(39)
    os.rename(os.path.join(os.path.dirname(old), described.extent_name), extent)
    text.store(new, replace(described, extent_name=os.path.basename(extent)))
    os.unlink(old)


def branch(parent: str, child: str, hint: str, kind: str = "seSparse") -> None:
    """Make an empty delta `child` above `parent`; `hint` is how the child's descriptor names it (§4).

    `kind` is seSparse (VMFS-6) or vmfsSparse (VMFS-5 up to 2 TiB, NFS).
    """
    described = text.load(parent)
    extent = f"{_stem(child)}{DELTA_SUFFIXES[kind]}"
    if os.path.lexists(child) or os.path.lexists(extent):
        raise DiskFault(39)
    (sesparse if kind == "seSparse" else cowd).create(extent, described.size_bytes)
    ddb = {"longContentID": os.urandom(12).hex() + described.cid}
    text.store(
        child,
        text.Descriptor(
            cid=described.cid,
            create_type=kind,
            sectors=described.sectors,
            extent_type=DELTAS[kind],
            extent_name=os.path.basename(extent),
            parent_cid=described.cid,
            parent_hint=hint,
            ddb={"encoding": "UTF-8", "grain": "8", **ddb} if kind == "seSparse" else ddb,
        ),
    )


def merge(child: str, place: Place = same) -> None:
    """Write what the child holds into its parent and remove the child."""
    with Disk(child, place) as disk:
        parent = disk.links[1]
        step = sesparse.GRAIN_BYTES
        delta = open_delta(disk.links[0])
        try:
            grains = sorted({offset // step * step for offset, _ in delta.ranges()})
        finally:
            delta.close()
        with Disk(parent.path, place, writable=True) as below:
            for offset in grains:
                below.write(offset, disk.read(offset, min(step, disk.size_bytes - offset)))
    if grains:
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
