"""What vmkfstools says: progress, and failures that hide at the end of a progress line."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PROGRESS = re.compile(r"(?:Clone|Create|Grow|Hole Punching): (\d+)% done")
_FAILED = re.compile(
    r"(Failed to [^\r\n]*?|DiskLib_Check\(\) failed[^\r\n]*?)\s*: ([^\r\n]*?)\s*\((\d+|0x[0-9a-fA-F]+)\)"
)
_CAUSES = {
    15: "the file is not a virtual disk (a descriptor is needed, not an extent)",
    18: "the parent disk was changed after its snapshot was made",
    23: "a parent disk is missing",
    25: "a file is missing",
    39: "the target exists already",
    67: "a snapshot and its parent differ in size",
    16392: "the disk is locked: its VM is running, or another program holds it",
}


@dataclass(frozen=True, slots=True)
class VmkfstoolsError:
    """A failure: its number, the errno inside it if there is one, its text, and plain words."""

    number: int | None
    errno: int | None
    text: str
    cause: str


def parse_progress(piece: str) -> float | None:
    """The last percentage in a piece of output, or None."""
    found = _PROGRESS.findall(piece)
    return float(found[-1]) if found else None


def failure(output: str) -> VmkfstoolsError | None:
    """The failure that `output` reports, or None (fact sheet vmkfstools §1.2, §1.3)."""
    for line in re.split(r"[\r\n]+", output):
        match = _FAILED.search(line)
        if match:
            number = int(match[3], 0)
            errno = number >> 16 if number & 0xFFFF in (2, 9) else None
            cause = _CAUSES.get(number) or _errno_cause(errno) or match[2]
            return VmkfstoolsError(number, errno, match[0].strip(), cause)
        if "Failed" in line or "Incorrect disk option" in line:
            return VmkfstoolsError(None, None, line.strip(), line.strip())
    return None


def _errno_cause(errno: int | None) -> str | None:
    return {5: "an input/output error", 6: "the device is gone", 28: "the datastore is full"}.get(errno or 0)
