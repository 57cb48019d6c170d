"""What vmkfstools prints: progress and failures (fact sheet vmkfstools-and-files §1.2, §1.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PERCENT = re.compile(r"\b[A-Z][A-Za-z ]*: ([0-9]{1,3})% done")
_PROGRESS = re.compile(r"^[ \t]*[A-Z][A-Za-z ]*: [0-9]{1,3}% done\.?")
_NUMBERED = re.compile(r"(?P<text>.*?)[ \t]*\((?P<number>[0-9]{1,12})\)\.?[ \t]*$")
_FAILED = re.compile(r"\b[Ff]ailed\b")
_DEBUG = re.compile(r"^[ \t]*(?:DISKLIB|OBJLIB|AIOMGR|WORKER|VVOLLIB|[0-9]+:VVOLLIB)\b")
_REPORTS = re.compile(
    r"^[ \t]*(?:Destination disk format: .*|Cloning disk '.*'\.\.\."
    r"|Creating disk '.*' and zeroing it out\.\.\."
    r"|vmfsDisk: .*|Option --adaptertype is deprecated .*|Disk chain is consistent\.?|Disk is error free"
    r"|.* is not an rdm|Disk .* is a (?:Non-passthrough|Passthrough) Raw Device Mapping|Maps to: .*)[ \t]*$"
)
_BAD_OPTION = re.compile(r"^[ \t]*(?:Incorrect disk option|Usage: vmkfstools)")
_CAUSES = {
    15: ("not_a_disk", "the file is not the descriptor of a virtual disk"),
    18: ("parent_changed", "the parent of a snapshot link was changed after the snapshot"),
    23: ("parent_missing", "a parent of the snapshot chain cannot be opened"),
    24: ("unsupported", "this version does not support the operation"),
    25: ("missing", "a file of the disk is missing"),
    39: ("exists", "the destination exists already"),
    67: ("capacity_differs", "the links of the snapshot chain have different sizes"),
    16392: ("locked", "the disk is in use: something else holds its lock"),
}
_ERRNO_KINDS = {
    5: ("io", "the storage reported a read or write error"),
    6: ("no_device", "the storage went away"),
    16: ("locked", "the disk is in use"),
    17: ("exists", "the destination exists already"),
    2: ("missing", "a file or folder is missing"),
    28: ("no_space", "the datastore is full"),
}


@dataclass(frozen=True, slots=True)
class VmkfstoolsError:
    """A failure. `number` is vmkfstools' own, `errno` the system's inside it, None if there is none.

    `text` is the line as printed; `kind` one word to decide by (`other` if the number is unknown);
    `cause` the same in plain words.
    """

    number: int | None
    errno: int | None
    text: str
    kind: str
    cause: str


def parse_progress(chunk: str) -> int | None:
    """The last percentage in a piece of output, None if it holds none.

    100 is no proof of success (vmkfstools-i-fail-enxio-393225-1), and a good run may never show it.
    """
    found = _PERCENT.findall(chunk)
    return min(int(found[-1]), 100) if found else None


def failure(output: str) -> VmkfstoolsError | None:
    """The first failure that the output tells of, None if it tells of none.

    None with an exit status other than 0 is a failure without text (vmkfstools-i-killed-midway-1).
    Lines of the debug levels are not failures (vmkfstools-i-verbose5-nfs-1) unless one breaks into
    the progress (vmkfstools-i-eio-at-93-1).
    """
    for line in re.split(r"[\r\n]+", output):
        text = line
        while (found := _PROGRESS.match(text)) is not None:
            text = text[found.end() :]
        glued = text is not line
        if _REPORTS.match(text) or (not glued and _DEBUG.match(text)):
            continue
        if _BAD_OPTION.match(text):
            return VmkfstoolsError(None, None, text.strip(), "usage", "the command was not understood")
        if _FAILED.search(text):
            return _error(text.strip())
    return None


def decode_errno(number: int) -> int | None:
    """The system's errno inside an error number: `number >> 16` where the low half is 2 or 9.

    The rule is inferred in fact sheet vmkfstools-and-files §1.3.
    """
    return number >> 16 if number & 0xFFFF in (2, 9) and number >> 16 else None


def _error(text: str) -> VmkfstoolsError:
    found = _NUMBERED.match(text)
    if found is None:
        locked = "failed to lock the file" in text.lower()
        kind, cause = _CAUSES[16392] if locked else ("other", text)
        return VmkfstoolsError(None, None, text, kind, cause)
    number = int(found.group("number"))
    errno = decode_errno(number)
    if errno is not None:
        fallback = ("other", f"the system reported its error {errno}")
        kind, cause = _ERRNO_KINDS.get(errno, fallback)
    else:
        kind, cause = _CAUSES.get(number, ("other", found.group("text")))
    return VmkfstoolsError(number, errno, text, kind, cause)
