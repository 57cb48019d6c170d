"""Reads a disk by pages that are kept, so that few and generous rounds are asked of whoever fetches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ceso_mcp.guest.disk.ranges import Asking, Range, Unknown

T = TypeVar("T")

PAGE_BYTES = 16 << 10
MAX_ROUNDS = 64
MAX_BYTES = 64 << 20


def paged(reading: Asking[T], disk_bytes: int) -> Asking[T]:
    """`reading`, asking only for whole pages in a row that were not asked for before.

    The last page may be short. Raises Unknown rather than read more than `MAX_BYTES` or in more than
    `MAX_ROUNDS` rounds, or beyond the end of the disk.
    """
    pages: dict[int, bytes] = {}
    answer: Sequence[bytes] | None = None
    rounds = 0
    while True:
        try:
            asked = reading.send(answer)  # type: ignore[arg-type]
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        missing: set[int] = set()
        for wanted in asked:
            if wanted.start < 0 or wanted.end > disk_bytes:
                raise Unknown("something on it lies beyond its end, so it is damaged")
            if wanted.length:
                missing.update(range(wanted.start // PAGE_BYTES, (wanted.end - 1) // PAGE_BYTES + 1))
            if len(pages) + len(missing) > MAX_BYTES // PAGE_BYTES:
                raise Unknown("more of it would have to be read than is reasonable")
        missing -= pages.keys()
        if missing:
            rounds += 1
            if rounds > MAX_ROUNDS:
                raise Unknown("it would have to be read in more rounds than is reasonable")
            runs = _runs(sorted(missing), disk_bytes)
            for run, data in zip(runs, (yield runs), strict=True):
                if len(data) != run.length:
                    raise Unknown(f"only {len(data)} of {run.length} bytes were read")
                for at in range(0, run.length, PAGE_BYTES):
                    pages[(run.start + at) // PAGE_BYTES] = data[at : at + PAGE_BYTES]
        answer = [_cut(pages, wanted) for wanted in asked]


def _runs(missing: Sequence[int], disk_bytes: int) -> list[Range]:
    runs: list[Range] = []
    for page in missing:
        start = page * PAGE_BYTES
        length = min(PAGE_BYTES, disk_bytes - start)
        if runs and runs[-1].end == start:
            runs[-1] = Range(runs[-1].start, runs[-1].length + length)
        else:
            runs.append(Range(start, length))
    return runs


def _cut(pages: dict[int, bytes], wanted: Range) -> bytes:
    if not wanted.length:
        return b""
    first = wanted.start // PAGE_BYTES
    data = b"".join(pages[page] for page in range(first, (wanted.end - 1) // PAGE_BYTES + 1))
    return data[wanted.start - first * PAGE_BYTES :][: wanted.length]
