"""Where a lab keeps what: the paths below its state directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The files of one lab. `root` is the directory given to `Lab`."""

    root: Path

    @property
    def world(self) -> Path:
        return self.root / "world.json"

    @property
    def blueprint(self) -> Path:
        """The plan of the world to come, when it is not the usual one."""
        return self.root / "blueprint.json"

    @property
    def server(self) -> Path:
        return self.root / "server.json"

    @property
    def server_lock(self) -> Path:
        return self.root / "server.lock"

    @property
    def server_output(self) -> Path:
        return self.root / "server.log"

    @property
    def command_log(self) -> Path:
        return self.root / "commands.jsonl"

    @property
    def faults(self) -> Path:
        return self.root / "faults.json"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def exports(self) -> Path:
        """What NFS servers keep of shares that are not mounted."""
        return self.root / "exports"

    @property
    def host(self) -> Path:
        """What becomes the root file system of the make-believe host."""
        return self.root / "host"

    @property
    def run(self) -> Path:
        return self.host / "var" / "run"

    @property
    def hostd_socket(self) -> Path:
        return self.run / "hostd.sock"

    @property
    def guests(self) -> Path:
        """Where real guests keep what they write while they run, and their consoles."""
        return self.root / "guests"

    @property
    def control_socket(self) -> Path:
        return self.root / "control.sock"

    def make(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for folder in (self.keys, self.volumes, self.host, self.run):
            folder.mkdir(parents=True, exist_ok=True)
