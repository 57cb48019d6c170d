"""The network of real guests: a private namespace with one bridge for each port group, and no way out."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

from ceso_mcp.errors import LabFault

GATEWAY_V4, GATEWAY_V6 = "192.0.2.1/24", "2001:db8::1/64"
STATE = "network.json"
TIMEOUT_S = 30
HOLD = ["unshare", "--user", "--map-root-user", "--net", "setpriv", "--pdeathsig", "KILL"]
HOLD += ["sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]


class GuestNetwork:
    """The namespace; it lives until `close()` or the end of this process.

    The first bridge has an address (`GATEWAY_V4`, `GATEWAY_V6`), so that who enters the namespace meets the
    guests there. There is no DHCP server and no router.
    """

    def __init__(self, folder: Path) -> None:
        self._state = folder / STATE
        self._bridges: dict[str, str] = {}
        self._holder = subprocess.Popen(
            HOLD,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"up\n":
            assert self._holder.stderr is not None
            said = self._holder.stderr.read().decode("utf-8", "replace").strip()
            self.close()
            raise LabFault(f"the network of the guests could not be made: {said}")
        self._state.write_text(json.dumps({"pid": self._holder.pid}))

    @property
    def entry(self) -> list[str]:
        """The words that run a command in the namespace when put before it."""
        return entered(self._holder.pid)

    def _ip(self, *lines: str) -> None:
        script = "\n".join(f"ip {line}" for line in lines)
        argv = [*self.entry, "sh", "-e", "-c", script]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S)
        if ran.returncode != 0:
            raise LabFault(f"the network of the guests refused: {ran.stderr.strip()}")

    def plug(self, tap: str, portgroup: str | None) -> None:
        """Make the tap device `tap` on the bridge of `portgroup`; None leaves it unplugged."""
        self.unplug(tap)
        self._ip(f"tuntap add dev {tap} mode tap", f"link set {tap} up")
        if portgroup is None:
            return
        if portgroup not in self._bridges:
            name = f"br{len(self._bridges)}"
            self._ip(f"link add {name} type bridge forward_delay 0", f"link set {name} up")
            if not self._bridges:
                self._ip(
                    f"address add {GATEWAY_V4} dev {name}", f"-6 address add {GATEWAY_V6} dev {name} nodad"
                )
            self._bridges[portgroup] = name
        self._ip(f"link set {tap} master {self._bridges[portgroup]}")

    def unplug(self, tap: str) -> None:
        with contextlib.suppress(LabFault):
            self._ip(f"link del {tap}")

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait(TIMEOUT_S)
        for stream in (self._holder.stdout, self._holder.stderr):
            if stream is not None:
                stream.close()
        self._state.unlink(missing_ok=True)


def entered(pid: int) -> list[str]:
    return ["nsenter", "-t", str(pid), "-U", "-n", "--preserve-credentials", "--"]


def entry(folder: Path) -> list[str]:
    """The same words for another process. Raises `LabFault` when no guest runs there."""
    try:
        return entered(int(json.loads((folder / STATE).read_text())["pid"]))
    except (OSError, ValueError, KeyError):
        raise LabFault("no real guest runs in this lab") from None
