"""UEFI guests: OVMF is the firmware, and what it remembers (its variables) is the VM's nvram file.

The content is OVMF's, not VMware's format: nothing but the lab's QEMU reads it. A file that OVMF cannot
have written (the seeded world's, one of a real host) is replaced by empty variables at power-on.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ceso_mcp.errors import LabFault
from ceso_mcp.lab.vmx import Settings

CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
EMPTY = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
PACKAGE = "ovmf"
USED = "variables.fd"
"""The file in a running VM's folder that its firmware writes to."""
# A firmware volume (UEFI PI, volume 3) has this mark after its zero vector, GUID and length.
_MARK, _MARK_AT = b"_FVH", 40


def wanted(settings: Settings) -> bool:
    """Whether the VM starts by UEFI."""
    return settings.get("firmware").lower() == "efi"


def needed() -> None:
    """Raise `LabFault` naming the Debian package that UEFI guests need, if it is missing."""
    if not (CODE.exists() and EMPTY.exists()):
        raise LabFault(
            f"UEFI guests need the Debian package {PACKAGE}, which is not installed",
            hint=f"sudo apt-get install {PACKAGE}",
        )


def begin(nvram: Path, folder: Path) -> Path:
    """The variables that a VM starts with, as a file in `folder` that QEMU may write to."""
    needed()
    used = folder / USED
    shutil.copyfile(nvram if _is_ours(nvram) else EMPTY, used)
    used.chmod(0o600)
    return used


def keep(used: Path, nvram: Path) -> None:
    """Let the VM's nvram file hold what the firmware has written to `used` so far, whole or not at all."""
    temporary = nvram.with_name(f".{nvram.name}.new")
    shutil.copyfile(used, temporary)
    temporary.chmod(0o600)
    os.replace(temporary, nvram)


def words(used: Path) -> list[str]:
    """QEMU's words for the firmware and its variables."""
    place = str(used).replace(",", ",,")
    return [
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={CODE}"),
        *("-drive", f"if=pflash,unit=1,format=raw,file={place}"),
    ]


def _is_ours(nvram: Path) -> bool:
    try:
        with open(nvram, "rb") as file:
            head = file.read(_MARK_AT + len(_MARK))
            return head[_MARK_AT:] == _MARK and os.fstat(file.fileno()).st_size == EMPTY.stat().st_size
    except FileNotFoundError:
        return False
