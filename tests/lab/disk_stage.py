"""A stated world for vmkfstools without SSH: datastores, disks, chains, locks; and what a capture shows."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

from ceso_mcp.lab.disk_desk import DiskDesk, LockFacts
from ceso_mcp.lab.disks import operations, rdm
from ceso_mcp.lab.disks.call import Call, Ended
from ceso_mcp.lab.disks.descriptor import Descriptor, load, store
from ceso_mcp.lab.disks.vmkfstools import run
from ceso_mcp.lab.locks import Locks
from ceso_mcp.lab.storage import VOLUMES, Storage
from ceso_mcp.lab.world import Datastore, World

HERE = Path(__file__).parent
PLACES = (HERE / "transcripts", HERE.parent / "transcripts")
MIB = 1 << 20


def capture(name: str) -> str:
    """The text of a capture in either folder of copies."""
    place = next(place for place in PLACES if (place / f"{name}.txt").exists())
    return (place / f"{name}.txt").read_bytes().decode()


def seen(text: str) -> str:
    """What stays on a terminal: each line as it is after its last carriage return."""
    return "\n".join(line.rpartition("\r")[2] for line in text.split("\n"))


_PROMPT = re.compile(r"^(?:.*?[#$\]] )?(?:time )?(?:/sbin/)?(vmkfstools .*)$")
_ANY_PROMPT = re.compile(r"^(?:\[[^\]]*\] |\S* ?# |\$ )")


def calls(text: str) -> list[tuple[str, str]]:
    """Every `vmkfstools` line of a capture with what it printed, blank lines at the end dropped."""
    found: list[tuple[str, list[str]]] = []
    current: list[str] | None = None
    for line in text.splitlines():
        command = _PROMPT.match(line)
        if command:
            current = []
            found.append((command[1], current))
        elif _ANY_PROMPT.match(line):
            current = None
        elif current is not None:
            current.append(line)
    return [(command, "\n".join(lines).strip("\n")) for command, lines in found]


class Stage:
    """One world under `root`; `store` puts a datastore there, `cwd` is where commands run."""

    def __init__(self, root: Path, release: str = "8.0") -> None:
        (root / "volumes").mkdir()
        self.world = World(
            release=release, version="", build="", update="", patch="", hostname="esx",
            uuid="66f0a1b0-1234-5678-9abc-3cecef000010", booted_at=0.0, installed_on="",
        )  # fmt: skip
        self.storage = Storage(self.world, root / "volumes")
        self.locks = Locks()
        self.desk = DiskDesk(self.world, self.storage, self.locks)
        self.cwd = VOLUMES
        self._calls = 0

    def store(self, name: str, uuid: str, type_: str = "VMFS-5", folder: str = "", **more: object) -> str:
        """Add a datastore (200 GiB unless told) with a folder in it, and stand there."""
        size = more.pop("size_bytes", 200 << 30)
        self.world.datastores.append(Datastore(name, uuid, size, type_, **more))  # type: ignore[arg-type]
        self.storage.make_links()
        Path(self.here(f"{VOLUMES}{uuid}/{folder}")).mkdir(parents=True, exist_ok=True)
        self.cwd = f"{VOLUMES}{uuid}/{folder}".rstrip("/")
        return self.cwd

    def here(self, path: str) -> str:
        """A path of the host, or a name in `cwd`, on this machine."""
        return self.storage.here(path if path.startswith("/") else f"{self.cwd}/{path}")

    def disk(self, name: str, size_bytes: int = 4 * MIB, cid: str = "") -> Descriptor:
        """A thin disk, sparse here."""
        Path(self.here(name)).parent.mkdir(parents=True, exist_ok=True)
        operations.create(self.here(name), size_bytes, "thin")
        described = load(self.here(name))
        if cid:
            described = replace(described, cid=cid)
            store(self.here(name), described)
        return described

    def delta(self, parent: str, child: str, kind: str = "vmfsSparse", **changes: object) -> None:
        """A delta above `parent`; `changes` go into its descriptor."""
        operations.branch(self.here(parent), self.here(child), parent, kind)
        store(self.here(child), replace(load(self.here(child)), **changes))  # type: ignore[arg-type]

    def mapping(self, name: str, device: str, *, passthrough: bool) -> None:
        """A raw device mapping."""
        self.disk(name)
        kind = "vmfsPassthroughRawDeviceMap" if passthrough else "vmfsRawDeviceMap"
        described = replace(load(self.here(name)), create_type=kind, extent_type="VMFSRDM", extents=())
        store(self.here(name), described)
        rdm.point(self.here(name).replace(".vmdk", "-flat.vmdk"), device)

    def lock(self, path: str, mode: str, owner: str = "vm:1", **facts: object) -> None:
        """State who holds an extent (mode "": nobody) and the volume's numbers about it."""
        full = path if path.startswith("/") else f"{self.cwd}/{path}"
        full = VOLUMES + str(Path(self.here(full)).resolve().relative_to(self.storage.volumes))
        if mode:
            self.locks.take(full, owner, mode)
        self.desk.facts[full] = LockFacts(**facts)  # type: ignore[arg-type]

    def vmkfstools(self, line: str) -> tuple[str, int]:
        """Run one line; the raw output and the exit status."""
        self._calls += 1
        owner = f"program:{self._calls}"
        out: list[str] = []
        call = Call(
            out.append,
            lambda *fields: self.desk.answer([*map(str, fields)], owner) or "ok",
            self.cwd,
            place=lambda path: self.storage.here(path) if path.startswith(VOLUMES) else path,
            host=lambda path: VOLUMES + str(Path(path).relative_to(self.storage.volumes)),
        )
        try:
            run(call, shlex.split(line)[1:])
        except Ended as end:
            self.desk.gone(owner)
            return "".join(out), end.status
        raise AssertionError("not ended")
