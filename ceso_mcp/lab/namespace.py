"""The make-believe host as one long-lived namespace, and the way to run a command inside it.

bubblewrap makes a user, mount, PID and host-name namespace once ("boot"); each command then enters
it with nsenter. So a command that was detached goes on after its SSH channel, sees its brothers in
`/proc` and can be signalled by its number, and all of it ends with the host.
"""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import busybox, programs
from ceso_mcp.lab.layout import Layout

PACKAGES = {"bwrap": "bubblewrap", "busybox": "busybox-static", "nsenter": "util-linux"}
PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
BUSYBOX = "/usr/lib/vmware/busybox/bin/busybox"
BOOT_TIMEOUT_S = 10
# The packages whose modules run inside the host.
LIBRARIES = ("disks", "inside")


def needed() -> dict[str, str]:
    """The programs the lab needs, by name. Raises `LabFault` naming the Debian packages that are missing."""
    found = {name: shutil.which(name) for name in PACKAGES}
    missing = sorted(PACKAGES[name] for name, place in found.items() if place is None)
    if missing:
        raise LabFault(
            f"the lab needs the Debian packages {' and '.join(missing)}, which are not installed",
            hint=f"sudo apt-get install {' '.join(missing)}",
        )
    return {name: place for name, place in found.items() if place is not None}


def furnish(layout: Layout, release: str, version: str, hostname: str, *, python3: bool) -> None:
    """Write `/bin`, `/etc` and the library folder of the host below `layout.host`; `show_python` too."""
    host = layout.host
    for folder in ("bin", "etc/vmware/hostd", "var/log", "var/spool", "lib", "usr"):
        (host / folder).mkdir(parents=True, exist_ok=True)
    applets = busybox.fit_out(Path(needed()["busybox"]), host / "lib" / "busybox")
    for name in applets:
        _link(host / "bin" / name, BUSYBOX)
    for name, text in programs.texts(release, version).items():
        place = host / "bin" / name
        place.write_text(text)
        place.chmod(0o755)
    show_python(layout, python3)
    for name in LIBRARIES:
        library = host / "lib" / name
        shutil.copytree(Path(__file__).parent / name, library, dirs_exist_ok=True)
        compileall.compile_dir(str(library), quiet=2)
    openssh = host / "lib" / "openssh"
    openssh.mkdir(exist_ok=True)
    (openssh / "sftp-server").write_text(programs.SFTP_SERVER)
    (openssh / "sftp-server").chmod(0o755)
    _link(openssh / "scp", "/bin/scp")
    etc = host / "etc"
    (etc / "init.d").mkdir(exist_ok=True)
    for name, text in programs.init_scripts().items():
        (etc / "init.d" / name).write_text(text)
        (etc / "init.d" / name).chmod(0o755)
    (etc / "passwd").write_text(
        "root:x:0:0:Administrator:/:/bin/sh\nnobody:x:65534:65534:Nobody:/:/bin/false\n"
    )
    (etc / "group").write_text("root:x:0:root\nnobody:x:65534:\n")
    (etc / "hosts").write_text(f"127.0.0.1\tlocalhost.localdomain localhost\n192.0.2.10\t{hostname}\n")
    (etc / "issue").touch()
    (etc / "motd").write_text(MOTD)
    (etc / "ssh").mkdir(exist_ok=True)
    (etc / "ssh" / "sshd_config").write_text(programs.SSHD_CONFIG)
    (etc / "localtime").write_bytes(b"")


def show_python(layout: Layout, there: bool) -> None:
    """Let the host's commands find `python3` and `python`, or not; takes effect at once."""
    for name, target in (("python3", programs.INTERPRETER), ("python", "python3")):
        place = layout.host / "bin" / name
        if there:
            _link(place, target)
        else:
            place.unlink(missing_ok=True)


MOTD = """The time and date of this login have been sent to the system logs.

WARNING:
  All commands run on the ESXi shell are logged and may be included in
  support bundles. Do not provide passwords directly on the command line.
  Most tools can prompt for secrets or accept them from standard input.

VMware offers supported, powerful system administration tools.  Please
see www.vmware.com/go/sysadmintools for details.

The ESXi Shell can be disabled by an administrative user. See the
vSphere Security documentation for more information.
"""


