"""The programs that are compared, each as the commands that back up and restore one disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pyrage
from link import Server

PASSWORD = "benchmark"


@dataclass
class Place:
    """Where a tool works. `port` leads to the other machine, through a throttled link if `far`."""

    folder: Path
    server: Server
    port: int
    far: bool

    @property
    def repository(self) -> Path:
        return self.folder / "repository"


@dataclass
class Tool:
    """One program. `restore` gives (what the step is called, command)."""

    place: Place
    name: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None: ...

    def backup(self, disk: Path, first: str | None) -> list[str]:
        raise NotImplementedError

    def read_id(self, output: str) -> str:
        return ""

    def restore(self, which: str, target: Path) -> list[tuple[str, list[str]]]:
        raise NotImplementedError


def shell(line: str) -> list[str]:
    return ["bash", "-o", "pipefail", "-c", line]


class Pipe(Tool):
    """`ssh host cat disk | zstd -T0 -3 | age -r KEY > file`, and its reverse."""

    def prepare(self) -> None:
        self.name = "pipe"
        identity = pyrage.x25519.Identity.generate()
        self._recipient = str(identity.to_public())
        self._key = self.place.folder / "key"
        self._key.write_text(f"{identity}\n")
        self._ssh = f"{self.place.server.ssh(self.place.port)} {self.place.server.user}@127.0.0.1"

    def backup(self, disk: Path, first: str | None) -> list[str]:
        seal = f"zstd -q -T0 -3 | age -r {self._recipient} > {self.place.repository}"
        return shell(f"{self._ssh} 'cat {disk}' | {seal}")

    def restore(self, which: str, target: Path) -> list[tuple[str, list[str]]]:
        unseal = f"age -d -i {self._key} {self.place.repository} | zstd -q -d"
        return [("", shell(f"{unseal} | {self._ssh} 'cat > {target}'"))]


class Restic(Tool):
    """restic with its compression; local, or by sftp where the link is throttled."""

    def prepare(self) -> None:
        self.name = "restic"
        self.environment = {"RESTIC_PASSWORD": PASSWORD, "RESTIC_CACHE_DIR": str(self.place.folder / "cache")}
        words = ["restic", "-q", "-r", str(self.place.repository), "init", "--repository-version", "2"]
        subprocess.run(words, check=True, env={**os.environ, **self.environment})
        ssh = f"{self.place.server.ssh(self.place.port)} {self.place.server.user}@127.0.0.1 -s sftp"
        far = ["-r", f"sftp:host:{self.place.repository}", "-o", f"sftp.command={ssh}"]
        self._restic = ["restic", "-q", *(far if self.place.far else ["-r", str(self.place.repository)])]

    def backup(self, disk: Path, first: str | None) -> list[str]:
        return [*self._restic, "backup", str(disk)]

    def restore(self, which: str, target: Path) -> list[tuple[str, list[str]]]:
        words = " ".join(f"'{word}'" for word in self._restic)
        disk = target.with_name("disk.raw")
        return [("", shell(f"{words} dump latest {disk} > {target}"))]


class Borg(Tool):
    """borg with zstd 3; local, or by ssh where the link is throttled."""

    def prepare(self) -> None:
        self.name = "borg"
        far = f"ssh://{self.place.server.user}@127.0.0.1:{self.place.port}{self.place.repository}"
        self.environment = {
            "BORG_PASSPHRASE": PASSWORD,
            "BORG_BASE_DIR": str(self.place.folder / "home"),
            "BORG_RSH": self.place.server.ssh(self.place.port),
            "BORG_REPO": far if self.place.far else str(self.place.repository),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }
        words = ["borg", "init", "--encryption", "repokey-blake2"]
        environment = {**os.environ, **self.environment}
        subprocess.run(words, check=True, env=environment, stderr=subprocess.DEVNULL)
        self._count = 0

    def backup(self, disk: Path, first: str | None) -> list[str]:
        self._count += 1
        return ["borg", "create", "--compression", "zstd,3", f"::run{self._count}", str(disk)]

    def restore(self, which: str, target: Path) -> list[tuple[str, list[str]]]:
        out = target.with_name("out")
        out.mkdir()
        return [("", shell(f"cd {out} && borg extract --sparse ::run1"))]


class Ceso(Tool):
    """`data_path.py`: sealed to one recipient, compared by this machine's own key."""

    def prepare(self) -> None:
        self.name = "ceso"
        identity = pyrage.x25519.Identity.generate()
        key = self.place.folder / "identity"
        key.write_text(f"{identity}\n")
        key.chmod(0o600)
        self._settings = self.place.folder / "host.json"
        self._settings.write_text(
            json.dumps(
                {
                    "port": self.place.port,
                    "user": self.place.server.user,
                    "host_key": self.place.server.host_key,
                    "key_file": str(self.place.server.key_file),
                    "repository": str(self.place.repository),
                    "recipient": str(identity.to_public()),
                    "identity": str(key),
                    "keys": str(self.place.folder / "keys"),
                }
            )
        )

    def _run(self, mode: str, *words: str) -> list[str]:
        program = str(Path(__file__).with_name("data_path.py"))
        return [sys.executable, program, mode, str(self._settings), *words]

    def backup(self, disk: Path, first: str | None) -> list[str]:
        return self._run("backup", str(disk), *([first] if first else []))

    def read_id(self, output: str) -> str:
        return str(json.loads(output)["backup_id"])

    def restore(self, which: str, target: Path) -> list[tuple[str, list[str]]]:
        return [
            ("", self._run("restore", str(target), which)),
            (", proof", self._run("prove", str(target), which)),
        ]


TOOLS: dict[str, type[Tool]] = {"pipe": Pipe, "restic": Restic, "borg": Borg, "ceso": Ceso}
