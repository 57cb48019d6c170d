"""What `vmkfstools -v` tells while a chain is opened (vmkfstools-q-chain-*, vmkfstools-i-verbose5-nfs-1)."""

from __future__ import annotations

import os
from collections.abc import Callable

from .chain import Link
from .fault import TEXTS, DiskFault

LOUD = 10
TYPES = {"VMFS": 3, "VMFSSPARSE": 8, "VMFSRDM": 10, "SESPARSE": 11}
TRAILER = "OBJLIB-LIB: ObjLib cleanup done.\nWORKER: asyncOps=0 maxActiveOps=0 maxPending=0 maxCompleted=0\n"


def human(size_bytes: int) -> str:
    """`16 GB`, `512 MB`: whole units, as the library rounds."""
    for unit, shift in (("GB", 30), ("MB", 20), ("KB", 10)):
        if size_bytes >> shift:
            return f"{size_bytes >> shift} {unit}"
    return f"{size_bytes} bytes"


class Narrator:
    """Listens to `chain.links` for the disk called `shown` and says what the library would.

    `name` turns a path of this machine into one of the host.
    """

    def __init__(self, say: Callable[[str], None], shown: str, name: Callable[[str], str]) -> None:
        self._say = say
        self._shown = shown
        self._name = name
        self._opened: list[Link] = []
        self._extents: list[str] = []
        self.failed = False

    def _line(self, part: str, text: str) -> None:
        self._say(f"DISKLIB-{part:<6}: {text}\n")

    def extent(self, link: Link) -> str:
        """The extent as the library names it: beside the typed name for the top, in full below."""
        if not self._opened and not os.path.dirname(self._shown):
            return "./" + os.path.basename(link.extent)
        return self._name(link.extent)

    def hear(self, event: str, link: Link | None, path: str) -> None:
        """One event of `chain.links`."""
        name = self._name(path)
        if event == "open":
            assert link is not None
            size = os.stat(link.extent).st_size
            shown = self.extent(link)
            kind = TYPES.get(link.descriptor.extent_type, 0)
            self._line("VMFS", f'"{shown}" : open successful (23) size = {size}, hd = 0. Type {kind}')
            self._opened.append(link)
            self._extents.append(shown)
            return
        self.failed = True
        if event == "missing":
            text = TEXTS[25]
            self._line(
                "DSCPTR",
                f"DescriptorDetermineType: failed to open '{name}': Could not find the file (600000003)",
            )
            self._line("LINK", f'"{name}" : failed to open ({text}).')
            self._say(f'DISKLIB-CHAIN :"{self._shown}": Failed to open parent "{name}": {text}.\n')
            self._line("CHAIN", f'"{name}" : failed to open ({TEXTS[23]}).')
            return
        assert link is not None
        child = self._opened[-2]
        if event == "changed":
            cids = f"parentCID {child.descriptor.parent_cid} != {link.descriptor.cid}"
            where = f"{self._name(child.path)} {name}"
            self._line("LINK", f"DiskLinkIsAttachPossible: Content ID mismatch ({cids}) {where}.")
            self._line("CHAIN", f'"{name}" : failed to open ({TEXTS[18]}).')
        else:
            sizes = f"{link.descriptor.sectors} != {child.descriptor.sectors}"
            self._line("LINK", f"DiskLinkIsAttachPossible: the capacity of each link is different ({sizes}).")
            self._line("CHAIN", f'"{name}" : failed to open ({TEXTS[67]}).')

    def close(self) -> None:
        """Every extent is closed."""
        for shown in self._extents:
            self._line("VMFS", f'"{shown}" : closed.')

    def fail(self, fault: DiskFault) -> None:
        """The library's last word on a chain that does not open."""
        self.close()
        self._line("LIB", f"Failed to open '{self._shown}' with flags 0x17 {fault.text} ({fault.number}).")

    def source(self, chain: list[Link]) -> None:
        """What is said when the source of a clone was opened."""
        bottom = chain[-1]
        shown, size = self._name(bottom.extent), os.stat(bottom.extent).st_size
        kind = TYPES.get(bottom.descriptor.extent_type, 0)
        handle = os.stat(bottom.extent).st_ino
        self._line("VMFS", f'"{shown}" : open successful (269) size = {size}, hd = 0. Type {kind}')
        self._line("VMFS", f'"{shown}" : closed.')
        self._line("VMFS", f'"{shown}" : open successful (14) size = {size}, hd = {handle}. Type {kind}')
        self._line("DSCPTR", f'Opened [0]: "{os.path.basename(bottom.extent)}" (0xe)')
        top = bottom.descriptor
        self._line(
            "LINK",
            f"Opened '{self._name(bottom.path)}' (0xe): {top.create_type},"
            f" {top.sectors} sectors / {human(top.size_bytes)}.",
        )
        self._line("LIB", f'Opened "{self._shown}" (flags 0xe, type {chain[0].descriptor.create_type}).')

    def destination(self, target: str, size_bytes: int) -> None:
        """What is said before the blocks are copied: object cloning was tried and is no error."""
        info = "allocType=1 objType=file policy=''"
        start = f'DISKLIB-LIB_CREATE   : CREATE: "{target}" -- vmfs capacity='
        self._say(f"{start}0 (0 bytes) adapter=lsilogic info=cowGran=0 {info}\n")
        self._say("DISKLIB-LIB_CLONE   : Failed to clone disk using Object Cloning\n")
        sectors = f"{size_bytes // 512} ({human(size_bytes)})"
        self._say(f"{start}{sectors} adapter=lsilogic info=cowGran=1 {info}\n")
        self._say("DISKLIB-LIB_CREATE   : CREATE: Creating disk backed by 'file'\n")
