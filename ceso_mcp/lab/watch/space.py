"""Writes into a datastore that is nearly full: how much of each still fits."""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
from collections.abc import Callable

from ceso_mcp.lab.watch import seccomp

VOLUMES = "/vmfs/volumes/"
BLOCK_BYTES = 4096
# Granted without asking hostd again, so that a stream does not wait for it at each write.
GRANT_BYTES = 16 << 20
GRANT_S = 0.1
# What a program may do by other means: it is told that this one is not to be had.
SHORTCUTS = ("sendfile", "copy_file_range")


def fitting_bytes(handle: int, position: int, count: int, free_bytes: int) -> int:
    """How much of a write at `position` fits when blocks that the file has already cost nothing."""
    facts = os.fstat(handle)
    if position + count <= facts.st_size <= facts.st_blocks * 512:
        return count
    at, end = position, position + count
    while at < end:
        block = at - at % BLOCK_BYTES
        if not _holds_data(handle, block):
            if free_bytes < BLOCK_BYTES:
                break
            free_bytes -= BLOCK_BYTES
        at = block + BLOCK_BYTES
    return max(0, min(at, end) - position)


def _holds_data(handle: int, block: int) -> bool:
    try:
        return os.lseek(handle, block, os.SEEK_DATA) < block + BLOCK_BYTES
    except OSError as error:
        if error.errno == errno.ENXIO:  # behind the end of the file
            return False
        raise


class Space:
    """The room of each datastore, as hostd counts it, less what was let through since."""

    def __init__(self, ask: Callable[..., str]) -> None:
        self._ask = ask
        self._grants: dict[str, tuple[float, int]] = {}

    def decide(self, notice: seccomp.Notice) -> int | None:
        """Let a write go on, carry out the part that fits, or refuse it."""
        given = notice.arguments
        descriptor = given[2] if notice.name == "copy_file_range" else given[0]
        descriptor &= 0xFFFFFFFF
        path = os.readlink(f"/proc/{notice.pid}/fd/{descriptor}")
        if not path.startswith(VOLUMES):
            return None
        if notice.name in SHORTCUTS:
            return -errno.EINVAL
        if notice.name == "fallocate":
            count = given[3] if not given[1] else 0  # a plain one takes room; punching gives it
        elif "writev" in notice.name:
            count = _vector_bytes(notice.pid, given[1], given[2])
        else:
            count = given[2]
        store = path.removeprefix(VOLUMES).partition("/")[0]
        if not count or self._granted(store, count):
            return None
        return self._tight(notice, descriptor, count, self._free(store))

    def _granted(self, store: str, count: int) -> bool:
        """True when `count` bytes fit by what hostd said a moment ago, or says now."""
        cost = -(-count // BLOCK_BYTES) * BLOCK_BYTES
        until, left = self._grants.get(store, (0.0, 0))
        now = time.monotonic()
        if now > until or left < cost:
            left = self._free(store)
            left = min(left, max(GRANT_BYTES, cost))
            until = now + GRANT_S
        fits = cost <= left
        self._grants[store] = (until, left - cost if fits else 0)
        return fits

    def _free(self, store: str) -> int:
        return int(self._ask("room", f"{VOLUMES}{store}/"))

    @staticmethod
    def _tight(notice: seccomp.Notice, descriptor: int, count: int, free_bytes: int) -> int | None:
        place = f"/proc/{notice.pid}/fd/{descriptor}"
        handle = os.open(place, os.O_RDONLY)
        try:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                return None
            given = notice.arguments
            if notice.name == "fallocate":
                position = given[2]
            elif notice.name.startswith("pwrite"):
                position = given[3]
            else:
                position = _position(notice.pid, descriptor, facts.st_size)
            fits = fitting_bytes(handle, position, count, free_bytes)
        finally:
            os.close(handle)
        if fits >= count:
            return None
        if fits <= 0 or notice.name not in ("write", "pwrite64"):
            return -errno.ENOSPC
        return _write(notice, descriptor, position, fits)


def _position(pid: int, descriptor: int, size: int) -> int:
    with open(f"/proc/{pid}/fdinfo/{descriptor}") as file:
        facts = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    return size if int(facts["flags"], 8) & os.O_APPEND else int(facts["pos"])


def _memory(pid: int, address: int, count: int) -> bytes:
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        return os.pread(memory, count, address)
    finally:
        os.close(memory)


def _vector_bytes(pid: int, address: int, pieces: int) -> int:
    content = _memory(pid, address, 16 * pieces)
    return sum(length for _, length in struct.iter_unpack("=QQ", content))


def _write(notice: seccomp.Notice, descriptor: int, position: int, count: int) -> int:
    """Do the first `count` bytes of a write in the caller's place; returns how many were written."""
    content = _memory(notice.pid, notice.arguments[1], count)
    handle = seccomp.borrowed(notice.pid, descriptor)
    try:
        if notice.name == "write":
            return os.write(handle, content)
        return os.pwrite(handle, content, position)
    finally:
        os.close(handle)
