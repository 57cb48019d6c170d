"""File trees of distribution releases with their own cloud-init and netplan, made once and kept in a cache.

The packages are unpacked and not configured: nothing of them runs until a test calls it, in a sandbox.
The key of Ubuntu's archive lies beside this file: 2018, F6EC B376 2474 EDA9 D21B 7022 8719 20D1 991B C93C.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGES = "cloud-init,netplan.io,python3-jsonschema,python3-minimal"
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
BUILD_TIMEOUT_S = 900
# Where something is mounted; what a test brings along and writes is in the first.
FOLDERS = ("case", "proc", "run", "tmp", "dev")
NEEDED = ("mmdebstrap", "bwrap", "tar")


@dataclass(frozen=True)
class Release:
    name: str
    suites: tuple[str, ...]
    cloud_init: str
    """How its version begins."""

    @property
    def sources(self) -> list[str]:
        if self.name.startswith("ubuntu"):
            key = f"[signed-by={HERE / 'ubuntu-archive-2018.asc'}]"
            return [f"deb {key} http://archive.ubuntu.com/ubuntu {suite} main" for suite in self.suites]
        return ["http://deb.debian.org/debian"]


RELEASES = (
    # As released, 20.04 has no datasource for guestinfo: it came with the updates.
    Release("ubuntu-20.04", ("focal", "focal-updates"), ""),
    Release("ubuntu-22.04", ("jammy",), "22.1"),
    Release("ubuntu-24.04", ("noble",), "24.1"),
    Release("ubuntu-26.04", ("resolute",), "26.1"),
    Release("debian-12", ("bookworm",), "22.4"),
    Release("debian-13", ("trixie",), "25.1"),
)


def missing() -> list[str]:
    return [program for program in NEEDED if shutil.which(program) is None]


def tree(release: Release) -> Path:
    """The tree of `release`; made if it is not in the cache yet, which takes one to three minutes."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ceso-tests"
    recipe = hashlib.sha256(repr((release, PACKAGES, LEFT_OUT, FOLDERS)).encode()).hexdigest()[:12]
    made = cache / f"{release.name}-{recipe}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"{release.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            _build(release, made)
    return made


def _build(release: Release, made: Path) -> None:
    draft, tar = made.with_suffix(".part"), made.with_suffix(".tar")
    shutil.rmtree(draft, ignore_errors=True)
    argv = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={PACKAGES}"]
    argv += ['--aptopt=APT::Install-Recommends "false"', *(f"--dpkgopt=path-exclude={p}" for p in LEFT_OUT)]
    argv += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    _run([*argv, release.suites[0], str(tar), *release.sources])
    draft.mkdir()
    _run(["tar", "-C", str(draft), "--exclude=./dev/*", "--no-same-owner", "-xf", str(tar)])
    for folder in FOLDERS:
        (draft / folder).mkdir(exist_ok=True)
    # A file that ca-certificates makes when it is configured; python3-requests loads it when it is imported.
    bundle = draft / "etc/ssl/certs/ca-certificates.crt"
    if not bundle.exists():
        bundle.parent.mkdir(parents=True, exist_ok=True)
        certificates = sorted((draft / "usr/share/ca-certificates").rglob("*.crt"))
        bundle.write_bytes(b"".join(path.read_bytes() for path in certificates))
    tar.unlink()
    os.rename(draft, made)


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    if re.search(
        "Could not resolve|Unable to connect|Failed to fetch|Connection (refused|timed out)", done.stderr
    ):
        pytest.skip(f"no way to the packages: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr[-2000:]


def run_inside(root: Path, work: Path, *argv: str, timeout_s: float) -> str:
    """Run a program of the tree, which sees nothing but the tree and `work`; its standard output."""
    sandbox = ["bwrap", "--unshare-all", "--unshare-user", "--uid", "0", "--gid", "0", "--die-with-parent"]
    sandbox += ["--ro-bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"]
    sandbox += ["--tmpfs", "/tmp", "--tmpfs", "/var/log", "--bind", str(work), "/case", "--chdir", "/case"]
    settings = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPYCACHEPREFIX": "/case/pyc",
    }
    sandbox += ["--clearenv", *(word for pair in settings.items() for word in ("--setenv", *pair))]
    done = subprocess.run([*sandbox, *argv], capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, (done.stdout[-1000:], done.stderr[-3000:])
    return done.stdout
