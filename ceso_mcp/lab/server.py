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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import access, keys, namespace, seed, sockets, sshd
from ceso_mcp.lab import world as worlds
from ceso_mcp.lab.blueprint import Blueprint
from ceso_mcp.lab.command_log import CommandLog
from ceso_mcp.lab.esxcli_nfs import NfsCommands
from ceso_mcp.lab.fault_rules import FaultRules
from ceso_mcp.lab.hostd import Hostd
from ceso_mcp.lab.layout import Layout
from ceso_mcp.lab.machine import Machine
from ceso_mcp.lab.program_socket import ProgramSocket
from ceso_mcp.lab.records import Fault
from ceso_mcp.lab.watch.watch import CallWatch

ORPHAN_CHECK_S = 2.0
# Settings of the world that may be changed while it runs.
CONFIGURABLE = (
    "latency_s",
    "login_s",
    "boot_delay_s",
    "shutdown_s",
    "throughput_bytes_s",
    "lock_failures",
    "unlock_s",
    "max_startups",
    "keep_alive_s",
    "base_exclusive",
    "clone_limit",
    "mapping",
    "raw_opens",
    "exec_installed_only",
    "python3",
)
KERNEL = "#1 SMP Release build-{build} Jun 25 2024 00:00:00"


class LabServer:
    """One lab at work: its host, hostd, SSH server and control socket."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.log = CommandLog(layout.command_log)
        self.rules = FaultRules(layout.faults)
        self.hostd = Hostd(layout, self.log, self.rules)
        self.programs = ProgramSocket(self.hostd)
        world = self.hostd.world
        self.host = namespace.Host(layout, world.hostname)
        self.machine = Machine(self.host, self.log, self.rules, layout.host / "etc", lambda: self.hostd.world)
        self.machine.apply_to_world = self.hostd.apply
        self.hostd.machine = self.machine
        self.watch = CallWatch()
        self.machine.before_exec = self._before_exec
        self.ended = asyncio.Event()

    async def run(self, port: int) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ended.set)
        programs = await asyncio.start_unix_server(
            self.programs.serve, sock=sockets.listening(self.layout.hostd_socket)
        )
        self.watch.start(self.programs.serve)
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
            if self.hostd.guests is not None:
                self.hostd.guests.halt()
            self.host.halt()
            self.watch.stop()
            self.log.close()

    def _before_exec(self) -> Callable[[], None] | None:
        world, full = self.hostd.world, self.hostd.storage.nearly_full()
        if world.raw_opens != "refused" and not world.installed_only and not full:
            return None
        return self.watch.before_exec(writes=full)

    def _plan(self) -> Blueprint:
        kept = self.hostd.world.blueprint
        return Blueprint.from_json(kept) if kept else Blueprint(self.hostd.world.release)

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
            unlike = [self.watch.refusal] if self.watch.refusal else []
            moving = self.hostd.guests.moving() if self.hostd.guests is not None else 0
            return {
                "pid": os.getpid(),
                "release": world.release,
                "vms": vms,
                "notes": unlike,
                "moving": moving,
            }
        if action == "stop":
            asyncio.get_running_loop().call_soon(self.ended.set)
            return None
        if action == "reset":
            self.host.halt()
            self.host.boot()
            fresh = seed.new_world(self._plan())
            for name in CONFIGURABLE:
                setattr(fresh, name, getattr(world, name))
            seed_world(self.layout, self.hostd, fresh)
            self.rules.clear()
            self.hostd.boot_running()
            return None
        if action == "configure":
            for name, value in request.items():
                if name == "action":
                    continue
                if name not in CONFIGURABLE:
                    raise LabFault(f"the lab has no setting {name!r}")
                setattr(world, name, value)
            if "python3" in request:
                namespace.show_python(self.layout, world.python3)
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
        if action == "vanish":
            NfsCommands(self.hostd.ground).vanish(request["datastore"])
            return None
        if action == "come_back":
            NfsCommands(self.hostd.ground).come_back(request["datastore"])
            return None
        raise LabFault(f"the lab's server does not know {action!r}")


def seed_world(layout: Layout, hostd: Hostd, fresh: Any) -> None:
    """Replace the world by `fresh` with the seeded VMs in it."""
    if hostd.guests is not None:
        hostd.guests.stop_all()
    seed.clear_volumes(layout)
    allow_client(layout)
    hostd.away_until = 0.0
    hostd.rebuild(fresh)
    hostd.seed_vms()


def allow_client(layout: Layout) -> None:
    """Put the lab's own client key into the host's key file, and nothing else."""
    access.seed_key_file(layout.host / "etc", (layout.keys / f"{keys.CLIENT_KEY}.pub").read_text())


def prepare(layout: Layout, release: str) -> None:
    """Make the state directory ready: keys, host files, and a seeded world when there is none."""
    layout.make()
    keys.make(layout.keys)
    first = not layout.world.exists()
    if first:
        kept = json.loads(layout.blueprint.read_text()) if layout.blueprint.exists() else None
        plan = Blueprint.from_json(kept) if kept else Blueprint(release)
        seed.new_world(plan).store(layout.world)
    world = worlds.load(layout.world)
    kernel = KERNEL.format(build=world.build)
    namespace.furnish(layout, world.version, kernel, world.hostname, python3=world.python3)
    if first or not access.key_file(layout.host / "etc", "root").exists():
        allow_client(layout)
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
    # Under nohup a hang-up is ignored, and so it would be by every command that a client gives up.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
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