def _link(place: Path, target: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        place.unlink()
    place.symlink_to(target)


def _interpreter() -> str:
    return str(Path(sys.base_prefix) / "bin" / Path(sys.executable).resolve().name)


def _interpreter_mounts() -> list[str]:
    """Read-only mounts for the Python interpreter, at places outside PATH."""
    mounts: list[str] = []
    triplet = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    places = ["/lib64", f"/lib/{triplet}", "/usr/lib64", f"/usr/lib/{triplet}"]
    if sys.base_prefix == "/usr":
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        places += [f"/usr/bin/{version}", f"/usr/lib/{version}"]
    else:
        places.append(sys.base_prefix)
    for place in places:
        if os.path.exists(place):
            mounts += ["--ro-bind", place, place]
    return mounts


class Host:
    """The booted namespace. `boot()` and `halt()` once each; commands run by `argv()`."""

    def __init__(self, layout: Layout, hostname: str) -> None:
        self._layout = layout
        self._hostname = hostname
        self._tools = needed()
        self._bwrap: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def boot(self) -> None:
        """Make the namespace; it dies with this process. Raises `LabFault` when the machine forbids it."""
        host = self._layout.host
        read, write = os.pipe()
        arguments = [self._tools["bwrap"], "--unshare-user", "--uid", "0", "--gid", "0"]
        arguments += [
            "--unshare-pid",
            "--unshare-uts",
            "--hostname",
            self._hostname,
            "--unshare-ipc",
            "--unshare-net",
        ]
        arguments += ["--as-pid-1", "--die-with-parent", "--info-fd", str(write), "--clearenv"]
        # The ramdisk `root` (fact sheet esxcli-and-shell §3.5).
        arguments += ["--size", str(32 << 20), "--tmpfs", "/"]
        arguments += ["--bind", str(host / "bin"), "/bin", "--symlink", "bin", "/sbin"]
        arguments += ["--ro-bind", str(host / "lib" / "busybox"), BUSYBOX]
        for name in LIBRARIES:
            arguments += ["--ro-bind", str(host / "lib" / name), f"/usr/lib/vmware/lab/{name}"]
        arguments += ["--symlink", _interpreter(), programs.INTERPRETER]
        arguments += ["--ro-bind", str(host / "lib" / "openssh"), "/usr/lib/vmware/openssh/bin"]
        arguments += ["--bind", str(host / "etc"), "/etc", "--bind", str(host / "var"), "/var"]
        arguments += ["--size", str(32 << 20), "--tmpfs", "/opt"]
        arguments += ["--perms", "1777", "--size", str(256 << 20), "--tmpfs", "/tmp"]
        arguments += ["--bind", str(self._layout.volumes), "/vmfs/volumes"]
        arguments += _interpreter_mounts()
        arguments += ["--proc", "/proc", "--dev", "/dev", "--chdir", "/"]
        arguments += ["/bin/sh", "-c", "while :; do sleep 86400; done"]
        try:
            self._bwrap = subprocess.Popen(
                arguments,
                pass_fds=(write,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            os.close(write)
            with os.fdopen(read, "rb") as info:
                text = info.read()
            self._pid = int(json.loads(text)["child-pid"])
        except (OSError, ValueError, KeyError) as error:
            said = b""
            if self._bwrap is not None and self._bwrap.stderr is not None:
                self._bwrap.kill()
                said = self._bwrap.stderr.read()[-300:]
            reason = said.decode("utf-8", "replace").strip() or str(error)
            raise LabFault(
                f"the namespace of the lab's host could not be made: {reason}",
                hint="user namespaces must be allowed on this machine; Ubuntu 24.04 restricts them by"
                " the sysctl kernel.apparmor_restrict_unprivileged_userns",
            ) from None
        self._wait_until_entered()

    def _wait_until_entered(self) -> None:
        """The first entry can come before the mounts are in place; try until a command answers."""
        said = b""
        for _ in range(BOOT_TIMEOUT_S * 50):
            tried = subprocess.run(
                self.argv("test -e /vmfs/volumes && test -x /bin/vim-cmd"),
                env=self.environment(0),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=BOOT_TIMEOUT_S,
            )
            if tried.returncode == 0:
                return
            said = tried.stderr
        raise LabFault(f"the lab's host did not boot: {said.decode('utf-8', 'replace')[-300:]}")

    def halt(self) -> None:
        """End every process of the host."""
        if self._bwrap is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._bwrap.kill()
            self._bwrap.wait()
            if self._bwrap.stderr is not None:
                self._bwrap.stderr.close()
            self._bwrap = None

    @property
    def root(self) -> Path:
        """The host's `/`, as this machine sees it while the host runs."""
        return Path(f"/proc/{self._pid}/root")

    def argv(self, line: str | None) -> list[str]:
        """The command that runs `line` in the host's shell, or an interactive shell for None."""
        enter = [self._tools["nsenter"], "-t", str(self._pid), "-U", "-m", "-p", "-u", "-i", "-n"]
        enter += ["--preserve-credentials", "--"]
        return [*enter, "sh", "-c", line] if line is not None else [*enter, "sh", "-i"]

    def environment(self, exec_id: int, **more: str) -> dict[str, str]:
        """What a login's environment holds; `LAB_EXEC` ties the programs' calls to the exec."""
        return {
            "PATH": PATH,
            "HOME": "/",
            "USER": "root",
            "LOGNAME": "root",
            "SHELL": "/bin/sh",
            # Without it busybox shows every byte of a name that is not ASCII as a question mark.
            "LANG": "en_US.UTF-8",
            "LAB_EXEC": str(exec_id),
            **more,
        }
