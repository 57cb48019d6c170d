"""`vmkfstools -t 0`: which blocks of a flat extent are allocated. Off unless the world's `mapping` is set.

Only the three markers are known (vmkfstools-t0-line-markers-1); the lines around them are assumed (§2.1).
"""

from __future__ import annotations

import os

from .bottom import FlatBase

BLOCK_BYTES = 1 << 20


def told(shown: str, extent: str) -> str:
    """The map of the extent at `extent`, which the host calls `shown`, in whole blocks."""
    size = os.stat(extent).st_size
    base = FlatBase(extent)
    try:
        used = {
            block
            for at, length in base.ranges()
            for block in range(at // BLOCK_BYTES, (at + length - 1) // BLOCK_BYTES + 1)
        }
    finally:
        base.close()
    lines = [f"Mapping for file {shown} ({size} bytes in size):"]
    start = 0
    while start < size:
        present = start // BLOCK_BYTES in used
        end = start
        while end < size and (end // BLOCK_BYTES in used) == present:
            end += BLOCK_BYTES
        end = min(end, size)
        marker = f"VMFS -- LVID:lab/lab/1:( {start} --> {end})" if present else "NOMP -- :( 0 --> 0)"
        lines.append(f"[{start:>15}:{end - start:>15}] --> [{marker}]")
        start = end
    return "\n".join(lines) + "\n"
