"""The watcher: `python -m ceso_mcp.lab.watch.process`, one for each running lab.

Its stdin is a socket over which the listeners of filtered commands arrive; its only word is the descriptor
of its line to hostd. Whatever goes wrong here, the call in question goes on as if nobody had watched.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import struct
import sys
from collections.abc import Callable

from ceso_mcp.lab.watch import seccomp
from ceso_mcp.lab.watch.space import Space

HOSTD_TIMEOUT_S = 2.0
VOLUMES = b"/vmfs/volumes/"
# Where the host's own programs and this machine's libraries lie: nothing there is locked or foreign.
INSTALLED = (b"/bin/", b"/sbin/", b"/usr/", b"/lib/", b"/lib64/", b"/etc/init.d/")
QUIET = (*INSTALLED, b"/etc/", b"/proc/", b"/dev/")
ERRORS = {"EBUSY": -16, "EPERM": -1}
LONGEST_PATH = 4096
AT_CWD = 0xFFFFFF9C
PAGE = 4096


class Hostd:
    """Questions to hostd over one socket, in the framing of `disks.wire`."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._line.settimeout(HOSTD_TIMEOUT_S)
        self._owed = 0

    def ask(self, *fields: str) -> str:
        """The reply. Raises OSError when there is none in time."""
        content = b"\0".join(os.fsencode(field) for field in fields)
        self._line.sendall(len(content).to_bytes(4, "big") + content)
        self._owed += 1
        reply = b""
        while self._owed:  # replies that came too late are read and dropped
            reply = self._exactly(int.from_bytes(self._exactly(5)[1:], "big"))
            self._owed -= 1
        return reply.decode("utf-8", "surrogateescape")

    def _exactly(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            chunk = self._line.recv(count - len(taken))
            if not chunk:
                raise OSError("hostd is gone")
            taken += chunk
        return taken


class Watcher:
    """Decides about one call after the other."""

    def __init__(self, ask: Callable[..., str], more_installed: tuple[bytes, ...] = ()) -> None:
        self._ask = ask
        self._installed = (*INSTALLED, *more_installed)
        self._quiet = (*QUIET, *more_installed)
        self._space = Space(ask)
        self._here = os.stat("/proc/self/ns/mnt").st_ino

    def decide(self, notice: seccomp.Notice) -> int | None:
        """What `seccomp.answer` is told. Raises OSError and ValueError for what cannot be judged."""
        given = notice.arguments
        if notice.name in ("open", "creat"):
            return self._open(notice.pid, AT_CWD, given[0])
        if notice.name in ("openat", "openat2"):
            return self._open(notice.pid, given[0] & 0xFFFFFFFF, given[1])
        if notice.name == "execve":
            return self._execute(notice.pid, given[0])
        if exempt(notice.pid):
            return None
        return self._space.decide(notice)

    def _open(self, pid: int, folder: int, address: int) -> int | None:
        path = text_at(pid, address)
        if path.startswith(self._quiet):
            return None
        handle = opened(pid, folder, path)
        try:
            real = os.readlink(b"/proc/self/fd/%d" % handle)
        finally:
            os.close(handle)
        if not real.startswith(VOLUMES) or not real.endswith(b".vmdk") or exempt(pid):
            return None
        return ERRORS.get(self._ask("open", os.fsdecode(real)))

    def _execute(self, pid: int, address: int) -> int | None:
        path = text_at(pid, address)
        if path.startswith(self._installed) or os.stat(f"/proc/{pid}/ns/mnt").st_ino == self._here:
            return None
        handle = opened(pid, AT_CWD, path)
        try:
            place = b"/proc/self/fd/%d" % handle
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode) or not facts.st_mode & 0o111:
                return None
            if os.readlink(place).startswith(self._installed):
                return None
            with open(place, "rb") as file:
                head = file.read(256)
        finally:
            os.close(handle)
        words = head.partition(b"\n")[0][2:].split() if head.startswith(b"#!") else []
        if words and words[0].startswith(self._installed):
            return None
        return ERRORS.get(self._ask("exec"))


def text_at(pid: int, address: int) -> bytes:
    """The string at an address of another process."""
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        # Up to the end of the page first: what follows may not be there.
        content = os.pread(memory, PAGE - address % PAGE, address)
        if b"\0" not in content:
            content += os.pread(memory, LONGEST_PATH, address + len(content))
    finally:
        os.close(memory)
    return content[: content.index(b"\0")]


def opened(pid: int, folder: int, path: bytes) -> int:
    """A handle on what `path` means to the process, links followed."""
    if not path.startswith(b"/"):
        base = "cwd" if folder == AT_CWD else f"fd/{folder}"
        path = os.path.join(os.readlink(f"/proc/{pid}/{base}".encode()), path)
    root = os.open(f"/proc/{pid}/root", os.O_PATH)
    try:
        return seccomp.open_within(root, path)
    finally:
        os.close(root)


def exempt(pid: int) -> bool:
    """vmkfstools takes locks and counts space itself."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read(PAGE).split(b"\0")
    return len(words) > 2 and words[1] == b"-IS" and words[2].endswith(b"/vmkfstools")


def serve(post: socket.socket, watcher: Watcher) -> None:
    """Answer until the other end of `post` is closed."""
    waiting = select.epoll()
    waiting.register(post, select.EPOLLIN)
    while True:
        for descriptor, event in waiting.poll():
            if descriptor == post.fileno():
                content, came, _, _ = socket.recv_fds(post, 16, 4)
                if not content:
                    return
                for listener in came:
                    seccomp.prepare(listener)
                    waiting.register(listener, select.EPOLLIN)
            elif event & select.EPOLLIN:
                _answer(descriptor, watcher)
            else:  # the last process under this filter has ended
                waiting.unregister(descriptor)
                os.close(descriptor)


def _answer(listener: int, watcher: Watcher) -> None:
    notice = None
    with contextlib.suppress(OSError):
        notice = seccomp.receive(listener)
    if notice is None:
        return
    outcome = None
    # The caller is gone, or names what is not there: the kernel will say so.
    with contextlib.suppress(OSError, ValueError, LookupError, struct.error, OverflowError):
        outcome = watcher.decide(notice)
    seccomp.answer(listener, notice, outcome)


def main() -> None:
    post = socket.socket(fileno=0)
    hostd = Hostd(socket.socket(fileno=int(sys.argv[1])))
    serve(post, Watcher(hostd.ask, (os.fsencode(sys.base_prefix) + b"/",)))


if __name__ == "__main__":
    main()
