"""Types of parameters that operations share, each with its own plain refusal.

Validators never echo the offending value: an argument may have been a secret put into the wrong
field.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

_BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "R"}
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def _printable(text: str, what: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") for char in text):
        raise ValueError(f"{what} must not hold control or unassigned characters")
    if _INVISIBLE.search(text):
        raise ValueError(f"{what} must not hold invisible or direction-changing characters")
    return text


def vm_name(text: str) -> str:
    """A name for a new VM: 1 to 80 characters that a person can read and a shell cannot misread."""
    _printable(text, "a VM name")
    if not text.strip():
        raise ValueError("a VM name must not be empty")
    if len(text) > 80:
        raise ValueError("a VM name has at most 80 characters")
    if text != text.strip():
        raise ValueError("a VM name must not begin or end with a space")
    if text[0] == "-":
        raise ValueError("a VM name must not begin with a dash: host commands would read it as an option")
    if text[0] == ".":
        raise ValueError("a VM name must not begin with a dot: its folder would be hidden")
    if "/" in text or "\\" in text:
        raise ValueError("a VM name must not hold a slash or a backslash")
    if len(file_stem(text).encode()) > 200:
        raise ValueError("a VM name takes at most 200 bytes as a file name")
    return unicodedata.normalize("NFC", text)


def file_stem(name: str) -> str:
    """The folder and file name for a VM called `name`.

    The name itself, except for characters that a VMDK descriptor cannot quote (its extent lines
    have no escape for `"`; fact sheet vmkfstools §4) or that datastore browsers treat specially.
    """
    return re.sub(r'["|*?<>:%]', "_", name).rstrip(". ")


def existing_name(text: str) -> str:
    """The name of something that exists; only characters that could falsify a display are refused."""
    _printable(text, "a name")
    if not text:
        raise ValueError("a name must not be empty")
    return text


VmName = Annotated[str, AfterValidator(vm_name), Field(min_length=1, max_length=80)]
ExistingVm = Annotated[str, AfterValidator(existing_name), Field(min_length=1, max_length=255)]
DatastoreName = Annotated[str, AfterValidator(existing_name), Field(min_length=1, max_length=255)]
PortgroupName = Annotated[str, AfterValidator(existing_name), Field(min_length=1, max_length=255)]
BackupName = Annotated[
    str,
    Field(min_length=8, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"),
]
HardwareVersion = Annotated[int, Field(ge=4, le=99)]
RunName = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
JobName = Annotated[str, Field(pattern=r"^[0-9a-f-]{8,36}$", max_length=36)]
