"""The server process of a lab: `python -m ceso_mcp.lab.server --dir DIRECTORY`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import keys, namespace, seed, sockets, sshd
from ceso_mcp.lab.command_log import CommandLog
from ceso_mcp.lab.fault_rules import FaultRules
from ceso_mcp.lab.hostd import Hostd
from ceso_mcp.lab.layout import Layout
from ceso_mcp.lab.machine import Machine
from ceso_mcp.lab.records import Fault

BANNER = ""
ORPHAN_CHECK_S = 2.0
KERNEL = "#1 SMP Release build-{build} Jun 25 2024 00:00:00"


class LabServer:
    """One lab at work: its host, hostd, SSH server and control socket."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.log = CommandLog(layout.command_log)
        self.rules = FaultRules(layout.faults)
        self.hostd = Hostd(layout, self.log, self.rules)
        world = self.hostd.world
        self.host = namespace.Host(layout, world.hostname)
        self.machine = Machine(self.host, self.log, self.rules, world.latency_s, BANNER)
        self.machine.apply_to_world = self.hostd.apply
        self.hostd.machine = self.machine
        self.ended = asyncio.Event()

    async def run(self, port: int) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ended.set)
        programs = await asyncio.start_unix_server(
            self.hostd.serve, sock=sockets.listening(self.layout.hostd_socket)
        )
        # Not in another thread: the namespace dies with the thread that made it.
        self.host.boot()
        ssh = await sshd.listen(self.machine, self.layout.keys, port)
        self.hostd.boot_running()
        temporary = self.layout.server.with_suffix(".new")
        temporary.write_text(json.dumps({"pid": os.getpid(), "port": ssh.get_port()}))
        os.replace(temporary, self.layout.server)
        control = await asyncio.start_unix_server(
            self._control, sock=sockets.listening(self.layout.control_socket)
        )
        try:
            await self._until_ended()
        finally:
            self.layout.server.unlink(missing_ok=True)
            for item in (ssh, control, programs):
                item.close()
            self.host.halt()
            self.log.close()

    async def _until_ended(self) -> None:
        """Until told to stop, or until the state directory is gone: nobody could stop it then."""
        while self.layout.server_lock.exists():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), ORPHAN_CHECK_S)
                return

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            try:
                answer = {"answer": self._answer(request)}
            except LabFault as fault:
                answer = {"error": fault.message}
            except (KeyError, ValueError, OSError) as fault:
                answer = {"error": f"{type(fault).__name__}: {fault}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, request: dict[str, Any]) -> Any:
        action = request["action"]
        world = self.hostd.world
        if action == "status":
            vms = [[vm.vmid, vm.name, vm.state] for vm in world.vms.values()]
            return {"pid": os.getpid(), "release": world.release, "vms": vms}
        if action == "stop":
            asyncio.get_running_loop().call_soon(self.ended.set)
            return None
        if action == "reset":
            self.host.halt()
            self.host.boot()
            fresh = seed.new_world(world.release, world.latency_s, world.boot_delay_s)
            seed_world(self.layout, self.hostd, fresh)
            self.rules.clear()
            self.hostd.boot_running()
            return None
        if action == "configure":
            if request["latency_s"] is not None:
                world.latency_s = self.machine.latency_s = float(request["latency_s"])
            if request["boot_delay_s"] is not None:
                world.boot_delay_s = float(request["boot_delay_s"])
            self.hostd.save()
            return None
        if action == "add_fault":
            return self.rules.add(Fault.from_json(request["fault"]))
        if action == "faults":
            return [rule.to_json() for rule in self.rules.all()]
        if action == "clear_faults":
            self.rules.clear()
            return None
        if action == "fill":
            self.hostd.fill(request["datastore"], int(request["free_bytes"]))
            return None
        if action == "unfill":
            self.hostd.unfill(request["datastore"])
            return None
        raise LabFault(f"the lab's server does not know {action!r}")


def seed_world(layout: Layout, hostd: Hostd, fresh: Any) -> None:
    """Replace the world by `fresh` with the seeded VMs in it."""
    if hostd.guests is not None:
        hostd.guests.stop_all()
    seed.clear_volumes(layout)
    hostd.rebuild(fresh)
    hostd.seed_vms()


def prepare(layout: Layout, release: str) -> None:
    """Make the state directory ready: keys, host files, and a seeded world when there is none."""
    layout.make()
    keys.make(layout.keys)
    first = not layout.world.exists()
    if first:
        seed.new_world(release).store(layout.world)
    version, build, _, _ = seed.RELEASES[release]
    namespace.furnish(layout, version, KERNEL.format(build=build), seed.HOSTNAME)
    if first:
        log = CommandLog(layout.command_log)
        try:
            hostd = Hostd(layout, log, FaultRules(layout.faults))
            seed_world(layout, hostd, hostd.world)
        except BaseException:
            layout.world.unlink(missing_ok=True)
            raise
        finally:
            log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="the server process of one lab")
    parser.add_argument("--dir", required=True, type=Path)
    parser.add_argument("--release", default="8.0", choices=sorted(seed.RELEASES))
    parser.add_argument("--port", default=0, type=int)
    options = parser.parse_args()
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
    layout = Layout(options.dir.resolve())
    layout.root.mkdir(parents=True, exist_ok=True)
    with open(layout.server_lock, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another server runs this lab")
        try:
            prepare(layout, options.release)
            asyncio.run(_serve(layout, options.port))
        except LabFault as fault:
            sys.exit(f"{fault.message}\n{fault.hint}")


async def _serve(layout: Layout, port: int) -> None:
    await LabServer(layout).run(port)


if __name__ == "__main__":
    main()
