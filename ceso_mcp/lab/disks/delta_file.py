"""Opening the file of a delta's extent, whichever format it has."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

from .fault import DiskFault


def open_delta(
    path: str, header: struct.Struct, known: Callable[[tuple[Any, ...]], bool], *, writable: bool
) -> tuple[int, tuple[Any, ...]]:
    """The open file and the fields of its header.

    Raises `DiskFault` 25 when there is no file, 15 when its head is short or not `known`.
    """
    try:
        file = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    except FileNotFoundError:
        raise DiskFault(25) from None
    head = os.pread(file, header.size, 0)
    if len(head) < header.size or not known(header.unpack(head)):
        os.close(file)
        raise DiskFault(15)
    return file, header.unpack(head)
