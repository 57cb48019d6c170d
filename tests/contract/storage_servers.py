"""Real servers for tests of targets, each started by the test and ended by it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import asyncssh

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
WEED = Path(sys.executable).parent / "weed"
RCLONE = Path(sys.executable).parent / "rclone"
ACCESS, SECRET = "AKTEST", "SKTEST1234567890"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Sshd:
    """OpenSSH with its own SFTP server, on a port of its own, for one key."""

    def __init__(self, folder: Path, options: str = "") -> None:
        assert SSHD is not None
        self.folder, self.port = folder, free_port()
        folder.mkdir(mode=0o700)
        for name in ("host", "login", "wrong"):
            key = asyncssh.generate_private_key("ssh-ed25519")
            key.write_private_key(str(folder / name))
            (folder / name).chmod(0o600)
            key.write_public_key(str(folder / f"{name}.pub"))
        shutil.copy(folder / "login.pub", folder / "authorized")
        (folder / "authorized").chmod(0o600)
        self.host_key = (folder / "host.pub").read_text().strip()
        (folder / "config").write_text(
            f"""
ListenAddress 127.0.0.1
Port {self.port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
MaxStartups 100
PermitRootLogin yes
Subsystem sftp internal-sftp {options}
"""
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert SSHD is not None
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        command = [SSHD, "-D", "-f", str(self.folder / "config"), "-E", str(self.folder / "log")]
        self._process = subprocess.Popen(command, start_new_session=True)
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        """End it with all its sessions, as a power cut would."""
        if self._process is None:
            return
        for pid in _children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def cut(self) -> None:
        """End the sessions; the server goes on."""
        assert self._process is not None
        for pid in _children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError):
        for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [*_children(int(text)), int(text)]
    return found


@contextlib.contextmanager
def sshd(folder: Path, options: str = "") -> Iterator[Sshd]:
    server = Sshd(folder, options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[str]:
    """SeaweedFS with its S3 door; yields the endpoint."""
    (folder / "data").mkdir(parents=True)
    (folder / "log").mkdir()
    credentials = [{"accessKey": ACCESS, "secretKey": SECRET}]
    reading = [{"accessKey": "AKREAD", "secretKey": SECRET}]
    identities = [
        {"name": "t", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
        {"name": "r", "credentials": reading, "actions": ["Read", "List"]},
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    master, volume, filer, port = (free_port() for _ in range(4))
    command = [
        str(WEED), "-logdir", str(folder / "log"), "server", f"-dir={folder}/data", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", f"-master.port={master}", f"-master.port.grpc={free_port()}",
        f"-volume.port={volume}", f"-volume.port.grpc={free_port()}", "-filer", f"-filer.port={filer}",
        f"-filer.port.grpc={free_port()}", "-s3", f"-s3.port={port}", f"-s3.port.grpc={free_port()}",
        f"-s3.config={folder}/s3.json", "-s3.port.iceberg=0", "-master.volumeSizeLimitMB=256",
        "-volume.max=200", "-volume.preStopSeconds=0",
    ]  # fmt: skip
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        try:
            _wait_for(f"http://127.0.0.1:{port}/status", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(10)


@contextlib.contextmanager
def rclone(folder: Path) -> Iterator[str]:
    """rclone as an S3 server, which takes conditions and ignores them; yields the endpoint."""
    (folder / "bucket").mkdir(parents=True)
    port = free_port()
    command = [str(RCLONE), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS},{SECRET}"]
    with (folder.parent / "rclone.out").open("wb") as out:
        process = subprocess.Popen([*command, str(folder)], stdout=out, stderr=out, start_new_session=True)
        try:
            until = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if time.monotonic() > until or process.poll() is not None:
                        raise
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(url, timeout=2).status == 200:
                return
        assert time.monotonic() < until, "the S3 server did not start"
        assert process.poll() is None, "the S3 server ended"
        time.sleep(0.1)
