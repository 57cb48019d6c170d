"""The words of SFTP version 3: packet kinds, status codes, and the fields of a packet."""

from __future__ import annotations

import os
import stat
import struct
import time

EXTENDED = 200
SIZE, OWNER, MODE, TIMES = 1, 2, 4, 8


class Fields:
    """The fields of one request, taken one after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self, size: int = 4) -> int:
        if self._at + size > len(self._content):
            raise ValueError("a request ends too early")
        self._at += size
        return int.from_bytes(self._content[self._at - size : self._at], "big")

    def text(self) -> bytes:
        length = self.number()
        if self._at + length > len(self._content):
            raise ValueError("a request ends too early")
        self._at += length
        return self._content[self._at - length : self._at]

    def attributes(self) -> dict[str, int]:
        flags = self.number()
        found: dict[str, int] = {}
        if flags & SIZE:
            found["size"] = self.number(8)
        if flags & OWNER:
            found["uid"], found["gid"] = self.number(), self.number()
        if flags & MODE:
            found["mode"] = self.number()
        if flags & TIMES:
            found["atime"], found["mtime"] = self.number(), self.number()
        return found


def string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def attributes(facts: os.stat_result) -> bytes:
    return struct.pack(
        ">IQIIIII",
        SIZE | OWNER | MODE | TIMES,
        facts.st_size,
        facts.st_uid,
        facts.st_gid,
        facts.st_mode,
        int(facts.st_atime) & 0xFFFFFFFF,
        int(facts.st_mtime) & 0xFFFFFFFF,
    )


def long_name(name: bytes, facts: os.stat_result) -> bytes:
    """A line like `ls -l` (columns as in shell-ls-vmdir-1)."""
    when = time.strftime("%b %e %H:%M", time.localtime(facts.st_mtime))
    owner = "root" if facts.st_uid == 0 else str(facts.st_uid)
    group = "root" if facts.st_gid == 0 else str(facts.st_gid)
    head = (
        f"{stat.filemode(facts.st_mode)} {facts.st_nlink:>4} {owner:<8} {group:<8} {facts.st_size:>9} {when} "
    )
    return head.encode() + name
