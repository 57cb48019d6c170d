"""The handle on a lab: start it, stop it, look into it, make things go wrong."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import command_log, control, fingerprint, plan, world
from ceso_mcp.lab.blueprint import Blueprint
from ceso_mcp.lab.layout import Layout
from ceso_mcp.lab.records import Fault, LabAddress, LabStatus, LogEntry

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
ANEW = "make it anew with: ceso lab start --fresh"


def default_directory() -> Path:
    """Where the lab lives when nobody says otherwise."""
    import platformdirs

    return platformdirs.user_state_path("ceso") / "lab"


class Lab:
    """A lab by its state directory; many handles on one lab are fine."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory if directory is not None else default_directory()
        self._layout = Layout(self.directory.resolve())

    # --- life

    def start(
        self,
        *,
        release: str | None = None,
        latency_s: float | None = None,
        boot_delay_s: float | None = None,
        port: int = 0,
        fresh: bool = False,
        vms: int = 0,
        world_file: Path | None = None,
        guests: Literal["fake", "qemu"] | None = None,
        golden_cache: Path | None = None,
    ) -> LabAddress:
        """Start the server unless it runs, and wait until it answers; `fresh` begins with a new world.

        A world keeps the release it was made with; None leaves a setting as it is (at first 8.0, no
        latency, and guests that boot in 0.3 s). A new world is the usual one with `vms` small VMs more, or
        what `world_file` describes; a lab that has a world takes neither. Raises `LabFault` when the file
        is wrong or the lab does not come up.

        With `guests="qemu"` a new world's golden template carries the real Linux that
        `golden.build(golden_cache)` made, and it and its copies boot in QEMU; raises `LabFault` when packages
        or the image are missing. A world keeps the guests it was made with (at first `fake`); asking for
        others raises `LabFault`.
        """
        blueprint = plan.asked(release, vms, world_file)
        if guests == "qemu":
            kept = None if fresh else self._layout.world
            blueprint = plan.with_real_guests(blueprint or Blueprint(release or "8.0"), golden_cache, kept)
        elif guests == "fake" and not fresh and plan.has_real_guests(self._layout.world):
            raise LabFault("this lab's world has real guests", hint=ANEW)
        if fresh:
            self.stop()
            self._wipe()
            self._layout.blueprint.unlink(missing_ok=True)
        running = self._ask_or_none("status")
        if blueprint is not None:
            if running is not None or self._layout.world.exists():
                raise LabFault("this lab has a world already", hint=ANEW)
            self._layout.make()
            self._layout.blueprint.write_text(json.dumps(blueprint.to_json()))
        if running is None:
            self._spawn(release or "8.0", port)
        given = {"latency_s": latency_s, "boot_delay_s": boot_delay_s}
        self.configure(**{name: value for name, value in given.items() if value is not None})
        return self.address()

    def guest_network_argv(self) -> list[str]:
        """The words that, put before a command, run it in the network of the real guests.

        The command's own addresses there are 192.0.2.1 and 2001:db8::1, on the network of the guest that
        started first. Raises `LabFault` when no real guest runs.
        """
        from ceso_mcp.lab import qemu_network

        return qemu_network.entry(self._layout.guests)

    def _wipe(self) -> None:
        for place in (self._layout.world, self._layout.command_log, self._layout.faults):
            place.unlink(missing_ok=True)
        if self._layout.volumes.is_dir():
            shutil.rmtree(self._layout.volumes)

    def _spawn(self, release: str, port: int) -> None:
        from ceso_mcp.lab.namespace import needed

        needed()
        self._layout.make()
        if self._layout.world.exists():
            release = world.load(self._layout.world).release
        arguments = [sys.executable, "-m", "ceso_mcp.lab.server", "--dir", str(self._layout.root)]
        arguments += ["--release", release, "--port", str(port)]
        with open(self._layout.server_output, "wb") as output:
            server = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            )
        end = time.monotonic() + START_TIMEOUT_S
        while self._ask_or_none("status") is None:
            ended = server.poll() is not None and not self._locked()
            if ended or time.monotonic() > end:
                with contextlib.suppress(ProcessLookupError):
                    server.kill()
                server.wait()
                said = self._layout.server_output.read_text("utf-8", "replace")[-600:].strip()
                raise LabFault(f"the lab did not start: {said or 'no answer in time'}")
            time.sleep(0.02)
        server.returncode = 0 if server.returncode is None else server.returncode

    def stop(self) -> bool:
        """Stop the server; False when it did not run. The world stays."""
        pid = self._server_pid()
        if pid is None:
            return False
        if self._ask_or_none("stop") is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_TIMEOUT_S
        while self._locked():
            if time.monotonic() > end:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > 2 * STOP_TIMEOUT_S + end:
                raise LabFault(f"the lab's server (process {pid}) does not end")
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.01)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return True

    def _locked(self) -> bool:
        """True while a server process holds the directory."""
        if not self._layout.server_lock.exists():
            return False
        with open(self._layout.server_lock) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _server_pid(self) -> int | None:
        if not self._locked():
            return None
        with contextlib.suppress(OSError, ValueError):
            return int(json.loads(self._layout.server.read_text())["pid"])
        return None

    def status(self) -> LabStatus:
        """What the lab is doing now, running or not."""
        answer = self._ask_or_none("status")
        if answer is not None:
            vms = tuple((int(vmid), str(name), str(state)) for vmid, name, state in answer["vms"])
            here = (True, int(answer["pid"]), self.address(), answer["release"])
            return LabStatus(*here, vms, tuple(answer["notes"]), int(answer["moving"]))
        if not self._layout.world.exists():
            return LabStatus(False, None, None, "")
        kept = world.load(self._layout.world)
        vms = tuple((vm.vmid, vm.name, vm.state) for vm in kept.vms.values())
        return LabStatus(False, None, None, kept.release, vms)

    def reset(self) -> None:
        """The seeded world again, no rules; the log goes on. A stopped lab is reset at its next start."""
        if self._ask_or_none("status") is not None:
            self._ask("reset")
        else:
            self._wipe()

    def configure(self, **settings: Any) -> None:
        """Change settings of the running lab; they stay until changed again.

        `latency_s` of vim-cmd and esxcli, `login_s` (None: as `latency_s`), `boot_delay_s` and `shutdown_s`
        of guests, `throughput_bytes_s` of each stream (0: no limit), `lock_failures` (0: never) and
        `unlock_s` of the lock-out, `max_startups` as in sshd_config, `keep_alive_s` between two askings of
        a silent client (three without an answer drop it); of disks `base_exclusive`, `clone_limit` (0: any
        number) and `mapping`; `raw_opens` ("refused" or "allowed") of extents that are in use,
        `exec_installed_only` (None: as the release has it), `python3` (False: its shell finds none).
        Raises `LabFault` for another name.
        """
        self._ask("configure", **settings)

    def address(self) -> LabAddress:
        """How to reach it. Raises `LabFault` when it does not run."""
        if not self._locked() or not self._layout.server.exists():
            raise LabFault("the lab is not running", hint="start it with: ceso lab start")
        state = json.loads(self._layout.server.read_text())
        lines = []
        for name in ("ssh_host_rsa_key", "ssh_host_ecdsa_key"):
            words = (self._layout.keys / f"{name}.pub").read_text().split()
            lines.append(f"{words[0]} {words[1]}")
        return LabAddress(
            host="127.0.0.1",
            port=int(state["port"]),
            user="root",
            key_file=self._layout.keys / "client_ecdsa",
            host_keys=tuple(lines),
            password=(self._layout.keys / "password").read_text(),
        )

    # --- looking in

    def log(self, since: int = 0) -> list[LogEntry]:
        """The command log's entries numbered above `since`."""
        return command_log.read(self._layout.command_log, since)

    def fingerprint(self, *, volatile: bool = False) -> dict[str, Any]:
        """Everything observable; two equal fingerprints mean that nothing changed.

        Without `volatile`, files that come and go with running VMs (logs, swap, locks) are left out.
        """
        kept = world.load(self._layout.world)
        return {
            **fingerprint.world_part(kept, volatile=volatile),
            "files": fingerprint.files(self._layout.volumes, volatile=volatile),
        }

    def volume(self, datastore: str) -> Path:
        """The directory on this machine that is the datastore."""
        found = world.load(self._layout.world).datastore(datastore)
        if found is None:
            raise LabFault(f"the lab has no datastore {datastore!r}")
        return self._layout.volumes / found.uuid

    def shell_argv(self) -> list[str]:
        """The command that opens an interactive shell on the lab with OpenSSH's client."""
        return self.address().shell_argv(self._layout.root / "known_hosts")

    # --- making things go wrong

    def faults(self) -> tuple[Fault, ...]:
        if self._ask_or_none("status") is not None:
            return tuple(Fault.from_json(item) for item in self._ask("faults"))
        from ceso_mcp.lab.fault_rules import FaultRules

        return FaultRules(self._layout.faults).all()

    def add_fault(self, fault: Fault) -> str:
        """Keep a rule and return its id; it holds until cleared, over restarts too."""
        if self._ask_or_none("status") is not None:
            return str(self._ask("add_fault", fault=fault.to_json()))
        from ceso_mcp.lab.fault_rules import FaultRules

        self._layout.make()
        return FaultRules(self._layout.faults).add(fault)

    def clear_faults(self) -> None:
        if self._ask_or_none("status") is not None:
            self._ask("clear_faults")
        else:
            self._layout.faults.unlink(missing_ok=True)

    def fill(self, datastore: str, free_bytes: int) -> None:
        """Leave `free_bytes` free on a datastore, by its accounting. The lab must run."""
        self._ask("fill", datastore=datastore, free_bytes=free_bytes)

    def unfill(self, datastore: str) -> None:
        """Give back what `fill` took."""
        self._ask("unfill", datastore=datastore)

    def vanish(self, datastore: str) -> None:
        """The server of an NFS datastore answers no more; `come_back` makes it answer again."""
        self._ask("vanish", datastore=datastore)

    def come_back(self, datastore: str) -> None:
        self._ask("come_back", datastore=datastore)

    # --- the control socket

    def _ask_or_none(self, action: str, **more: Any) -> Any:
        return control.ask_or_none(self._layout.control_socket, action, **more)

    def _ask(self, action: str, **more: Any) -> Any:
        answer = self._ask_or_none(action, **more)
        if answer is None:
            raise LabFault("the lab is not running", hint="start it with: ceso lab start")
        return answer
