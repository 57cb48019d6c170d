"""The numbered failures of the disk library (fact sheet vmkfstools-and-files §1.3)."""

from __future__ import annotations

TEXTS = {
    15: "The file specified is not a virtual disk",
    18: (
        "The parent virtual disk has been modified since the child was created. The content ID of the parent"
        " virtual disk does not match the corresponding parent content ID in the child"
    ),
    23: "The parent of this virtual disk could not be opened",
    24: "The specified feature is not supported by this version",
    25: "The system cannot find the file specified",
    39: "The file already exists",
    67: "The capacity of the parent virtual disk and the capacity of the child disk are different",
    16392: "Failed to lock the file",
    1835017: "No space left on device",
}


class DiskFault(Exception):
    """A disk operation failed with one of the host's numbers."""

    def __init__(self, number: int, text: str | None = None) -> None:
        self.number = number
        self.text = TEXTS[number] if text is None else text
        super().__init__(f"{self.text} ({number})")


def of_errno(number: int, text: str) -> DiskFault:
    """The disk library's form of an operating system error: `(errno << 16) | 9` (§1.3)."""
    return DiskFault((number << 16) | 9, text)
