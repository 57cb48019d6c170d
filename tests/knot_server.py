"""A real name server on loopback, with a key of its own: knot, from the Debian package of that name."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rdatatype
import dns.zone

from ceso_mcp.config import DnsSection
from ceso_mcp.secrets import SecretRef

KNOTD = shutil.which("knotd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
ZONES = ("lab.example", "2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa")
READ_ONLY = "readonly.example"

_CONF = """
server:
    rundir: "{folder}"
    user: {user}
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{folder}"
log:
  - target: "{folder}/log"
    any: info
key:
  - id: ceso
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: updates
    address: 127.0.0.1
    key: ceso
    action: update
  - id: reading
    address: 127.0.0.1
    action: transfer
  - id: looking
    address: 127.0.0.1
    key: ceso
    action: transfer
template:
  - id: default
    storage: "{folder}"
    file: "%s.zone"
zone:
"""
_ZONE = """$TTL 60
@ SOA ns.lab.example. admin.lab.example. 1 3600 600 86400 60
@ NS ns.lab.example.
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class KnotServer:
    """One server process with its folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.secret_file = folder / "tsig"
        secret = base64.b64encode(os.urandom(32)).decode()
        self.secret_file.write_text(secret + "\n")
        self.secret_file.chmod(0o600)
        import grp
        import pwd

        user = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"
        conf = _CONF.format(folder=folder, port=self.port, secret=secret, user=user)
        for zone in (*ZONES, READ_ONLY):
            (folder / f"{zone}.zone").write_text(_ZONE + ("ns A 127.0.0.1\n" if zone == ZONES[0] else ""))
            conf += (
                f"  - domain: {zone}\n    acl: [{'looking' if zone == READ_ONLY else 'updates, reading'}]\n"
            )
            conf += "    zonefile-load: difference-no-serial\n    journal-content: all\n"
        (folder / "knot.conf").write_text(conf)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert KNOTD is not None
        self._process = subprocess.Popen(
            [KNOTD, "-c", str(self.folder / "knot.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            try:
                query = dns.message.make_query(ZONES[0], "SOA")
                if dns.query.tcp(query, "127.0.0.1", 1, self.port).answer:
                    return
            except (OSError, EOFError, dns.exception.DNSException):
                time.sleep(0.05)
        raise AssertionError(f"knotd does not start: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        """Stop answering, connections stay: what a hanging server looks like."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def settings(self, **other: Any) -> DnsSection:
        given: dict[str, Any] = {
            "server": "127.0.0.1",
            "port": self.port,
            "zones": (ZONES[0],),
            "reverse_zones": ZONES[1:],
            "tsig_name": "ceso",
            "tsig_secret": SecretRef(file=self.secret_file),
            "timeout_s": 2,
        }
        return DnsSection(**given | other)

    def contents(self) -> set[tuple[str, str, str]]:
        """Every record of every zone but SOA and NS, and the server's own address: by zone transfer."""
        found = set()
        for origin in ZONES:
            zone = dns.zone.from_xfr(
                dns.query.xfr("127.0.0.1", f"{origin}.", port=self.port, lifetime=10, relativize=False),
                relativize=False,
            )
            for name, _, data in zone.iterate_rdatas():
                kind = dns.rdatatype.to_text(data.rdtype)
                if kind not in ("SOA", "NS") and not name.to_text().startswith("ns."):
                    found.add((name.to_text(), kind, data.to_text()))
        return found
