"""Backups of one disk by a plain pipe, restic, borg and ceso, in one run on one machine.

    .venv/bin/python benchmarks/compare.py [--mib 4096] [--rounds 3] [--rates 0,40] [--out FILE.md]

Needs the Debian packages openssh-server, openssh-client, age, zstd, restic, borgbackup, util-linux and
iproute2, and to be root or to be allowed user namespaces: it runs in a network of its own, where all that
crosses the loopback interface is its own. The disk is on "the host", which is an OpenSSH server on
loopback, the repository here. restic and borg cannot run on an ESXi host; they read the disk as a local file
into a local repository, or, with the link throttled, into one behind it. So both sides of everything share
this machine's cores, and ratios are what counts. Files come from the page cache: give it memory for three
times the disk. Rounds are interleaved, figures are medians. Links of a given rate are measured in the first
round only: the link is what decides there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from link import Relay, Server, loopback_bytes
from tools import TOOLS, Place, Tool

MIB = 1 << 20
IN_OWN_NETWORK = "CESO_BENCH_NETWORK"


@dataclass(frozen=True)
class Measured:
    """One run. `wire` is None where nothing crosses a link; sizes in bytes."""

    wall_s: float
    cpu_s: float
    host_cpu_s: float
    wire: int | None
    stored: int
    peak: int


def apart(work: Callable[[], None]) -> None:
    """Do `work` in a process of its own: the most that this one ever used is counted for those it starts."""
    process = os.fork()
    if not process:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(process, 0)[1]:
        raise SystemExit("a disk could not be made")


def fill(path: Path, size: int, data: int) -> None:
    """`data` bytes of this machine's programs and documents, in stretches of 16 MiB spread over the disk."""
    source = _contents("/usr")
    stretch = min(16 * MIB, data)
    with path.open("wb") as file:
        file.truncate(size)
        for number in range(data // stretch):
            file.seek(number * (size // (data // stretch)) // MIB * MIB)
            for _ in range(stretch // MIB):
                file.write(next(source))


def _contents(folder: str) -> Iterator[bytes]:
    """Endless pieces of a MiB: the folder's files one after the other, then random data."""
    held = b""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            found = Path(parent, name)
            if not found.is_symlink() and os.access(found, os.R_OK) and found.is_file():
                held += found.read_bytes()
            while len(held) >= MIB:
                yield held[:MIB]
                held = held[MIB:]
    while True:
        yield os.urandom(MIB)


def rewrite(path: Path, total: int, piece: int, seed: int) -> None:
    """Random data over `total` bytes of the disk, in pieces at borders of 4 KiB."""
    chance, size = random.Random(seed), path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(max(1, total // piece)):
            file.seek(chance.randrange((size - piece) // 4096 + 1) * 4096)
            for at in range(0, piece, MIB):
                file.write(chance.randbytes(min(MIB, piece - at)))


def copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True)


def size_of(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) if path.exists() else 0


class Bench:
    """The disks, the server and the figures. Every second run starts from the state after the first."""

    def __init__(self, folder: Path, mib: int, rounds: int, tools: Iterable[str]) -> None:
        self.folder, self.rounds = folder, rounds
        self.tools = list(tools)
        keys = folder / "server"
        keys.mkdir()
        self.server = Server(keys)
        self.figures: dict[tuple[int, str, str], list[Measured]] = {}
        self.changed: dict[str, int] = {}
        self.sizes: dict[str, int] = {}
        size = mib * MIB
        disks = folder / "disks"
        disks.mkdir()
        self._disk("quarter", size, size // 4)
        self._disk("dense", size // 2, size // 2)
        for name, total, piece in (
            ("1 % in 4 KiB pages", size // 100, 4096),
            ("1 % in 160 KiB clusters", size // 100, 160 << 10),
            ("one file of 5 %", size // 20, size // 20),
        ):
            copy(disks / "quarter", disks / name)
            apart(partial(rewrite, disks / name, total, piece, 7))
            self.changed[name] = max(1, total // piece) * piece

    def _disk(self, name: str, size: int, data: int) -> None:
        self.sizes[name] = size
        apart(partial(fill, self.folder / "disks" / name, size, data))

    def present(self, name: str) -> Path:
        """The disk called `name` under the one path that all tools back up."""
        path = self.folder / "host" / "disk.raw"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        os.link(self.folder / "disks" / name, path)
        return path

    def measure(self, rate: int, scenario: str, tool: Tool, command: list[str], stored: Path | None) -> str:
        before = size_of(stored) if stored else 0
        wire, host = loopback_bytes(), self.server.cpu_s()
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **tool.environment})
        assert process.stdout is not None
        output = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        wall = time.monotonic() - began
        if process.returncode:
            raise SystemExit(f"{tool.name} failed at {scenario!r}: {' '.join(command)}")
        crossed = (loopback_bytes() - wire) // (2 if rate else 1)
        measured = Measured(
            wall,
            used.ru_utime + used.ru_stime,
            self.server.cpu_s() - host,
            crossed if crossed > 10_000 else None,
            (size_of(stored) - before) if stored else 0,
            used.ru_maxrss * 1024,
        )
        self.figures.setdefault((rate, scenario, tool.name), []).append(measured)
        print(f"  {scenario:34} {tool.name:7} {wall:7.2f} s", file=sys.stderr, flush=True)
        return output

    def round(self, number: int, rate: int, port: int) -> None:
        for name in ("quarter", "dense"):
            for kind in self.tools:
                place = Place(self.folder / "work" / kind, self.server, port, bool(rate))
                shutil.rmtree(place.folder, ignore_errors=True)
                place.folder.mkdir(parents=True)
                tool = TOOLS[kind](place)
                disk = self.present(name)
                tool.prepare()
                output = self.measure(rate, f"full, {name}", tool, tool.backup(disk, None), place.repository)
                # The pipe's second backup is a full one again, so once is enough.
                if name == "quarter" and (kind != "pipe" or number == 0):
                    self.second(rate, tool, tool.read_id(output))
                self.restore(rate, f"restore, {name}", tool, tool.read_id(output), name)
                shutil.rmtree(place.folder)

    def second(self, rate: int, tool: Tool, first: str) -> None:
        folder = tool.place.folder
        kept = folder.with_name(f"{folder.name} kept")
        copy(folder, kept)
        for name in self.changed:
            command = tool.backup(self.present(name), first)
            output = self.measure(rate, name, tool, command, tool.place.repository)
            if tool.name == "ceso" and name.endswith("clusters"):
                self.restore(rate, f"restore, {name}", tool, tool.read_id(output), name)
            shutil.rmtree(folder)
            copy(kept, folder)
        shutil.rmtree(kept)

    def restore(self, rate: int, scenario: str, tool: Tool, which: str, name: str) -> None:
        size = self.sizes.get(name, self.sizes["quarter"])
        target = self.folder / "host" / "restored.raw"
        target.unlink(missing_ok=True)
        with target.open("wb") as file:
            file.truncate(size)
        made = target
        for step, command in tool.restore(which, target):
            self.measure(rate, f"{scenario}{step}", tool, command, None)
        if tool.name == "borg":
            made = target.parent / "out" / str(self.folder / "host" / "disk.raw").lstrip("/")
        subprocess.run(["cmp", made, self.folder / "disks" / name], check=True)
        shutil.rmtree(target.parent / "out", ignore_errors=True)
        target.unlink()

    def sparse(self, gib: int) -> None:
        """Peak memory for a large disk with little in it; by ceso alone, once."""
        name = f"{gib} GiB sparse"
        self._disk(name, gib << 30, 256 * MIB)
        place = Place(self.folder / "work" / "sparse", self.server, self.server.port, False)
        place.folder.mkdir(parents=True)
        tool = TOOLS["ceso"](place)
        tool.prepare()
        first = tool.read_id(
            self.measure(0, f"full, {name}", tool, tool.backup(self.present(name), None), None)
        )
        self.measure(0, f"again, {name}", tool, tool.backup(self.present(name), first), None)

    def run(self, rates: list[int]) -> None:
        for number in range(self.rounds):
            for rate in rates if not number else [rate for rate in rates if not rate]:
                print(f"round {number + 1}, {rate or 'no'} limit", file=sys.stderr, flush=True)
                relay = Relay(self.server.port, rate * 1_000_000) if rate else None
                self.round(number, rate, relay.port if relay else self.server.port)
                if relay:
                    relay.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--mib", type=int, default=4096, help="size of the quarter-full disk; the dense one is half"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", default="0,40", help="MB/s of the link, 0 = no limit")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--sparse-gib", type=int, default=64, help="0 leaves that run out")
    parser.add_argument("--folder", type=Path, help="where the disks and repositories go")
    parser.add_argument("--out", type=Path, help="write the tables there instead of printing them")
    given = parser.parse_args()
    if not os.environ.get(IN_OWN_NETWORK):
        inside = f'ip link set lo up && exec "{sys.executable}" "$@"'
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        words = ["unshare", *user, "--net", "--", "sh", "-c", inside, "sh", *sys.argv]
        os.execvpe("unshare", words, {**os.environ, IN_OWN_NETWORK: "1"})
    from report import report

    with tempfile.TemporaryDirectory(prefix="ceso-bench-", dir=given.folder) as name:
        bench = Bench(Path(name), given.mib, given.rounds, given.tools.split(","))
        try:
            bench.run([int(rate) for rate in given.rates.split(",")])
            if given.sparse_gib:
                bench.sparse(given.sparse_gib)
        finally:
            bench.server.close()
    text = report(bench.figures, bench.changed, given.mib, given.rounds)
    if given.out:
        given.out.write_text(text)
        given.out.with_suffix(".json").write_text(
            json.dumps([[*key, [vars(m) for m in runs]] for key, runs in bench.figures.items()])
        )
    else:
        print(text)


if __name__ == "__main__":
    main()
