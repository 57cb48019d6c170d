"""hostd: the one that knows the VMs. Programs of the host talk to it over its socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable

from ceso_mcp.lab import seed
from ceso_mcp.lab import world as worlds
from ceso_mcp.lab.command_log import CommandLog
from ceso_mcp.lab.esxcli import Esxcli
from ceso_mcp.lab.esxcli_changes import HostChanges
from ceso_mcp.lab.esxcli_host import HostQueries
from ceso_mcp.lab.fault_rules import FaultRules
from ceso_mcp.lab.guests import Guests
from ceso_mcp.lab.inventory import Inventory
from ceso_mcp.lab.layout import Layout
from ceso_mcp.lab.locks import Locks
from ceso_mcp.lab.machine import Machine
from ceso_mcp.lab.power import Power
from ceso_mcp.lab.records import Fault
from ceso_mcp.lab.result import Result
from ceso_mcp.lab.shell_programs import df, vmware
from ceso_mcp.lab.snapshots import Snapshots
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.vim_cmd import VimCmd
from ceso_mcp.lab.vim_host import HostCommands
from ceso_mcp.lab.vim_vm import VmCommands
from ceso_mcp.lab.world import World


class Hostd:
    """The parts of hostd around one world; `rebuild()` after the world was replaced."""

    def __init__(self, layout: Layout, log: CommandLog, rules: FaultRules) -> None:
        self.layout = layout
        self.log = log
        self.rules = rules
        self.machine: Machine | None = None
        self.world: World
        self._calls: dict[str, tuple[int, list[str]]] = {}
        self._cuts: dict[str, Fault] = {}
        self.guests: Guests | None = None
        self.rebuild(worlds.load(layout.world))

    def save(self) -> None:
        self.world.store(self.layout.world)

    def rebuild(self, world: World) -> None:
        """Take `world` as the one to serve."""
        if self.guests is not None:
            self.guests.stop_all()
        self.world = world
        self.storage = Storage(world, self.layout.volumes)
        self.storage.make_links()
        self.locks = Locks()
        listing = self.layout.host / "etc" / "vmware" / "hostd" / "vmInventory.xml"
        self.inventory = Inventory(world, self.storage, listing, self.save)
        self.power = Power(world, self.storage, self.inventory, self.locks)
        self.guests = Guests(world, self.storage, self.power, self.save)
        self.snapshots = Snapshots(self.storage, self.inventory, self.power)
        self.vim = VimCmd()
        VmCommands(world, self.storage, self.inventory, self.power, self.guests, self.snapshots).add_to(
            self.vim
        )
        HostCommands(world, self.storage).add_to(self.vim)
        self.cli = Esxcli()
        HostQueries(world, self.storage).add_to(self.cli)
        HostChanges(world, self.power, self.save).add_to(self.cli)
        self.inventory.save()

    def seed_vms(self) -> None:
        """Make the seeded VMs in the world that was just taken; the folders must be empty."""
        assert self.guests is not None
        for item in seed.SEEDS:
            vm = self.inventory.register(seed.make_files(self.layout, item))
            if item.snapshot:
                self.snapshots.create(vm, "before upgrade", "made by the seed")
            if item.on:
                self.power.switch_on(vm)
                self.guests.boot_now(vm)

    def boot_running(self) -> None:
        """Boot the guests of VMs that are on and have not reported (after a start of the server)."""
        assert self.guests is not None
        for vm in self.world.vms.values():
            vm.question = None
            if vm.state == worlds.ON and not vm.guest:
                self.guests.boot(vm)

    # --- faults that change the world

    def apply(self, fault: Fault) -> None:
        """The part of a fault that happens to the world before the command goes on."""
        if fault.effect == "fill":
            for datastore in self.world.datastores:
                if fault.datastore in ("", datastore.name):
                    self.fill(datastore.name, fault.at_bytes)
        elif fault.effect == "drop_vm":
            for vm in list(self.world.vms.values()):
                if vm.name == fault.vm:
                    del self.world.vms[vm.vmid]
                    self.inventory.save()

    def fill(self, name: str, free_bytes: int) -> None:
        """Leave `free_bytes` free on the datastore `name`. Raises KeyError when there is none."""
        datastore = self.world.datastore(name)
        if datastore is None:
            raise KeyError(name)
        used = self.storage.used_bytes(datastore)
        datastore.reserve_bytes = datastore.size_bytes - used - free_bytes
        self.save()

    def unfill(self, name: str) -> None:
        datastore = self.world.datastore(name)
        if datastore is None:
            raise KeyError(name)
        datastore.reserve_bytes = 0
        self.save()

    # --- the socket

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One program's connection, until it closes."""
        owner = f"program:{id(writer)}"
        try:
            while True:
                fields = await _request(reader)
                if fields[0] == "run":
                    await self._run(fields, reader, writer)
                    break
                await self._disk(fields, owner, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.locks.release(owner)
            left = self._calls.pop(owner, None)
            if left is not None:
                self.log.shim_ended(left[0], left[1], 255, True)
            self._cuts.pop(owner, None)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _run(
        self, fields: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        exec_id, cwd, argv = int(fields[1]), fields[2], fields[3:]
        if argv[0] == "vim-cmd" and self.world.latency_s:
            await asyncio.sleep(self.world.latency_s)
        fault = self.rules.hit("shim", " ".join(argv))
        if fault is not None and fault.effect == "fail":
            result = Result(fault.stdout, fault.stderr, fault.exit_status)
        else:
            if fault is not None:
                await self._before(fault, exec_id, reader)
            work = asyncio.ensure_future(self._program(argv, cwd))
            gone = asyncio.ensure_future(reader.read(1))
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
            gone.cancel()
            if work.cancelled():
                self.log.shim_ended(exec_id, argv, 255, False)
                return
            result = work.result()
        self.log.shim_ended(exec_id, argv, result.exit, result.changed)
        if fault is not None and fault.effect == "cut_after":
            self._cut(exec_id)
        for kind, text in ((b"1", result.stdout), (b"2", result.stderr)):
            if text:
                _frame(writer, kind, text.encode("utf-8", "surrogateescape"))
        _frame(writer, b"x", str(result.exit).encode())
        await writer.drain()

    async def _before(self, fault: Fault, exec_id: int, reader: asyncio.StreamReader) -> None:
        if fault.effect == "cut_before":
            self._cut(exec_id)
            raise ConnectionAbortedError
        if fault.effect == "hang":
            await reader.read(1)
            raise ConnectionAbortedError
        if fault.effect == "delay":
            await asyncio.sleep(fault.seconds)
        self.apply(fault)

    def _cut(self, exec_id: int) -> None:
        session = self.machine.running.get(exec_id) if self.machine is not None else None
        if session is not None:
            session.cut()

    async def _program(self, argv: list[str], cwd: str) -> Result:
        programs: dict[str, Callable[[list[str]], Result]] = {
            "esxcli": self.cli.run,
            "localcli": self.cli.run,
            "vmware": lambda words: vmware(self.world, words),
            "df": lambda words: df(self.storage, words, cwd),
        }
        if argv[0] == "vim-cmd":
            return await self.vim.run(argv[1:])
        return programs[argv[0]](argv[1:])

    # --- vmkfstools

    async def _disk(
        self, fields: list[str], owner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        kind = fields[0]
        reply = "ok"
        if kind == "disk":
            reply = await self._disk_begins(fields, owner, reader, writer)
        elif kind == "lock":
            reply = "ok" if self.locks.take(fields[2], owner, fields[1]) else "held"
        elif kind == "room":
            datastore = self.storage.of(fields[1])
            reply = str(self.storage.free_bytes(datastore) if datastore is not None else 1 << 60)
        elif kind == "query":
            reply = self._query(fields)
        elif kind == "done":
            exec_id, argv = self._calls.pop(owner, (0, ["vmkfstools"]))
            self.log.shim_ended(exec_id, argv, int(fields[2]), fields[1] == "1")
        elif kind == "progress":
            fault = self._cuts.get(owner)
            if fault is not None and int(fields[1]) >= fault.percent:
                self._cut(self._calls[owner][0])
        _frame(writer, b"r", reply.encode("utf-8", "surrogateescape"))
        await writer.drain()

    async def _disk_begins(
        self, fields: list[str], owner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        exec_id, argv = int(fields[1]), fields[3:]
        self._calls[owner] = (exec_id, argv)
        fault = self.rules.hit("shim", " ".join(argv))
        if fault is None:
            return "-1"
        if fault.effect == "fail":
            self.log.shim_ended(exec_id, argv, fault.exit_status, False)
            for kind, text in ((b"1", fault.stdout), (b"2", fault.stderr)):
                _frame(writer, kind, text.encode("utf-8", "surrogateescape"))
            _frame(writer, b"x", str(fault.exit_status).encode())
            self._calls.pop(owner)
            await writer.drain()
            raise ConnectionAbortedError
        if fault.effect == "kill":
            return str(fault.percent)
        if fault.effect == "cut_after":
            self._cuts[owner] = fault
        else:
            await self._before(fault, exec_id, reader)
        return "-1"

    def _query(self, fields: list[str]) -> str:
        """`vmkfstools -D` and `-P` in the forms of vmkfstools-D-newformat-exclusive-4 and -Ph-v1-vmfs6-1."""
        path = os.path.normpath(fields[2])
        datastore = self.storage.of(path)
        if datastore is None:
            return f"Could not open {path}\n"
        if fields[1] == "-P":
            free = self.storage.free_bytes(datastore)
            return (
                "VMFS-6.82 (Raw Major Version: 24) file system spanning 1 partitions.\n"
                f"File system label (if any): {datastore.name}\n"
                "Mode: public\n"
                f"Capacity {datastore.size_bytes} ({datastore.size_bytes >> 20} file blocks * 1048576), "
                f"{free} ({free >> 20} blocks) avail, max supported file size 70368744177664\n"
                f"UUID: {datastore.uuid}\n"
                f'Partitions spanned (on "lvm"):\n\t{datastore.device}:1\n'
                "Is Native Snapshot Capable: NO\n"
            )
        facts = os.stat(self.storage.here(path))
        mode = self.locks.mode(path)
        mac = re.sub(r"[^0-9a-f]", "", datastore.uuid[-12:])
        owner = f"66f0a1b0-00000000-0000-{mac}" if mode == 1 else "00000000-00000000-0000-000000000000"
        return (
            "Lock [type 10c00001 offset 164800512 v 122, hb offset 3756032\n"
            f"gen 23, mode {mode}, owner {owner} mtime 378512\n"
            "num 0 gblnum 0 gblgen 0 gblbrk 0]\n"
            f"Addr <4, 360, {facts.st_ino % 1000}>, gen 109, links 1, type reg, flags 0, uid 0, gid 0, "
            f"mode {facts.st_mode & 0o777:o}\n"
            f"len {facts.st_size}, nb {-(-facts.st_blocks * 512 >> 20)} tbz 0, cow 0, newSinceEpoch 0, "
            "zla 3, bs 1048576\n"
        )


async def _request(reader: asyncio.StreamReader) -> list[str]:
    length = int.from_bytes(await reader.readexactly(4), "big")
    content = await reader.readexactly(length)
    return [field.decode("utf-8", "surrogateescape") for field in content.split(b"\0")]


def _frame(writer: asyncio.StreamWriter, kind: bytes, content: bytes) -> None:
    writer.write(kind + len(content).to_bytes(4, "big") + content)
