"""The other machine of a benchmark: an OpenSSH server on loopback, and a link of a given rate to it."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

RELAY_PIECE_BYTES = 64 << 10


class Server:
    """An sshd in the foreground with keys of its own."""

    def __init__(self, folder: Path) -> None:
        self.user = getpass.getuser()
        self.port = free_port()
        self.key_file = folder / "client"
        for name in ("client", "host"):
            words = ["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(folder / name)]
            subprocess.run(words, check=True)
        self.host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        authorized = folder / "authorized"
        authorized.write_text((folder / "client.pub").read_text())
        config = folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {authorized}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None
        self._process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stderr=-3)
        wait_for(self.port)

    def ssh(self, port: int) -> str:
        """The ssh command as far as the host."""
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        return f"ssh -p {port} -i {self.key_file} {options} -c aes128-gcm@openssh.com"

    def cpu_s(self) -> float:
        """What the server and everything that it started and that has ended used, in seconds."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


class Relay:
    """A port in front of another one that lets through so many bytes a second in each direction."""

    def __init__(self, target: int, bytes_per_s: int) -> None:
        self.port = free_port()
        words = [sys.executable, __file__, str(self.port), str(target), str(bytes_per_s)]
        self._process = subprocess.Popen(words)
        wait_for(self.port)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int) -> None:
    limit = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.05)


def loopback_bytes() -> int:
    """All bytes that have crossed the loopback interface, with TCP's and IP's own."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[0])
    raise RuntimeError("there is no loopback interface")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: int) -> None:
    due = time.monotonic()
    try:
        while piece := await reader.read(RELAY_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
            due = max(due, time.monotonic() - 0.01) + len(piece) / rate
            if due > time.monotonic():
                await asyncio.sleep(due - time.monotonic())
        writer.write_eof()
    except OSError:
        writer.close()


async def _serve(port: int, target: int, rate: int) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(_pass_on(reader, back, rate), _pass_on(there, writer, rate))
        back.close()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*map(int, sys.argv[1:4])))
